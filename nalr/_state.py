"""State to plain dicts and back: what every `state_dict` and `load_state_dict` shares."""

from __future__ import annotations

import ast
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


def saved_by(owner: object, state: Any, *, except_for: str | None = None) -> None:
    """Raise unless `state` is a mapping that an object with the settings of `owner` saved.

    The setting `except_for` may differ. The message names the settings that differ, the innermost ones.
    """
    saved = state.get("settings") if isinstance(state, Mapping) else type(state).__name__
    here = repr(owner)
    if saved == here:
        return
    found = differing(_parsed(here), _parsed(saved))
    if found is None:
        raise ValueError(f"`state` must have been saved by {here}, got one of {saved!r}.")
    found = [each for each in found if each[0] != except_for]
    if found:
        (name, mine, other), *more = found
        further = f" Also different: {', '.join(each[0] for each in more)}." if more else ""
        raise ValueError(
            f"`state` must have been saved by {type(owner).__name__} with {name}={mine}, "
            f"got one with {name}={other}.{further}"
        )


def setting(state: Mapping[str, Any], name: str) -> Any:
    """Return a plain setting, such as a number, that a saved `state` names."""
    call = _parsed(state["settings"])
    return ast.literal_eval(_arguments(call)[name]) if isinstance(call, ast.Call) else None


def differing(here: ast.expr | None, saved: ast.expr | None) -> list[tuple[str, str, str]] | None:
    """Return (name, value here, value saved) of each argument in which two calls differ.

    Calls in an argument are compared in the same way. None where the two are not calls of one class with
    arguments of the same names.
    """
    if not (isinstance(here, ast.Call) and isinstance(saved, ast.Call)):
        return None
    mine, theirs = _arguments(here), _arguments(saved)
    if ast.unparse(here.func) != ast.unparse(saved.func) or set(mine) != set(theirs):
        return None
    found: list[tuple[str, str, str]] = []
    for name, value in mine.items():
        other = theirs[name]
        if ast.unparse(value) == ast.unparse(other):
            continue
        inner = differing(value, other)
        if inner is None:
            found.append((name, ast.unparse(value), ast.unparse(other)))
        else:
            found += [
                (f"{name}.{each}", mine_there, theirs_there) for each, mine_there, theirs_there in inner
            ]
    return found


def _parsed(text: Any) -> ast.expr | None:
    """Return the expression of a `repr`; None where it is none, as `<object at 0x…>`."""
    try:
        return ast.parse(text, mode="eval").body if isinstance(text, str) else None
    except SyntaxError:
        return None


def _arguments(call: ast.Call) -> dict[str, ast.expr]:
    """Return the arguments of a call by name, those without one by their place."""
    named = {word.arg or "**": word.value for word in call.keywords}
    return {**{str(place): value for place, value in enumerate(call.args)}, **named}


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
