"""How much of the gradient is noise: streaming estimates of tr Σ, |G|² and their ratio, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks, _state
from nalr.arrays.gradients import Gradients, as_rows, as_vector
from nalr.moments.record import Moments, checked_weights
from nalr.noise.columns import PooledColumns
from nalr.noise.inputs import checked_groups, moved_by, scaled
from nalr.noise.one_batch import OneBatch
from nalr.noise.reading import NoiseReading
from nalr.noise.stream import Stream


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

    Attributes
    ----------
    dimension : int or None
        D, once it is known.

    Notes
    -----
    With k rows of weight wᵢ, B = Σ wᵢ: tr Σ = Σ wᵢ|gᵢ − ḡ|²/(k − 1) and |G|² = |ḡ|² − tr Σ/B, both unbiased,
    averaged over steps, and clamped only on reading. Intervals of the first 7 steps come from the rows within
    each (`nalr.noise.jackknife`), later ones from the course of the averages, whatever its correlation
    (`nalr.statistics.long_run`). docs/noise.md has the formulas, why they are unbiased, and where they fail.

    Memory: one D-vector, two with one-row steps. Cost: one pass over the rows; one more for each of the first
    7 steps. Source: McCandlish et al. 2018 (arXiv:1812.06162).

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
        self._one_batch = OneBatch()
        self.reset()

    def __repr__(self) -> str:
        names = ("decay", "population", "confidence", "per_coordinate", "groups")
        return f"NoiseEstimator({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"

    def reset(self) -> None:
        """Forget everything but the settings."""
        self.dimension: int | None = None
        self._stream = Stream(self.decay, self.population, self.groups, self.per_coordinate)

    def estimate_noise(self, gradients: ArrayLike) -> float:
        """Return the noise of one batch: √(mean over coordinates of the unbiased variance over rows).

        Parameters
        ----------
        gradients : array of shape (B, D)
            One row per sample, all at the same parameters. No state changes.

        Returns
        -------
        float
            In the unit of a gradient; as a root it is low by a share of about 1/(4 DB). One row says nothing
            about noise: 0.0, with one `NoiseWarning`.

        Examples
        --------
        >>> NoiseEstimator().estimate_noise([[1.0, 2.0], [3.0, 2.0]])
        1.0
        """
        return self._one_batch.estimate_noise(gradients)

    def compute_variance(self, gradients: ArrayLike) -> NDArray[np.float64]:
        """Return the unbiased variance over rows (ddof = 1) of each coordinate of one batch, (D,).

        Parameters
        ----------
        gradients : array of shape (B, D)
            One row per sample, all at the same parameters. No state changes. One row gives zeros, with one
            `NoiseWarning`.

        Examples
        --------
        >>> NoiseEstimator().compute_variance([[1.0, 2.0], [3.0, 2.0]])
        array([2., 0.])
        """
        return self._one_batch.compute_variance(gradients)

    def accumulate(
        self, row: ArrayLike, weight: float = 1.0, *, preconditioner: ArrayLike | None = None
    ) -> NoiseEstimator:
        """Fold one row of the present step in; `update()` ends the step. The (B, D) array need never exist.

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

        Examples
        --------
        >>> estimator = NoiseEstimator()
        >>> for row in ([1.0, 0.0], [3.0, 0.0], [2.0, 0.0]):
        ...     _ = estimator.accumulate(row)
        >>> estimator.update().reading().total_variance
        1.0
        """
        vector = as_vector("row", row, self.dimension)
        weight = _checks.positive("weight", weight)
        if preconditioner is not None:
            vector = scaled(vector, preconditioner)
        self._stream.add(vector, weight)
        self.dimension = vector.dimension
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
        rows: Gradients | None = None
        shares = None
        if gradients is not None:
            rows = as_rows("gradients", gradients, self.dimension)
            dimension = rows.dimension
            shares = None if weights is None else checked_weights(weights, rows.num_rows)
        else:
            dimension = self._stream.step.dimension
            if not dimension:
                raise ValueError("`gradients` must be given, since no row was accumulated for this step.")
        moved = None if hessian_step is None else moved_by(hessian_step, preconditioner, dimension)
        if rows is not None and preconditioner is not None:
            rows = scaled(rows, preconditioner)
        self._stream.update(rows, shares, moved)
        self.dimension = dimension
        return self

    def update_moments(self, moments: Moments) -> NoiseEstimator:
        """Take in a step from its sums; `previous_product` is what steps of one row are compared by."""
        if self.dimension not in (None, moments.dimension):
            raise ValueError(
                f"`moments` must have dimension {self.dimension} as in earlier updates, "
                f"got {moments.dimension}."
            )
        self.dimension = moments.dimension
        self._stream.update_moments(moments)
        return self

    # -- readings -----------------------------------------------------------------------------------

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each coordinate over all rows since `reset`, (D,). Requires `per_coordinate`."""
        return self._pooled("mean").mean.copy()

    @property
    def variance(self) -> NDArray[np.float64]:
        """Unbiased variance of each coordinate over all rows since `reset`, (D,). Requires `per_coordinate`.

        Rows of different steps are pooled, so drift of the gradient counts as variance.
        """
        return self._pooled("variance").variance

    def _pooled(self, name: str) -> PooledColumns:
        columns = self._stream.columns
        if columns is None:
            raise ValueError(f"`{name}` must be asked of `NoiseEstimator(per_coordinate=True)`.")
        if not columns.count:
            raise ValueError(f"`{name}` must be asked after the first finite rows.")
        return columns

    @property
    def averages(self) -> tuple[float, float]:
        """`signal` and `total_variance`, which are made together."""
        return self._stream.values()

    @property
    def total_variance(self) -> float:
        """The averaged tr Σ of the steps that have ended, without an interval: a few flops; nan at first."""
        return self._stream.values()[1]

    @property
    def signal(self) -> float:
        """The averaged |G|², *not clamped*, without the population's share; nan at first. To average on."""
        return self._stream.values()[0]

    def reading(self) -> NoiseReading:
        """Return the estimates of the steps so far, with intervals and a status.

        Examples
        --------
        >>> str(NoiseEstimator().reading().status)
        'no gradients seen yet'
        """
        return self._stream.reading(self.dimension or 1, self.confidence)

    def merge(self, other: NoiseEstimator) -> NoiseEstimator:
        """Fold in what another estimator saw of the same steps, as if this one had seen those rows too.

        Rows of the latest step of both are one step's rows (Chan, Golub & LeVeque), whatever the split.
        Earlier steps are beyond joining row by row, since their means are gone: their estimates are pooled
        with equal weight. Workers that merge every step lose nothing. `other` is left as it is.

        Raises
        ------
        TypeError, ValueError
            If `other` is none, or settings or dimension differ; nothing is changed then.

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
        if self.dimension is not None and other.dimension not in (None, self.dimension):
            raise ValueError(f"`other` must have dimension {self.dimension} as here, got {other.dimension}.")
        self.dimension = self.dimension or other.dimension
        self._stream.merge(other._stream)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly, as numbers, strings, lists, dicts and NumPy arrays."""
        return {
            "settings": repr(self),
            "dimension": self.dimension,
            "warned": self._one_batch.warned,
            "stream": self._stream.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state of `state_dict`: what follows is the same, bit for bit, as without the break.

        Raises
        ------
        ValueError
            If the state was saved under other settings; nothing is changed then.
        """
        _state.saved_by(self, state)
        self.dimension = state["dimension"]
        self._one_batch.warned = bool(state["warned"])
        self._stream.load_state_dict(state["stream"])
