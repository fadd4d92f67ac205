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


class Settings:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("here", "saved", "message"),
    [
        (
            "A(x=1, y=2)",
            "A(x=1, y=3)",
            "saved by Settings with y=2, got one with y=3.",
        ),
        ("A(1, 2)", "A(1, 3)", "`state` must have been saved by Settings with 1=2, got one with 1=3."),
        (
            "A(x=B(z=.1), y=2)",
            "A(x=B(z=.2), y=3)",
            "`state` must have been saved by Settings with x.z=0.1, got one with x.z=0.2. Also different: y.",
        ),
        ("A(x=B(z=1))", "A(x=C(z=1))", "Settings with x=B(z=1), got one with x=C(z=1)."),
        ("A(x=1)", "A(y=1)", "`state` must have been saved by A(x=1), got one of 'A(y=1)'."),
        ("A(x=<B>)", "A(x=<C>)", "`state` must have been saved by A(x=<B>), got one of 'A(x=<C>)'."),
    ],
)
def test_the_setting_that_differs_is_named(here, saved, message):
    with pytest.raises(ValueError) as refusal:
        _state.saved_by(Settings(here), {"settings": saved})
    assert str(refusal.value).endswith(message)


def test_a_setting_that_may_differ_is_not_refused_but_others_are():
    _state.saved_by(Settings("A(x=1, y=2)"), {"settings": "A(x=1, y=3)"}, except_for="y")
    with pytest.raises(ValueError, match="Settings with x=1, got one with x=2.$"):
        _state.saved_by(Settings("A(x=1, y=2)"), {"settings": "A(x=2, y=3)"}, except_for="y")


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
