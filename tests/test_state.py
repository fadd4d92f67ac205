from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from nalr import _state


@dataclass(slots=True)
class Record:
    count: int = 0
    values: list[float] = field(default_factory=list)
    vector: np.ndarray = field(default_factory=lambda: np.zeros(2))


def test_fields_come_back_and_are_not_shared():
    record, other = Record(3, [1.0], np.ones(2)), Record()
    saved = _state.fields_to_dict(record)
    _state.fields_from_dict(other, saved)
    record.values.append(2.0)
    record.vector[0] = 9.0
    saved["values"].append(3.0)
    assert (other.count, other.values, other.vector.tolist()) == (3, [1.0], [1.0, 1.0])


@pytest.mark.parametrize("state", [None, [], {}, {"settings": "Other()"}])
def test_a_state_of_another_object_is_refused_by_naming_both(state):
    with pytest.raises(ValueError, match=r"`state` must have been saved by Record\(.*\), got one of "):
        _state.saved_by(Record(), state)


@pytest.mark.parametrize(("value", "example"), [(3, 0), (0.5, 1.0), (0.5, None), (None, None), ([0.5], [])])
def test_a_value_of_the_same_type_is_taken(value, example):
    assert _state.value_like("x", value, example) == value


@pytest.mark.parametrize(
    ("value", "example", "described"),
    [
        (0.5, 0, "a whole number"),
        (True, 0, "a whole number"),
        (1, 0.5, "a finite float"),
        (float("nan"), None, "a finite float"),
        ([1], [], "a list of finite floats"),
        ((0.5,), [], "a list of finite floats"),
    ],
)
def test_a_value_of_another_type_is_refused(value, example, described):
    with pytest.raises(ValueError, match=f"`state` must hold {described} under 'x', got "):
        _state.value_like("x", value, example)
