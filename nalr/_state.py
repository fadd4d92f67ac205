"""State to plain dicts and back: what every `state_dict` and `load_state_dict` shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def fields_to_dict(record: Any) -> dict[str, Any]:
    """Return the fields of a slotted object, such as a dataclass; arrays and lists are copied."""
    return {name: _copied(getattr(record, name)) for name in record.__slots__}


def fields_from_dict(record: Any, saved: Mapping[str, Any]) -> None:
    """Set the fields of `record` to those of `fields_to_dict`, exactly."""
    for name in record.__slots__:
        setattr(record, name, _copied(saved[name]))


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, (np.ndarray, list)) else value


def saved_by(owner: object, state: Any) -> None:
    """Raise unless `state` is a mapping that an object with the settings of `owner` saved."""
    saved = state.get("settings") if isinstance(state, Mapping) else type(state).__name__
    if saved != repr(owner):
        raise ValueError(f"`state` must have been saved by {owner!r}, got one of {saved!r}.")


def value_like(name: str, value: Any, example: Any) -> Any:
    """Return a saved `value` if it has the type of `example`, numbers being finite; lists are copied.

    An `example` of None stands for a float that is not known yet.
    """
    if value is None and example is None:
        return None
    kind = float if example is None else type(example)
    element = float if kind is list else kind
    numbers: list[Any] = list(value) if type(value) is list else [value]
    if type(value) is kind and all(type(number) is element and math.isfinite(number) for number in numbers):
        return numbers if kind is list else value
    described = {int: "a whole number", float: "a finite float", list: "a list of finite floats"}[kind]
    raise ValueError(f"`state` must hold {described} under {name!r}, got {value!r}.")
