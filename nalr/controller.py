"""The controller: gradients and loss in, learning rate out, with a record of what and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from nalr import _checks, _saving
from nalr.arrays.gradients import as_rows, as_vector
from nalr.loss.smoother import LossSmoother
from nalr.moments.path import DTYPES, Path
from nalr.moments.record import Moments
from nalr.moments.rows import RowAccumulator
from nalr.noise.estimator import NoiseEstimator
from nalr.noise.reading import NoiseReading
from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.noise_adaptive.policy import NoiseAdaptive
from nalr.reporting.history import History

RANGE = 1e8
"""Default bounds: base_lr / 10⁸ to base_lr · 10⁸. Wide on purpose: the base rate may be wrong by powers of
ten, and an anneal must still end far below the right one."""

MEMORY = 0.95
"""Memory of the noise average by default: about 20 steps, short enough to follow a run."""

SETTINGS = (
    *("base_lr", "min_lr", "max_lr", "total_steps", "alpha", "cooldown"),
    *("estimator", "smoother", "policy", "path_dtype"),
)


class NoiseAdaptiveLR:
    """A learning rate from measurements: gradient noise, smoothed loss, curvature along the step.

    Call `get_adapted_lr` once a step with the rows of gradients and the loss, and use the rate that it
    returns for that step. Any base rate within a few powers of ten will do.

    Parameters
    ----------
    base_lr : float
        The rate to start from; positive. It is the answer to the first call, unless η|ḡ|² would exceed
        half of the loss, a step beyond any minimum of a loss that ends near zero.
    min_lr, max_lr : float, optional
        Bounds of the rate, positive; base_lr/10⁸ and base_lr·10⁸ by default.
    total_steps : int, optional
        The number of steps, if known: the rate then falls to zero there, the sooner the less is left to
        descend. Without it, the rate falls as the noise floor requires.
    alpha : float
        Memory of the smoothed loss in the history, in [0, 1). The policy keeps its own.
    cooldown : int
        Steps without a change after a cut; at least 0.
    estimator : NoiseEstimator, optional
        Where the noise is averaged; one that remembers about 20 steps by default.
    smoother : LossSmoother, optional
        Where the loss is smoothed for the record; `LossSmoother(alpha)` by default.
    policy : Policy, optional
        What decides; `nalr.policies.NoiseAdaptive()` by default.
    path_dtype : str
        "float64", or "float32" for half of the memory of the path: see Notes.

    Notes
    -----
    Memory: three D-vectors of `path_dtype`; a fourth, of float64, where `accumulate` brings the rows, and two
    more where they come one a step. Cost: one pass over the rows and the three vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from nalr import NoiseAdaptiveLR
    >>> rng = np.random.default_rng(0)
    >>> params = np.array([3.0, -2.0])
    >>> adaptive = NoiseAdaptiveLR(base_lr=0.001, total_steps=300)
    >>> for _ in range(300):
    ...     gradients = params + rng.normal(size=(16, 2))      # of ½|x|², 16 noisy samples
    ...     loss = 0.5 * params @ params
    ...     params = params - adaptive.get_adapted_lr(gradients, loss) * gradients.mean(axis=0)
    >>> bool(np.abs(params).max() < 0.1)
    True
    """

    def __init__(
        self,
        base_lr: float,
        min_lr: float | None = None,
        max_lr: float | None = None,
        *,
        total_steps: int | None = None,
        alpha: float = 0.9,
        cooldown: int = 20,
        estimator: NoiseEstimator | None = None,
        smoother: LossSmoother | None = None,
        policy: Policy | None = None,
        path_dtype: str = "float64",
    ) -> None:
        self.base_lr = _checks.positive("base_lr", base_lr)
        self.min_lr = _checks.positive("min_lr", self.base_lr / RANGE if min_lr is None else min_lr)
        self.max_lr = _checks.positive("max_lr", self.base_lr * RANGE if max_lr is None else max_lr)
        if not self.min_lr <= self.base_lr <= self.max_lr:
            raise ValueError(
                f"`base_lr` must be within [min_lr, max_lr] = [{self.min_lr!r}, {self.max_lr!r}], "
                f"got {self.base_lr!r}."
            )
        self.total_steps = None if total_steps is None else _checks.count("total_steps", total_steps, 1)
        self.alpha = _checks.fraction("alpha", alpha)
        self.cooldown = _checks.count("cooldown", cooldown, 0)
        self.estimator = _part("estimator", estimator, NoiseEstimator) or NoiseEstimator(decay=MEMORY)
        self.smoother = _part("smoother", smoother, LossSmoother) or LossSmoother(self.alpha)
        self.policy: Policy = _part("policy", policy, Policy) or NoiseAdaptive()
        self.history = History()
        self._rows = RowAccumulator()
        if path_dtype not in DTYPES:
            raise ValueError(f"`path_dtype` must be one of {', '.join(DTYPES)}, got {path_dtype!r}.")
        self.path_dtype = path_dtype
        self._path = Path(dtype=path_dtype)
        self.reset()

    def __repr__(self) -> str:
        return f"NoiseAdaptiveLR({', '.join(f'{name}={getattr(self, name)!r}' for name in SETTINGS)})"

    def reset(self) -> None:
        """Begin a new run with the same settings."""
        self.estimator.reset()
        self.smoother.reset()
        self.policy.begin(self.base_lr, self.min_lr, self.max_lr, self.total_steps, self.cooldown)
        self.history.reset()
        self._rows = RowAccumulator()
        self._path.reset()
        self._state = _saving.RunState()
        self._decision: Decision | None = None
        self._told_end = False  # a run that is resumed past its end is told again

    # -- one step -----------------------------------------------------------------------------------

    def accumulate(self, row: ArrayLike, weight: float = 1.0) -> NoiseAdaptiveLR:
        """Fold in one row (D,) of the present step, the mean of `weight` samples; return this object.

        `get_adapted_lr(None, loss)` then ends the step; the (B, D) array need never exist.
        """
        vector = as_vector("row", row, self._rows.mean.size or self.estimator.dimension)
        self._rows.add(vector, _checks.positive("weight", weight))
        return self

    def get_adapted_lr(
        self, gradients_batch: ArrayLike | None, loss: float, params: ArrayLike | None = None
    ) -> float:
        """Return the learning rate to use for this step.

        Parameters
        ----------
        gradients_batch : array of shape (B, D), list of arrays of shape (B, …), or None
            The step's gradients, one row per sample (or microbatch), all at the present parameters; one array
            for each layer if a list. Any floating-point type, torch tensors on the CPU among them. None
            where `accumulate` brought them. From one row, noise is judged by the change from step to step.
        loss : float
            The step's loss, of the same samples.
        params : array of shape (D,), or list of arrays, optional
            The parameters before the step, for any optimizer but plain SGD, which is assumed without them:
            x ← x − lr · mean of the rows. Give them at every call or at none.

        Returns
        -------
        float
            Within [min_lr, max_lr]. After values that are not finite: never above the last rate.

        Raises
        ------
        TypeError, ValueError
            Where shapes or types do not fit; nothing is changed then.
        """
        dimension = self._rows.mean.size or self.estimator.dimension
        if gradients_batch is not None:
            rows = as_rows("gradients_batch", gradients_batch, dimension)
            dimension = rows.dimension
        elif self._rows.num_rows == 0:
            raise ValueError("`gradients_batch` must be given, since no row was accumulated for this step.")
        if type(loss) is not float:
            loss = _checks.scalar("loss", loss)
        position = None if params is None else as_vector("params", params, dimension)
        lr, forgetting = self._state.applied_lr, self.policy.forgetting
        if self._rows.num_rows == 0:
            return self._decide(self._path.measure(rows, lr, position, forgetting), loss)
        if gradients_batch is not None:
            self._rows.add_rows(rows)
        moments = self._rows.moments()
        if moments.usable:
            moments = self._path.advance(moments, self._rows.mean, lr, position, forgetting)
        self._rows.reset()
        return self._decide(moments, loss)

    def update_policy(self, moments: Moments, loss: float) -> float:
        """Return the learning rate to use for a step whose sums were made elsewhere.

        Without the sums of the path (`step_product` …) nothing shows that a larger rate would pay: the rate
        then never rises, and falls by the loss and the anneal alone.

        Examples
        --------
        >>> from nalr import Moments, NoiseAdaptiveLR
        >>> adaptive = NoiseAdaptiveLR(base_lr=0.1)
        >>> adaptive.update_policy(Moments.from_norms([1.2, 0.8], 0.9, dimension=10), loss=2.0)
        0.1
        """
        if not isinstance(moments, Moments):
            raise TypeError(f"`moments` must be a Moments record, got {type(moments).__name__}.")
        return self._decide(moments, _checks.scalar("loss", loss))

    def set_applied_lr(self, lr: float) -> None:
        """Say that the step was made with another rate than the last answer; 0 if it was not made.

        For a schedule that multiplies the answer, and for steps that were left out.
        """
        lr = _checks.scalar("lr", lr)
        if not 0.0 <= lr < math.inf:
            raise ValueError(f"`lr` must be at least 0 and finite, got {lr!r}.")
        self._state.applied_lr = lr

    def limit_first_step(self, promise: float, loss: float, length: float = math.nan) -> float:
        """Return the share in (0, 1] of the first step to keep, where a part of it can be rolled back.

        `promise` is ⟨g, s⟩ of that step s = x_before − x_now and the gradient that it was made from: no step
        may promise more of the loss than there is. `length` is that of the step over that of the parameters,
        if known. The rate shrinks with the step, but not below `min_lr`.
        """
        last = self.lr
        share = max(self.policy.limit_first_step(promise, loss, length), min(self.min_lr / last, 1.0))
        if share < 1.0:
            self._state.lr = max(share * last, self.min_lr)  # a rounding may lead below it
            self._state.applied_lr *= share
        return share

    def restart(self, lr: float) -> None:
        """Go on at `lr` from parameters that were put back to an earlier state of the run."""
        lr = min(max(_checks.positive("lr", lr), self.min_lr), self.max_lr)
        self.policy.restart(lr)
        self._path.reset()
        self._state.lr, self._state.applied_lr = lr, 0.0

    def _decide(self, moments: Moments, loss: float) -> float:
        state = self._state
        self.estimator.update_moments(moments)
        averages, smoothed, usable = self.estimator.averages, self.smoother.update(loss), moments.usable
        if usable and math.isfinite(loss):
            decision, state.skipped = self._ask(moments, loss, averages[1]), 0
        else:
            state.skipped += 1
            decision = self._skip(state.skipped, moments, loss)
            state.nonfinite += moments.nonfinite + (not math.isfinite(loss))
        self._decision = decision
        numbers = (state.step, loss, smoothed, decision, moments.total_weight, averages)
        self.history.record(*numbers, self.estimator)
        state.lr, state.applied_lr = decision.lr, decision.lr if usable else 0.0
        state.step += 1
        if self.total_steps is not None and state.step > self.total_steps and not self._told_end:
            self._told_end = True
            _checks.warn_past_end(self.total_steps, decision.lr)
        return decision.lr

    def _ask(self, moments: Moments, loss: float, variance: float) -> Decision:
        """Ask the policy, and hold its answer within the bounds."""
        noise = variance / moments.total_weight
        evidence = Evidence(self._state.step, loss, self._state.applied_lr, moments, noise)
        decision = self.policy.decide(evidence)
        if self.min_lr <= decision.lr <= self.max_lr:
            return decision
        finite = self.lr if math.isnan(decision.lr) else decision.lr
        return Decision(min(max(finite, self.min_lr), self.max_lr), Reason.BOUND, decision.evidence)

    def _skip(self, repeated: int, moments: Moments, loss: float) -> Decision:
        lr = max(min(self.policy.skip(self.lr, repeated), self.lr), self.min_lr)
        numbers = {"nonfinite_gradients": float(moments.nonfinite), "loss": loss, "in_a_row": float(repeated)}
        return Decision(lr, Reason.SKIP, numbers)

    # -- what it knows ------------------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The present learning rate; `base_lr` before the first call."""
        return self.base_lr if math.isnan(self._state.lr) else self._state.lr

    @property
    def last_decision(self) -> Decision | None:
        """The last rate with its reason and the numbers behind it; None before the first call."""
        return self._decision

    @property
    def forgetting(self) -> float:
        """Share of the displacement from the start that the next step forgets, for paths kept elsewhere."""
        return self.policy.forgetting

    def reading(self) -> NoiseReading:
        """Return what the gradients so far say of their noise: see `NoiseEstimator.reading`."""
        return self.estimator.reading()

    def summary(self) -> str:
        """Return a short text: what it did, when, why; `nalr.report` says more."""
        if self._state.step == 0:
            return f"no steps yet; the first rate will be {self.base_lr:g}"
        from nalr.reporting.summary import summarize  # most runs never ask for it

        return summarize(self.history, self.reading(), self._state.step, self._state.nonfinite)

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly: numbers, strings, lists, dicts and NumPy arrays."""
        return _saving.saved(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state of `state_dict` of the same settings: what follows is the same, bit for bit.

        `total_steps` alone may differ, to make a run longer or shorter: the rate goes on as if it had been
        planned so from the start.

        Raises
        ------
        ValueError
            If another setting differs; nothing is changed then.
        """
        _saving.load(self, state)


def _part(name: str, value: Any, kind: type) -> Any:
    """Return a given part if it is of its kind, None if none was given."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"`{name}` must be a {kind.__name__}, got {value!r}.")
    return value
