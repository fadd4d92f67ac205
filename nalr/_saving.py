"""What a controller keeps from step to step, saved and taken back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from nalr import _state
from nalr.policies.base import Decision, Reason

PARTS = {
    "estimator": "estimator",
    "smoother": "smoother",
    "policy": "policy",
    "history": "history",
    "rows": "_rows",
    "path": "_path",
}
"""Where a controller has the parts that keep their own state, by their names in a saved state."""


@dataclass(slots=True)
class RunState:
    """What changes besides the parts that keep their own state."""

    step: int = 0  # calls so far
    lr: float = math.nan  # the answer to the last of them
    applied_lr: float = 0.0  # the rate of the step that led to the next call; 0 where it is not known
    skipped: int = 0  # calls in a row that were not finite
    nonfinite: int = 0  # values that were not finite, losses among them


def saved(controller: Any) -> dict[str, Any]:
    """Return all that a controller needs to go on exactly."""
    decision = controller._decision
    return {
        "settings": repr(controller),
        "state": list(astuple(controller._state)),
        "decision": decision and [decision.lr, decision.reason.value, dict(decision.evidence)],
        **{name: getattr(controller, place).state_dict() for name, place in PARTS.items()},
    }


def load(controller: Any, state: Mapping[str, Any]) -> None:
    """Take what `saved` returned; the number of steps in all may have changed."""
    _state.saved_by(controller, state, except_for="total_steps")
    before = _state.setting(state, "total_steps")
    for name, place in PARTS.items():
        if name == "policy" and before != controller.total_steps:
            controller.policy.load_other_plan(state[name], state["state"][0], before)
        else:
            getattr(controller, place).load_state_dict(state[name])
    controller._state = RunState(*state["state"])
    decision = state["decision"]
    controller._decision = decision and Decision(decision[0], Reason(decision[1]), dict(decision[2]))
