"""How much of the gradient is noise: streaming estimates of tr Σ, |G|² and their ratio, with intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks, _state
from nalr._checks import NoiseWarning
from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, as_rows, as_vector
from nalr.moments.record import Moments, checked_weights
from nalr.moments.rows import RowAccumulator
from nalr.noise.columns import PooledColumns, column_variance
from nalr.noise.inputs import checked_groups, moved_by, scaled
from nalr.noise.jackknife import within_step_covariance
from nalr.noise.reading import NoiseReading, Seen, make_reading
from nalr.statistics.averages import DecayedAverages
from nalr.statistics.long_run import FEWEST_BLOCKS
from nalr.statistics.within_step import Within

Vector = NDArray[np.float64]


@dataclass(slots=True)
class _Scalars:
    """All that changes, but for arrays and averages."""

    dimension: int | None = None
    nonfinite: int = 0
    closed: bool = False  # whether `update` has ended the step that the rows belong to
    skipped: bool = False  # whether the latest step was not finite
    source: str = "none"
    num_rows: int = 0  # of the latest usable step
    batch_size: float = 0.0  # its total weight
    previous_squared_norm: float = math.nan  # |ḡ|² of the latest usable step, and its total weight:
    previous_weight: float = math.nan  # what a one-row step is compared with


class NoiseEstimator:
    """Gradient noise from the rows of each step, averaged over steps, with intervals.

    Parameters
    ----------
    decay : float
        Weight of a step relative to the next, in [0, 1): 0 keeps the latest step alone, 1 would never
        forget. The default remembers about 100 steps.
    population : int, optional
        Number of samples in the data set, when rows are drawn from it *without replacement*: |ḡ|² −
        tr Σ/B is then low by tr Σ/N, which is added to what is reported.
    confidence : float
        Level of the intervals, in (0, 1).
    per_coordinate : bool
        Keep the mean and variance of each coordinate over all rows since `reset` (streaming Welford): two
        more D-vectors, and a second pass over the rows.
    groups : mapping of str to slice, optional
        Column ranges, such as layers, to give readings of their own (`reading().groups`). Each is a further
        pass over its columns. Their tr Σ and |G|² add up to the whole where they share all columns out.

    Raises
    ------
    TypeError, ValueError
        Where a setting is outside its range.

    Notes
    -----
    With k rows of weight wᵢ, B = Σ wᵢ: tr Σ = Σ wᵢ|gᵢ − ḡ|²/(k − 1), unbiased since each of the k
    independent deviations is measured from their own mean, which takes one; |G|² = |ḡ|² − tr Σ/B, unbiased
    since E|ḡ|² = |G|² + tr Σ/B. Both raw values are averaged over steps and clamped only on reading: clamped
    first, their mean keeps what chance put above zero and loses what it put below (`nalr bench estimators`).

    Intervals: in the first 7 steps from the rows within each (`nalr.noise.jackknife`), later from the course
    of the averages, whatever its correlation (`nalr.statistics.long_run`); of ratios after Fieller, which
    gives a lower bound alone where |G|² may be zero. One row a step: see `source` of `NoiseReading`.

    Memory: one D-vector, two with one-row steps. Cost: one pass over the rows; two more for each of the first
    7 steps. Sources: McCandlish et al. 2018 (arXiv:1812.06162); Welford 1962; Chan, Golub & LeVeque 1979;
    Efron & Stein 1981; Fieller 1954; Lazarus, Lewis, Stock & Watson 2018.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> estimator = NoiseEstimator()
    >>> for _ in range(50):
    ...     gradients = 0.1 + rng.normal(size=(32, 1000))     # |G|² = 10, tr Σ = 1000
    ...     _ = estimator.update(gradients)
    >>> reading = estimator.reading()
    >>> print(f"{reading.noise_scale:.2f} {reading.gradient_noise_scale:.0f} {reading.status}")
    1.00 98 ok
    """

    def __init__(
        self,
        *,
        decay: float = 0.99,
        population: int | None = None,
        confidence: float = 0.95,
        per_coordinate: bool = False,
        groups: Mapping[str, slice] | None = None,
    ) -> None:
        self.decay = _checks.fraction("decay", decay)
        self.population = None if population is None else _checks.count("population", population, 1)
        self.confidence = _checks.real("confidence", confidence, "in (0, 1)", 0.0, 1.0, closed="neither")
        if not isinstance(per_coordinate, bool):
            raise TypeError(f"`per_coordinate` must be True or False, got {per_coordinate!r}.")
        self.per_coordinate = per_coordinate
        self.groups = checked_groups(groups)
        self._warned = False
        self.reset()

    def __repr__(self) -> str:
        names = ("decay", "population", "confidence", "per_coordinate", "groups")
        return f"NoiseEstimator({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"

    def reset(self) -> None:
        """Forget everything but the settings."""
        self._state = _Scalars()
        self._averages = DecayedAverages(self.decay)
        self._rows = RowAccumulator()  # the latest step
        self._before = RowAccumulator()  # the one before, where a one-row step needs it
        self._within: Within | None = None  # of the latest step
        self._moved: Vector | None = None  # H·step before the latest step, where given
        self._columns = PooledColumns()  # fed with `per_coordinate` only
        self._children = {
            name: NoiseEstimator(decay=self.decay, population=self.population, confidence=self.confidence)
            for name in self.groups
        }

    # -- pure measurements of one batch -------------------------------------------------------------

    def estimate_noise(self, gradients: ArrayLike) -> float:
        """Return the noise of one batch: √(mean over coordinates of the unbiased variance over rows).

        Parameters
        ----------
        gradients : array of shape (B, D)
            One row per sample, all at the same parameters.

        Returns
        -------
        float
            In the unit of a gradient. One row says nothing about noise: 0.0, with one `NoiseWarning`.

        Notes
        -----
        Pure: no state changes. The variances are unbiased (see `compute_variance`) and so is their mean; its
        root is low by a share of about 1/(4 DB) of itself for independent coordinates, since a root is
        concave. Averages over steps belong under the root: `reading().noise_scale`.

        Cost: one pass over the rows. Not finite where the rows are not. Source: Chan, Golub & LeVeque 1979.

        Examples
        --------
        >>> NoiseEstimator().estimate_noise([[1.0, 2.0], [3.0, 2.0]])
        1.0
        """
        rows = as_rows("gradients", gradients)
        if len(rows) == 1:
            self._warn_once(
                "A batch of one row says nothing about gradient noise, so it is given as 0.0. Pass at "
                "least 2 rows (4 or more for a useful estimate), or use `update`, which compares "
                "successive steps."
            )
            return 0.0
        spread = batch.measure(rows)[0]
        return math.sqrt(spread / ((len(rows) - 1) * rows.dimension))

    def compute_variance(self, gradients: ArrayLike) -> NDArray[np.float64]:
        """Return the unbiased variance over rows (ddof = 1) of each coordinate of one batch.

        Parameters
        ----------
        gradients : array of shape (B, D)
            One row per sample, all at the same parameters.

        Returns
        -------
        array of shape (D,), float64
            Zeros, with one `NoiseWarning`, for one row.

        Notes
        -----
        Pure: no state changes. Σᵢ(gᵢ − ḡ)²/(B − 1) of each coordinate. The rows are B independent draws;
        measured from their own mean, their squares add up to B − 1 variances on average, since the mean takes
        one: E Σ(gᵢ − ḡ)² = Bσ² − B·σ²/B. Dividing by B (ddof = 0) is low by σ²/B.

        Cost: one pass over cache-sized blocks; an offset of 10⁸ deviations is harmless. Source: Welford 1962.

        Examples
        --------
        >>> NoiseEstimator().compute_variance([[1.0, 2.0], [3.0, 2.0]])
        array([2., 0.])
        """
        rows = as_rows("gradients", gradients)
        if len(rows) == 1:
            self._warn_once(
                "The variance of one row is not defined and is given as 0.0. Pass at least 2 rows."
            )
            return np.zeros(rows.dimension)
        return column_variance(rows)

    # -- the stream ---------------------------------------------------------------------------------

    def accumulate(
        self, row: ArrayLike, weight: float = 1.0, *, preconditioner: ArrayLike | None = None
    ) -> NoiseEstimator:
        """Fold one row of the present step in; `update()` ends the step.

        Parameters
        ----------
        row : array of shape (D,)
            One sample's gradient, or a microbatch's mean gradient.
        weight : float
            How many samples the row is the mean of; positive.
        preconditioner : array of shape (D,), optional
            As for `update`: the same for all rows of a step, and for the `update()` that ends it.

        Returns
        -------
        NoiseEstimator
            This object.

        Notes
        -----
        The (B, D) array need never exist. Any split of the rows gives the same reading up to rounding.

        Examples
        --------
        >>> estimator = NoiseEstimator()
        >>> for row in ([1.0, 0.0], [3.0, 0.0], [2.0, 0.0]):
        ...     _ = estimator.accumulate(row)
        >>> estimator.update().reading().total_variance
        1.0
        """
        vector = as_vector("row", row, self._state.dimension)
        return self._accumulate(scaled(vector, preconditioner), _checks.positive("weight", weight))

    def _accumulate(self, vector: Gradients, weight: float) -> NoiseEstimator:
        self._open(vector.dimension)
        self._rows.add(vector, weight)
        self._within = None
        if self.per_coordinate:
            self._columns.update(vector)
        for name, child in self._children.items():
            child._accumulate(vector.columns(self.groups[name]), weight)
        return self

    def update(
        self,
        gradients: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        preconditioner: ArrayLike | None = None,
        hessian_step: ArrayLike | None = None,
    ) -> NoiseEstimator:
        """Fold one step's rows in and end the step.

        Parameters
        ----------
        gradients : array of shape (B, D), optional
            The step's rows; left out where `accumulate` brought them.
        weights : array of shape (B,), optional
            How many samples each row is the mean of; positive, 1 each by default.
        preconditioner : array of shape (D,), optional
            P, positive, of an optimizer that steps along P times the gradient, such as 1/(√v̂ + ε) of Adam:
            everything is then measured of P^½ g, so that `signal` is GᵀPG and `total_variance` tr(PΣ). Take
            the *previous* step's P, since the present one has seen these gradients. Give it at every step or
            at none. Each window of columns is copied and scaled: about twice the time.
        hessian_step : array of shape (D,), optional
            H s, with s = x_before − x_now the step from the latest update's parameters to these, as a
            `hessian_vector_product` or `finite_difference_hvp` gives it. A step of one row is then compared
            with the one before as if both stood at the same point: the curvature's share is gone.

        Returns
        -------
        NoiseEstimator
            This object.

        Raises
        ------
        TypeError, ValueError
            If the shape differs from earlier steps, the step has no rows, or P is not positive.

        Examples
        --------
        >>> NoiseEstimator().update([[1.0, 2.0], [3.0, 2.0]]).reading().total_variance
        2.0
        """
        if gradients is not None:
            rows = as_rows("gradients", gradients, self._state.dimension)
            shares = None if weights is None else checked_weights(weights, len(rows))
            moved = moved_by(hessian_step, preconditioner, rows.dimension)
            self._add_rows(scaled(rows, preconditioner), shares)
        elif self._state.closed or self._rows.num_rows == 0:
            raise ValueError("`gradients` must be given, since no row was accumulated for this step.")
        else:
            moved = moved_by(hessian_step, preconditioner, self._rows.mean.size)
        self._end_step(moved)
        return self

    def _end_step(self, moved: Vector | None) -> None:
        """Close the step, `moved` being what the step before it took off the gradient, if that is known."""
        self._state.closed = True
        self._moved = moved
        for name, child in self._children.items():
            child._end_step(None if moved is None else moved[self.groups[name]])

    def _add_rows(self, rows: Gradients, shares: list[float] | None) -> None:
        self._open(rows.dimension)
        alone = self._rows.num_rows == 0
        self._rows.add_rows(rows, shares)
        if alone and self._averages.state.count < FEWEST_BLOCKS and self._rows.nonfinite == 0:
            self._within = self._of_sample(within_step_covariance(rows, self._rows, shares))
        if self.per_coordinate:
            self._columns.update(rows)
        for name, child in self._children.items():
            child._add_rows(rows.columns(self.groups[name]), shares)

    def _of_sample(self, within: Within | None) -> Within | None:
        """Return the errors of one step's estimates as for rows without replacement, if they are."""
        if within is None or self.population is None:
            return within
        return within.of_sample(self._rows.total_weight / self.population)

    def update_moments(self, moments: Moments) -> NoiseEstimator:
        """Take in one step from its sums, made elsewhere.

        Parameters
        ----------
        moments : Moments
            The sums; `previous_product` lets a one-row step be compared with the step before.

        Returns
        -------
        NoiseEstimator
            This object.
        """
        s = self._state
        if s.dimension not in (None, moments.dimension):
            raise ValueError(
                f"`moments` must have dimension {s.dimension} as in earlier updates, got {moments.dimension}."
            )
        s.dimension = moments.dimension
        self._close()
        self._take(moments, moments.mean_squared_norm, None)
        return self

    def _open(self, dimension: int) -> None:
        """Begin a step if the latest was ended."""
        self._state.dimension = dimension
        if self._state.closed:
            self._close()

    def _close(self) -> None:
        """Let the latest step, if any, become part of the averages."""
        if not self._state.closed:
            return
        self._take(*self._step(), self._within)
        if not self._state.skipped:  # a step that was not usable is nothing to compare the next one with
            self._rows, self._before = self._before, self._rows
        self._rows.reset()
        self._within = self._moved = None
        self._state.closed = False

    def _step(self) -> tuple[Moments, float]:
        """Return the sums of the latest step, with the product and |g|² that a one-row step is judged by."""
        moments = self._rows.moments()
        square = moments.mean_squared_norm
        if moments.num_rows == 1 and moments.usable and self._before.num_rows:
            gradient = self._rows.mean
            if self._moved is not None:
                gradient = gradient + self._moved  # what it would be where the one before was taken
                square = batch.inner_product(gradient, gradient)
            moments = moments._replace(previous_product=batch.inner_product(gradient, self._before.mean))
        return moments, square

    def _take(self, moments: Moments, square: float, within: Within | None) -> None:
        s = self._state
        s.nonfinite += moments.nonfinite
        s.skipped = not moments.usable
        if s.skipped:
            return
        raw = self._raw(moments, square)
        s.num_rows = moments.num_rows
        s.batch_size = moments.total_weight
        s.previous_squared_norm = moments.mean_squared_norm
        s.previous_weight = moments.total_weight
        if raw is not None:
            self._averages.add(*raw, within)

    def _raw(self, moments: Moments, square: float) -> tuple[float, float] | None:
        """Return this step's unbiased (|G|², tr Σ), or None where one row has nothing to be compared with.

        One row: E|gₜ − gₜ₋₁|² = tr Σ (1/wₜ + 1/wₜ₋₁) and E⟨gₜ, gₜ₋₁⟩ = |G|², but for what the step s between
        them changes: NoiseReading's `source` has it. With Hs known, gₜ + Hs is a gradient at the point of
        gₜ₋₁ with a noise of its own (on a quadratic; else to second order): both are unbiased again.
        """
        s = self._state
        if moments.num_rows > 1:
            s.source = "rows"
            variance = moments.total_variance
            return moments.mean_squared_norm - variance / moments.total_weight, variance
        product = moments.previous_product
        if math.isnan(product) or math.isnan(s.previous_squared_norm):
            return None
        s.source = "steps" if self._moved is None else "steps, curvature removed"
        change = max(square + s.previous_squared_norm - 2.0 * product, 0.0)
        variance = change / (1.0 / moments.total_weight + 1.0 / s.previous_weight)
        return product, variance

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each coordinate over all rows since `reset`, (D,); a copy. Needs `per_coordinate`."""
        return self._pooled("mean").mean.copy()

    @property
    def variance(self) -> NDArray[np.float64]:
        """Unbiased variance of each coordinate over all rows since `reset`, (D,). Needs `per_coordinate`.

        Rows of different steps are pooled, so drift of the gradient counts as variance.
        """
        return self._pooled("variance").variance

    def _pooled(self, name: str) -> PooledColumns:
        if not self.per_coordinate:
            raise ValueError(f"`{name}` must be asked of `NoiseEstimator(per_coordinate=True)`.")
        if not self._columns.count:
            raise ValueError(f"`{name}` must be asked after the first finite rows.")
        return self._columns

    # -- readings -----------------------------------------------------------------------------------

    @property
    def dimension(self) -> int | None:
        """D, once it is known."""
        return self._state.dimension

    @property
    def total_variance(self) -> float:
        """The averaged tr Σ of the steps that have ended, without an interval: a few flops; nan at first."""
        return self._values()[1]

    @property
    def signal(self) -> float:
        """The averaged |G|², *not clamped*, without the population's share; nan at first. To average on."""
        return self._values()[0]

    def _values(self) -> tuple[float, float]:
        """Return the averages with the latest step in them, leaving it open to `merge`."""
        raw = self._latest()
        return (self._averages.first, self._averages.second) if raw is None else self._averages.after(*raw)

    def _ended(self) -> DecayedAverages:
        """Return the same with what intervals need."""
        raw = self._latest()
        if raw is None:
            return self._averages
        averages = self._averages.copy()
        averages.add(*raw, self._within)
        return averages

    def _latest(self) -> tuple[float, float] | None:
        """Return what the latest step says, if it was ended and is not in the averages yet."""
        if not self._state.closed:
            return None
        moments, square = self._step()
        return self._raw(moments, square) if moments.usable else None

    def reading(self) -> NoiseReading:
        """Return what the steps so far say: numbers, intervals, and what they are worth.

        Returns
        -------
        NoiseReading
            Frozen. A few microseconds; no pass over arrays but for one dot product of a one-row step.

        Examples
        --------
        >>> str(NoiseEstimator().reading().status)
        'no gradients seen yet'
        """
        averages = self._ended()
        s = self._state
        seen = Seen(s.dimension or 1, s.num_rows, s.batch_size, s.nonfinite, s.skipped, s.source)
        if s.closed:
            moments = self._rows.moments()
            seen = seen._replace(nonfinite=s.nonfinite + moments.nonfinite, skipped=not moments.usable)
            if moments.usable:
                seen = seen._replace(num_rows=moments.num_rows, batch_size=moments.total_weight)
        groups = {name: child.reading() for name, child in self._children.items()}
        return make_reading(averages, seen, self.population, self.confidence, groups)

    # -- joining and keeping ------------------------------------------------------------------------

    def merge(self, other: NoiseEstimator) -> NoiseEstimator:
        """Fold in what another estimator saw of the same steps, as if this one had seen those rows too.

        Rows of the latest step of both are one step's rows (Chan, Golub & LeVeque), whatever the split.
        Earlier steps are beyond joining row by row, since their means are gone: their estimates are pooled
        with equal weight. Workers that merge every step lose nothing.

        Parameters
        ----------
        other : NoiseEstimator
            With the same settings; left as it is.

        Returns
        -------
        NoiseEstimator
            This object.

        Raises
        ------
        ValueError
            If settings or dimension differ; nothing is changed then.

        Examples
        --------
        >>> rows = [[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]
        >>> merged = NoiseEstimator().update(rows[:1]).merge(NoiseEstimator().update(rows[1:]))
        >>> merged.reading().total_variance
        1.0
        """
        if not isinstance(other, NoiseEstimator):
            raise TypeError(f"`other` must be a NoiseEstimator, got {type(other).__name__}.")
        if repr(self) != repr(other):
            raise ValueError(f"`other` must have the same settings, got {other!r} to merge into {self!r}.")
        mine, theirs = self._state, other._state
        if mine.dimension is not None and theirs.dimension not in (None, mine.dimension):
            raise ValueError(f"`other` must have dimension {mine.dimension} as here, got {theirs.dimension}.")
        mine.dimension = mine.dimension or theirs.dimension
        self._averages.merge(other._averages)
        self._rows.merge(other._rows)
        self._within = None
        self._moved = self._moved if other._moved is None else other._moved
        mine.closed = mine.closed or theirs.closed
        mine.nonfinite += theirs.nonfinite
        if mine.source == "none":
            mine.source = theirs.source
        self._columns.merge(other._columns)
        for name, child in self._children.items():
            child.merge(other._children[name])
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly, as numbers, strings, lists, dicts and NumPy arrays."""
        return {
            "settings": repr(self),
            "scalars": {name: getattr(self._state, name) for name in self._state.__slots__},
            "averages": self._averages.state_dict(),
            "rows": self._rows.state_dict(),
            "before": self._before.state_dict(),
            "within": None if self._within is None else list(self._within),
            "moved": None if self._moved is None else self._moved.copy(),
            "columns": self._columns.state_dict(),
            "warned": self._warned,
            "groups": {name: child.state_dict() for name, child in self._children.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state of `state_dict`: what follows is the same, bit for bit, as without the break.

        Raises
        ------
        ValueError
            If the state was saved under other settings; nothing is changed then.
        """
        _state.saved_by(self, state)
        if set(state) != set(self.state_dict()):
            raise ValueError(f"`state` must have been saved by this version of nalr, got {sorted(state)}.")
        self._state = _Scalars(**state["scalars"])
        self._averages.load_state_dict(state["averages"])
        self._rows.load_state_dict(state["rows"])
        self._before.load_state_dict(state["before"])
        self._within = None if state["within"] is None else Within(*state["within"])
        self._moved = None if state["moved"] is None else np.array(state["moved"])
        self._columns.load_state_dict(state["columns"])
        self._warned = bool(state["warned"])
        for name, child in self._children.items():
            child.load_state_dict(state["groups"][name])

    def _warn_once(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, NoiseWarning, stacklevel=3)


def compute_gradient_variance(gradients: ArrayLike) -> NDArray[np.float64]:
    """Return the unbiased variance over rows of each coordinate: `NoiseEstimator().compute_variance`.

    Parameters
    ----------
    gradients : array of shape (B, D)
        One row per sample, all at the same parameters.

    Returns
    -------
    array of shape (D,), float64

    Examples
    --------
    >>> compute_gradient_variance([[1.0, 2.0], [3.0, 2.0]])
    array([2., 0.])
    """
    return NoiseEstimator().compute_variance(gradients)
