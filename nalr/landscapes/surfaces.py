"""Noise-free loss surfaces: value, gradient, curvature, optimum and Gaussian-smoothed value in closed form.

`value`, `gradient` and `smoothed` take points with any leading axes, (..., D). Nothing is checked here but
settings: points are checked at the door, in `landscape.py`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks

Array = NDArray[np.float64]


class Surface(ABC):
    """A smooth function of D parameters with a known global minimum."""

    def __init__(self, dim: int, start: Array, optimum: Array) -> None:
        self.dim = dim
        self.start = start  # (D,) a customary first point
        self.optimum = optimum  # (D,) a global minimiser

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return the loss (...) at `x` (..., D)."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return the gradient (..., D) at `x` (..., D)."""

    @abstractmethod
    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the Hessian at `x` (D,) times `v` (D,)."""

    @abstractmethod
    def smoothed(self, x: Array, width: float) -> Array:
        """Return E f(x + width·z), z standard normal: the value that a Gaussian window of `width` sees."""

    def advance(self, rng: np.random.Generator) -> None:  # noqa: B027  a surface that stands still does nothing
        """Move on by one step of time."""

    def restart(self) -> None:  # noqa: B027
        """Go back to time zero."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `advance` changes, in plain Python types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up a state that `state_dict` gave."""


class Quadratic(Surface):
    """½ (x − x*)ᵀ H (x − x*) with the eigenvalues of H given; O(D) unless rotated, then O(D²)."""

    def __init__(
        self,
        dim: int,
        *,
        spectrum: ArrayLike | None = None,
        condition: float | None = None,
        rotate: bool = False,
        optimum: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        centre = np.zeros(dim) if optimum is None else _setting_vector("optimum", optimum, dim)
        super().__init__(dim, centre + 3.0, centre)
        self.spectrum = _eigenvalues(dim, spectrum, condition)
        self.rotation_seed = seed if _flag("rotate", rotate) else None
        self.basis = _random_rotation(dim, self.rotation_seed)  # (D, D), eigenvectors in columns

    def value(self, x: Array) -> Array:
        """Return half the squared distance in the metric of H."""
        return np.asarray(0.5 * (self.spectrum * self._to_eigenbasis(x - self.optimum) ** 2).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return H (x − x*)."""
        return self._apply(self.spectrum, x - self.optimum)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return H v, the same at every `x`."""
        return self._apply(self.spectrum, v)

    def hessian_root_rows(self, rows: Array) -> Array:
        """Return the rows (B, D) times H^½, so that white rows get covariance H."""
        return self._apply(np.sqrt(self.spectrum), rows)

    def hessian(self) -> Array:
        """Return H (D, D)."""
        return self._apply(self.spectrum, np.eye(self.dim))

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus ½ width² tr H: smoothing only lifts a quadratic."""
        return np.asarray(self.value(x) + 0.5 * width**2 * self.spectrum.sum())

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the rotation, so that a run resumes on the same surface."""
        return {"rotation_seed": self.rotation_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Turn the surface as it was turned."""
        if state["rotation_seed"] != self.rotation_seed:
            self.rotation_seed = state["rotation_seed"]
            self.basis = _random_rotation(self.dim, self.rotation_seed)

    def _to_eigenbasis(self, x: Array) -> Array:
        return x if self.basis is None else x @ self.basis

    def _apply(self, eigenvalues: Array, x: Array) -> Array:
        scaled = eigenvalues * self._to_eigenbasis(x)
        return scaled if self.basis is None else scaled @ self.basis.T


class Rugged(Surface):
    """½ c|x|² + A Σ (1 − cos ωx_j): a bowl of curvature c with divots of depth 2A every 2π/ω.

    Not convex once Aω² > c; minima besides the global one, at 0, exist once Aω²/c > 4.6033 (there −sin u / u
    first reaches c/(Aω²)).
    """

    def __init__(
        self, dim: int, *, amplitude: float = 1.0, frequency: float = 10.0, curvature: float = 1.0
    ) -> None:
        super().__init__(dim, np.full(dim, 3.0), np.zeros(dim))
        self.amplitude = _non_negative("amplitude", amplitude)
        self.frequency = _checks.positive("frequency", frequency)
        self.curvature = _checks.positive("curvature", curvature)

    def value(self, x: Array) -> Array:
        """Return bowl plus divots, the cosine as 2 sin² so that nothing cancels near 0."""
        divots = 2.0 * self.amplitude * np.sin(0.5 * self.frequency * x) ** 2
        return np.asarray((0.5 * self.curvature * x**2 + divots).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return c x + Aω sin ωx."""
        return self.curvature * x + self.amplitude * self.frequency * np.sin(self.frequency * x)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return (c + Aω² cos ωx) v."""
        return (self.curvature + self.amplitude * self.frequency**2 * np.cos(self.frequency * x)) * v

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value with the divots faded by exp(−½ ω² width²)."""
        fade = math.exp(-0.5 * (self.frequency * width) ** 2)
        divots = self.amplitude * (1.0 - fade * np.cos(self.frequency * x))
        return np.asarray((0.5 * self.curvature * (x**2 + width**2) + divots).sum(axis=-1))


class Rosenbrock(Surface):
    """Σ b (x_{j+1} − x_j²)² + (1 − x_j)²: a curved valley with walls b times steeper than its floor.

    Rosenbrock (1960); from 4 to 7 dimensions there is a second minimum near (−1, 1, …, 1).
    """

    def __init__(self, dim: int, *, narrowness: float = 100.0) -> None:
        if dim < 2:
            raise ValueError(f"`dim` must be at least 2 for kind 'rosenbrock', got {dim}.")
        start = np.ones(dim)
        start[0] = -1.2
        super().__init__(dim, start, np.ones(dim))
        self.narrowness = _checks.positive("narrowness", narrowness)

    def value(self, x: Array) -> Array:
        """Return walls plus floor."""
        left, wall = x[..., :-1], x[..., 1:] - x[..., :-1] ** 2
        return np.asarray((self.narrowness * wall**2 + (1.0 - left) ** 2).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return the gradient, each term giving to its two coordinates."""
        left, wall = x[..., :-1], x[..., 1:] - x[..., :-1] ** 2
        result = np.zeros_like(x)
        result[..., :-1] = -4.0 * self.narrowness * left * wall - 2.0 * (1.0 - left)
        result[..., 1:] += 2.0 * self.narrowness * wall
        return result

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the derivative of the gradient along `v`; the Hessian is tridiagonal."""
        left, wall = x[:-1], x[1:] - x[:-1] ** 2
        wall_change = v[1:] - 2.0 * left * v[:-1]
        result = np.zeros_like(x)
        result[:-1] = -4.0 * self.narrowness * (v[:-1] * wall + left * wall_change) + 2.0 * v[:-1]
        result[1:] += 2.0 * self.narrowness * wall_change
        return result

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus what the second and fourth moments of the window add."""
        left, right, square = x[..., :-1], x[..., 1:], width**2
        wall = square * (1.0 - 2.0 * right + 6.0 * left**2 + 3.0 * square)
        return np.asarray(self.value(x) + (self.narrowness * wall + square).sum(axis=-1))


class DoubleWell(Surface):
    """Σ ¼ (x_j² − 1)² + t x_j: two wells in every coordinate, the one near −1 lower by about 2t.

    `tilt` t is in (0, 2/√27): at 0 the wells are equal and the optimum is not unique, from 2/√27 ≈ 0.3849
    on the upper well is gone.
    """

    def __init__(self, dim: int, *, tilt: float = 0.1) -> None:
        self.tilt = _checks.real("tilt", tilt, "in (0, 2/√27)", 0.0, 2.0 / math.sqrt(27.0), closed="neither")
        super().__init__(dim, np.full(dim, 1.5), np.full(dim, _lower_well(self.tilt)))

    def value(self, x: Array) -> Array:
        """Return wells plus tilt."""
        return np.asarray((0.25 * (x**2 - 1.0) ** 2 + self.tilt * x).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return x³ − x + t."""
        return (x**2 - 1.0) * x + self.tilt

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return (3x² − 1) v."""
        return (3.0 * x**2 - 1.0) * v

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus what the second and fourth moments of the window add."""
        square = width**2
        added = 0.5 * square * (3.0 * x**2 - 1.0) + 0.75 * square**2
        return np.asarray(self.value(x) + added.sum(axis=-1))


class Beale(Surface):
    """Σ_k (c_k − x + x y^k)², k = 1, 2, 3: a plateau, sharp ridges and a narrow valley (Beale 1958)."""

    _TARGETS = (1.5, 2.25, 2.625)

    def __init__(self, dim: int) -> None:
        if dim != 2:
            raise ValueError(f"`dim` must be 2 for kind 'beale', got {dim}.")
        super().__init__(dim, np.array([1.0, 1.0]), np.array([3.0, 0.5]))

    def value(self, x: Array) -> Array:
        """Return the sum of squared residuals."""
        left, right = x[..., 0], x[..., 1]
        terms = [(c - left * (1.0 - right**k)) ** 2 for k, c in enumerate(self._TARGETS, start=1)]
        return np.asarray(sum(terms))

    def gradient(self, x: Array) -> Array:
        """Return 2 Σ residual · slope."""
        left, right = x[..., 0], x[..., 1]
        result = np.zeros_like(x)
        for k, c in enumerate(self._TARGETS, start=1):
            residual = c - left * (1.0 - right**k)
            result[..., 0] += 2.0 * residual * (right**k - 1.0)
            result[..., 1] += 2.0 * residual * k * left * right ** (k - 1)
        return result

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return 2 Σ (slope slopeᵀ + residual · curvature) v."""
        left, right = x
        result = np.zeros_like(x)
        for k, c in enumerate(self._TARGETS, start=1):
            residual = c - left * (1.0 - right**k)
            mixed = k * right ** (k - 1)
            bend = k * (k - 1) * left * right ** max(k - 2, 0)
            slope = np.array([right**k - 1.0, left * mixed])
            curved = np.array([mixed * v[1], mixed * v[0] + bend * v[1]])
            result += 2.0 * (slope * (slope @ v) + residual * curved)
        return result

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the Gauss-Hermite sum on 4 × 4 nodes, exact here: degree 6 in y, and 4 nodes reach 7."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(4)
        weights = weights / weights.sum()
        total = np.zeros(x.shape[:-1])
        for left, left_weight in zip(nodes, weights, strict=True):
            for right, right_weight in zip(nodes, weights, strict=True):
                total += left_weight * right_weight * self.value(x + width * np.array([left, right]))
        return total


class Rastrigin(Rugged):
    """10 D + Σ x_j² − 10 cos 2πx_j: the rugged bowl with its published constants (Rastrigin 1974)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, amplitude=10.0, frequency=2.0 * math.pi, curvature=2.0)


class Ackley(Surface):
    """20 (1 − exp(−0.2 r)) + e − exp(mean cos 2πx_j), r the RMS of x: a funnel in a rippled plain.

    Ackley (1987). The optimum, 0, is the tip of a cone: the gradient there is set to 0, the subgradient of
    smallest norm, and the cone's part of the Hessian, infinite there, to 0.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, np.full(dim, 5.0), np.zeros(dim))

    def value(self, x: Array) -> Array:
        """Return funnel plus ripples, both exactly 0 at the optimum."""
        radius = np.sqrt((x**2).mean(axis=-1))
        ripples = np.cos(2.0 * np.pi * x).mean(axis=-1) - 1.0
        return np.asarray(-20.0 * np.expm1(-0.2 * radius) - math.e * np.expm1(ripples))

    def gradient(self, x: Array) -> Array:
        """Return the funnel's pull towards 0 plus the ripples' slope."""
        radius = np.sqrt((x**2).mean(axis=-1, keepdims=True))
        safe = np.where(radius > 0.0, radius, 1.0)  # x is 0 where it matters
        funnel = 4.0 * np.exp(-0.2 * radius) * x / (self.dim * safe)
        return np.asarray(funnel + self._ripple_slope(x))

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the derivative of the gradient along `v`."""
        wave = 2.0 * np.pi * x
        height = np.exp(np.cos(wave).mean())
        slope = self._ripple_slope(x)
        ripples = height * (2.0 * np.pi) ** 2 * np.cos(wave) * v / self.dim - slope * (slope @ v) / height
        radius = np.sqrt((x**2).mean())
        if radius == 0.0:
            return np.asarray(ripples)
        unit = x / (self.dim * radius)  # gradient of the radius
        pull = 4.0 * np.exp(-0.2 * radius)
        funnel = pull * (v / (self.dim * radius) - (0.2 + 1.0 / radius) * unit * (unit @ v))
        return np.asarray(funnel + ripples)

    def smoothed(self, x: Array, width: float) -> Array:
        """Return smoothed funnel plus smoothed ripples, each to rounding in any dimension."""
        if width == 0.0:
            return self.value(x)
        funnel = _smoothed_exponential(x, width, 0.2 / math.sqrt(self.dim))
        return np.asarray(20.0 * (1.0 - funnel) + math.e - self._smoothed_ripples(x, width))

    def _ripple_slope(self, x: Array) -> Array:
        wave = 2.0 * np.pi * x
        height = np.exp(np.cos(wave).mean(axis=-1, keepdims=True))
        return np.asarray(height * 2.0 * np.pi * np.sin(wave) / self.dim)

    def _smoothed_ripples(self, x: Array, width: float) -> Array:
        """Return E Π exp(cos(2πz_j)/D): a product of one-dimensional Fourier series, each term faded."""
        grid = 2.0 * np.pi * np.arange(64) / 64
        amplitudes = np.fft.rfft(np.exp(np.cos(grid) / self.dim)).real[:17] / 64  # the 17th is below 1e-19
        series = np.full_like(x, amplitudes[0])
        for k in range(1, 17):
            fade = math.exp(-2.0 * (math.pi * k * width) ** 2)
            series += 2.0 * amplitudes[k] * fade * np.cos(2.0 * np.pi * k * x)
        return np.asarray(series.prod(axis=-1))


class Griewank(Surface):
    """1 + |x|²/4000 − Π cos(x_j/√j): a wide shallow bowl under regular waves (Griewank 1981)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, np.full(dim, 100.0), np.zeros(dim))
        self.frequency = 1.0 / np.sqrt(np.arange(1, dim + 1))

    def value(self, x: Array) -> Array:
        """Return bowl plus waves."""
        waves = np.cos(self.frequency * x).prod(axis=-1)
        return np.asarray((x**2).sum(axis=-1) / 4000.0 + (1.0 - waves))

    def gradient(self, x: Array) -> Array:
        """Return x/2000 plus each sine times the other cosines."""
        others = _products_of_others(np.cos(self.frequency * x))
        return x / 2000.0 + self.frequency * np.sin(self.frequency * x) * others

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the Hessian times `v`, in O(D²): the Hessian is dense."""
        sine, cosine = np.sin(self.frequency * x), np.cos(self.frequency * x)
        one_moved = np.tile(cosine, (self.dim, 1))  # row k: the cosines with the k-th differentiated along v
        np.fill_diagonal(one_moved, -self.frequency * sine * v)
        change = _products_of_others(one_moved)
        np.fill_diagonal(change, 0.0)
        own = self.frequency**2 * cosine * v * _products_of_others(cosine)
        return np.asarray(v / 2000.0 + own + self.frequency * sine * change.sum(axis=0))

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value with each cosine faded by exp(−½ width²/j)."""
        faded = np.exp(-0.5 * (self.frequency * width) ** 2) * np.cos(self.frequency * x)
        return np.asarray((x**2 + width**2).sum(axis=-1) / 4000.0 + (1.0 - faded.prod(axis=-1)))


class Drifting(Surface):
    """A quadratic whose optimum drifts at each step and leaps at every `jump_every`-th."""

    def __init__(
        self,
        dim: int,
        *,
        drift: ArrayLike = 0.01,
        jump_every: int | None = None,
        jump_size: float = 1.0,
        spectrum: ArrayLike | None = None,
        condition: float | None = None,
        rotate: bool = False,
        optimum: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        self.quadratic = Quadratic(
            dim, spectrum=spectrum, condition=condition, rotate=rotate, optimum=optimum, seed=seed
        )
        super().__init__(dim, self.quadratic.start, self.quadratic.optimum)
        self.drift = _setting_vector("drift", np.full(dim, drift) if np.ndim(drift) == 0 else drift, dim)
        self.jump_every = None if jump_every is None else _checks.count("jump_every", jump_every, 1)
        self.jump_size = _non_negative("jump_size", jump_size)
        self.first_optimum = self.optimum
        self.step = 0

    def advance(self, rng: np.random.Generator) -> None:
        """Drift, and leap in a random direction when it is time."""
        self.step += 1
        moved = self.optimum + self.drift
        if self.jump_every is not None and self.step % self.jump_every == 0:
            direction = rng.standard_normal(self.dim)
            moved = moved + self.jump_size * direction / np.linalg.norm(direction)
        self._move_to(moved)

    def restart(self) -> None:
        """Put the optimum back where it began."""
        self.step = 0
        self._move_to(self.first_optimum)

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the present optimum, besides what the quadratic has."""
        return self.quadratic.state_dict() | {"step": self.step, "optimum": self.optimum.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from that step and optimum."""
        self.quadratic.load_state_dict(state)
        self.step = int(state["step"])
        self._move_to(np.asarray(state["optimum"], dtype=np.float64))

    def value(self, x: Array) -> Array:
        """Return the quadratic about the present optimum."""
        return self.quadratic.value(x)

    def gradient(self, x: Array) -> Array:
        """Return H (x − x*) with the present optimum."""
        return self.quadratic.gradient(x)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return H v."""
        return self.quadratic.hessian_vector(x, v)

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the smoothed quadratic."""
        return self.quadratic.smoothed(x, width)

    def _move_to(self, optimum: Array) -> None:
        self.optimum = self.quadratic.optimum = optimum


def _lower_well(tilt: float) -> float:
    """Return the lowest root of x³ − x + tilt by Newton's method, monotone from −1.2 on."""
    x = -1.2
    for _ in range(20):
        x -= (x**3 - x + tilt) / (3.0 * x**2 - 1.0)
    return x


def _products_of_others(factors: Array) -> Array:
    """Return, for each of the last axis, the product of all the others; no division, as one may be 0."""
    before, after = np.ones_like(factors), np.ones_like(factors)
    np.cumprod(factors[..., :-1], axis=-1, out=before[..., 1:])
    after[..., :-1] = np.cumprod(factors[..., :0:-1], axis=-1)[..., ::-1]
    return before * after


def _smoothed_exponential(x: Array, width: float, rate: float) -> Array:
    """Return E exp(−rate·|x + width·z|), z standard normal, in any dimension.

    exp(−ar) is a mixture of Gaussians, ∫ a/(2√π) s^{−3/2} exp(−a²/4s) exp(−s r²) ds (the Lévy subordinator),
    and a Gaussian smoothed is a Gaussian. The integral over log s is summed by the trapezoidal rule, which
    converges exponentially here; a product rule over z would need nodes^D points and fail at the cone's tip.
    """
    step = 0.2
    s = np.exp(np.arange(math.log(rate**2 / 180.0), 70.0, step))
    spread = 1.0 + 2.0 * s * width**2
    weight = step * rate / (2.0 * math.sqrt(math.pi)) * np.exp(-(rate**2) / (4.0 * s)) / np.sqrt(s)
    weight = weight * spread ** (-0.5 * x.shape[-1])
    squared_radius = (x**2).sum(axis=-1)
    total = np.zeros_like(squared_radius)
    for j in np.flatnonzero(weight > 1e-18):
        total += weight[j] * np.exp(-s[j] / spread[j] * squared_radius)
    return np.asarray(total)


def _setting_vector(name: str, value: ArrayLike, dim: int) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    if array.shape != (dim,):
        raise ValueError(f"`{name}` must have shape ({dim},), got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {array!r}.")
    return array.astype(np.float64)


def _non_negative(name: str, value: float) -> float:
    return _checks.real(name, value, "non-negative and finite", 0.0, math.inf, closed="left")


def _eigenvalues(dim: int, spectrum: ArrayLike | None, condition: float | None) -> Array:
    if spectrum is not None and condition is not None:
        raise ValueError("`spectrum` and `condition` both set the eigenvalues; give one of them.")
    if condition is not None:
        number = _checks.real("condition", condition, "at least 1 and finite", 1.0, math.inf, closed="left")
        return np.geomspace(1.0, 1.0 / number, dim)
    if spectrum is None:
        return np.ones(dim)
    eigenvalues = _setting_vector("spectrum", spectrum, dim)
    if eigenvalues.min() < 0.0 or eigenvalues.max() <= 0.0:
        raise ValueError(f"`spectrum` must be non-negative with one positive value, got {eigenvalues!r}.")
    return eigenvalues


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return bool(value)


def _random_rotation(dim: int, seed: int | None) -> Array | None:
    """Return an orthogonal matrix, uniform (Haar): QR of a Gaussian one, signs fixed (Stewart 1980).

    No seed, no rotation: None.
    """
    if seed is None:
        return None
    # A stream of its own, so that rotating the surface leaves the noise of the same seed as it was.
    gaussian = np.random.default_rng([seed, 1]).standard_normal((dim, dim))
    orthogonal, triangular = np.linalg.qr(gaussian)
    return np.asarray(orthogonal * np.sign(np.diag(triangular)))


SURFACES: dict[str, Callable[..., Surface]] = {
    "quadratic": Quadratic,
    "rugged": Rugged,
    "double_well": DoubleWell,
    "rosenbrock": Rosenbrock,
    "beale": Beale,
    "rastrigin": Rastrigin,
    "ackley": Ackley,
    "griewank": Griewank,
    "drifting": Drifting,
}
