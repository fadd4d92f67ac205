"""A loss surface seen through minibatches: one noise-free surface joined to one gradient noise."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks
from nalr.landscapes.noise import NOISES, HessianShaped, Multiplicative, Noise
from nalr.landscapes.surfaces import SURFACES, Drifting, Quadratic, Surface

Array = NDArray[np.float64]
SHAPES = ("identity", "hessian")


class Landscape:
    """A noisy loss whose gradient, curvature, optimum and noise covariance are known exactly.

    Made by `create_noisy_landscape`, which documents the kinds and their settings.

    Attributes
    ----------
    dim : int
        Number of parameters D.
    noise_scale : float
        RMS per-coordinate standard deviation of one row (of its relative error, for multiplicative noise).
    kind, name : str
        The surface, and a short title for tables and plots.
    seed : int
        Seed of the construction; one was drawn if none was given, so that a run can be repeated.
    start : (D,) array
        A customary first point.

    Notes
    -----
    Sample i is a random *function* f_i(x) = f(x) + ⟨ε_i, x − x*⟩, so its gradient is exactly ∇f(x) + ε_i
    and the minibatch loss is the loss of that minibatch: with the same seed, finite differences of the
    loss give the minibatch gradient, as in training. Independent noise in the loss instead would break this:
    a method that compares two losses would then be judged on a function that its gradients do not belong
    to. The noise in the loss has standard deviation noise_scale·|x − x*|/√B, none at the optimum;
    `loss_noise` adds an independent part.

    Multiplicative noise depends on x and is in general no gradient of anything. There ε_i is taken at the
    present x and frozen: loss and rows agree to first order about that x for that noise, but finite
    differences of `sample`, which draw the noise anew from each point's own gradient, also see it change.

    A point that ran off to infinity gives inf or nan without a warning: a diverged run is a result.
    """

    def __init__(
        self,
        surface: Surface,
        noise: Noise,
        *,
        kind: str,
        seed: int,
        loss_noise: float = 0.0,
        name: str,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.seed = seed
        self.dim = surface.dim
        self.noise_scale = noise.scale
        self.loss_noise = loss_noise
        self.settings = dict(settings or {})
        self.start = surface.start.copy()
        self._surface = surface
        self._noise = noise
        self._rng = np.random.default_rng(seed)

    def __repr__(self) -> str:
        given = {"dim": self.dim, "noise_scale": self.noise_scale, "kind": self.kind, "seed": self.seed}
        arguments = ", ".join(f"{name}={value!r}" for name, value in (given | self.settings).items())
        return f"create_noisy_landscape({arguments})"

    @property
    def optimum(self) -> Array:
        """A global minimiser (D,), the present one where it moves."""
        return self._surface.optimum.copy()

    @property
    def optimal_loss(self) -> float:
        """The true loss at the optimum."""
        return float(self._surface.value(self._surface.optimum))

    def sample(self, params: ArrayLike, batch_size: int = 1) -> tuple[float, Array]:
        """Draw one minibatch: its loss and the gradient row of each of its samples.

        Parameters
        ----------
        params : (D,) array
            Where to look.
        batch_size : int
            Number of samples B, at least 1.

        Returns
        -------
        loss : float
            Mean loss of the minibatch.
        rows : (B, D) array
            One gradient per sample; their mean is the gradient of `loss`.

        Notes
        -----
        Costs O(B·D) time and memory. `compute_loss_and_grad` and `sample_gradients` draw the same minibatch
        from the same state of the stream. Time, where the surface moves, goes on by one step after the draw.

        Examples
        --------
        >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.5, seed=0)
        >>> loss, rows = landscape.sample([3.0, 3.0], batch_size=10_000)
        >>> rows.shape, bool(abs(loss - 9.0) < 0.1)
        ((10000, 2), True)
        """
        x = self._point("params", params)
        size = _checks.count("batch_size", batch_size, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = self._surface.gradient(x)
            noise = self._noise.draw(self._rng, gradient, size)
            loss = self._surface.value(x) + noise.mean(axis=0) @ (x - self._surface.optimum)
            rows = gradient + noise
        if self.loss_noise > 0.0:
            loss = loss + self.loss_noise / math.sqrt(size) * self._rng.standard_normal()
        self._surface.advance(self._rng)
        return float(loss), rows

    def compute_loss_and_grad(self, params: ArrayLike, batch_size: int = 1) -> tuple[float, Array]:
        """Draw one minibatch and return its loss and its gradient (D,); arguments and cost as for `sample`.

        Examples
        --------
        >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.0)
        >>> landscape.compute_loss_and_grad([3.0, 3.0])
        (9.0, array([3., 3.]))
        """
        loss, rows = self.sample(params, batch_size)
        with np.errstate(over="ignore", invalid="ignore"):
            return loss, np.asarray(rows.mean(axis=0))

    def sample_gradients(self, params: ArrayLike, batch_size: int) -> Array:
        """Draw one minibatch and return the gradient rows (B, D) alone; the rest as for `sample`.

        Examples
        --------
        >>> create_noisy_landscape(dim=2, noise_scale=0.0).sample_gradients([1.0, 2.0], batch_size=2)
        array([[1., 2.],
               [1., 2.]])
        """
        return self.sample(params, batch_size)[1]

    def true_loss(self, params: ArrayLike) -> Any:
        """Return the noise-free loss: a float at one point (D,), an array (...) at points (..., D).

        Examples
        --------
        >>> landscape = create_noisy_landscape(dim=2, kind="rosenbrock")
        >>> landscape.true_loss([1.0, 1.0]), landscape.true_loss([[1.0, 1.0], [0.0, 0.0]])
        (0.0, array([0., 1.]))
        """
        x = self._points("params", params)
        with np.errstate(over="ignore", invalid="ignore"):
            return _float_or_array(self._surface.value(x))

    def smoothed_loss(self, params: ArrayLike, width: float) -> Any:
        """Return the true loss convolved with an isotropic Gaussian: what remains at the scale `width`.

        Parameters
        ----------
        params : (..., D) array
            One point or many.
        width : float
            Standard deviation of the Gaussian, in the units of the parameters; 0 gives the true loss.

        Returns
        -------
        float or (...) array
            E f(x + width·z) with z standard normal, from the closed form of the kind.

        Examples
        --------
        A window wider than a divot (2π/10 here) leaves the bowl, lifted:

        >>> landscape = create_noisy_landscape(dim=1, kind="rugged")
        >>> print(f"{landscape.true_loss([0.3]):.3f} {landscape.smoothed_loss([0.3], width=0.6):.3f}")
        2.035 1.225
        """
        x = self._points("params", params)
        sigma = _checks.real("width", width, "non-negative and finite", 0.0, math.inf, closed="left")
        with np.errstate(over="ignore", invalid="ignore"):
            return _float_or_array(self._surface.smoothed(x, sigma))

    def gradient(self, params: ArrayLike) -> Array:
        """Return the noise-free gradient (D,) at `params` (D,)."""
        x = self._point("params", params)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._surface.gradient(x)

    def hessian_vector(self, params: ArrayLike, v: ArrayLike) -> Array:
        """Return the noise-free Hessian at `params` (D,) times `v` (D,), as (D,).

        Closed form: no differences of gradients. O(D), but O(D²) for "griewank" and rotated quadratics.

        Examples
        --------
        >>> landscape = create_noisy_landscape(dim=2, spectrum=[4.0, 1.0])
        >>> landscape.hessian_vector([3.0, 3.0], [1.0, 1.0])
        array([4., 1.])
        """
        x, direction = self._point("params", params), self._point("v", v)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._surface.hessian_vector(x, direction)

    def gradient_covariance(self, params: ArrayLike) -> Array:
        """Return the exact covariance (D, D) of one row at `params` (D,); a minibatch of B has 1/B of it.

        Examples
        --------
        >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.5, spectrum=[3.0, 1.0])
        >>> landscape.gradient_covariance([3.0, 3.0])
        array([[0.25, 0.  ],
               [0.  , 0.25]])
        """
        x = self._point("params", params)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._noise.covariance(self._surface.gradient(x))

    def reseed(self, seed: int | None = None) -> None:
        """Start the random stream again from `seed`, and time from zero; the surface's shape stays."""
        self._rng = np.random.default_rng(_seed(seed))
        self._surface.restart()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the random stream and of time, in plain Python types (JSON takes it).

        Examples
        --------
        >>> landscape = create_noisy_landscape()
        >>> resumed = create_noisy_landscape()
        >>> resumed.load_state_dict(landscape.state_dict())
        >>> resumed.sample([1.0, 1.0])[0] == landscape.sample([1.0, 1.0])[0]
        True
        """
        return {
            "kind": self.kind,
            "dim": self.dim,
            "seed": self.seed,
            "stream": self._rng.bit_generator.state,
            "surface": self._surface.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state` with the same bits; the landscape must have been made with the same settings.

        Raises
        ------
        ValueError
            If `state` comes from another kind or dimension.
        """
        if (state["kind"], state["dim"]) != (self.kind, self.dim):
            raise ValueError(
                f"`state` must come from kind {self.kind!r} of dim {self.dim}, "
                f"got kind {state['kind']!r} of dim {state['dim']}."
            )
        self.seed = int(state["seed"])
        self._rng.bit_generator.state = state["stream"]
        self._surface.load_state_dict(state["surface"])

    def _point(self, name: str, value: ArrayLike) -> Array:
        array = _real_array(name, value)
        if array.shape != (self.dim,):
            raise ValueError(f"`{name}` must have shape ({self.dim},), got shape {array.shape}.")
        return array

    def _points(self, name: str, value: ArrayLike) -> Array:
        array = _real_array(name, value)
        if array.ndim == 0 or array.shape[-1] != self.dim:
            raise ValueError(f"`{name}` must have shape (..., {self.dim}), got shape {array.shape}.")
        return array


def create_noisy_landscape(
    dim: int = 2, noise_scale: float = 0.5, kind: str = "quadratic", seed: int | None = None, **settings: Any
) -> Landscape:
    """Make a synthetic noisy loss landscape whose truth is known exactly.

    Parameters
    ----------
    dim : int
        Number of parameters D, at least 1; 2 for "beale", at least 2 for "rosenbrock".
    noise_scale : float
        RMS over coordinates of the standard deviation of one row's noise, in the units of the gradient,
        whatever the distribution; for "multiplicative" the standard deviation of the relative error. At
        least 0; 0 gives exact gradients.
    kind : str
        The surface; settings of each in brackets, x* the optimum.

        * "quadratic": ½ (x − x*)ᵀ H (x − x*) [`spectrum`: the D eigenvalues of H, non-negative, default ones;
          or `condition` ≥ 1: log-spaced from 1 down to 1/condition; `rotate`: turn the eigenvectors at
          random, default False; `optimum`, default zeros].
        * "rugged": ½ c|x|² + A Σ (1 − cos ωx_j) [`amplitude` A = 1, `frequency` ω = 10, `curvature` c = 1];
          local minima exist from Aω²/c > 4.6 on, 32 of them in every coordinate by default.
        * "double_well": Σ ¼ (x_j² − 1)² + t x_j [`tilt` t = 0.1, in (0, 0.3849), where both wells exist];
          the start is on the side of the wrong one.
        * "rosenbrock": curved valley [`narrowness` b = 100]. "beale": plateau and ridges.
        * "rastrigin", "ackley", "griewank": the standard multimodal functions.
        * "drifting": a quadratic, with its settings, whose optimum moves by `drift` (a number for every
          coordinate or D numbers, default 0.01) at each draw and leaps `jump_size` (default 1) far in a
          random direction at every `jump_every`-th draw (default never).
    seed : int, optional
        Seed of the stream and of the random rotation. Without one a fresh seed is drawn and kept as `.seed`.
    **settings
        Those of the kind, in the list above, and those of the noise:

        * `noise`: "gaussian" (default); "student_t" [`degrees_of_freedom` = 4; more than 2, because the
          variance must be finite]; "spikes" [`spike_probability` = 0.01, `spike_size` = 30: a few rows are
          that many times larger]; "multiplicative" (each row is the gradient times 1 + noise_scale·ξ,
          coordinate by coordinate).
        * `noise_covariance`: "identity" (default) or, for the quadratics, "hessian" (proportional to H).
        * `loss_noise`: standard deviation per sample of noise in the loss that the gradient does not share,
          default 0.

    Returns
    -------
    Landscape
        Loss, minibatch gradients, and the truth behind them.

    Raises
    ------
    ValueError
        For an unknown kind or noise, or a number out of its range.
    TypeError
        For a setting that this kind and noise do not take.

    References
    ----------
    Rosenbrock (1960), Computer Journal 3; Beale (1958), Princeton Technical Report 25; Rastrigin (1974),
    Nauka; Ackley (1987), Kluwer; Griewank (1981), JOTA 34. Smoothing as what SGD's noise does to a loss:
    Kleinberg, Li and Yuan (2018), ICML.

    Examples
    --------
    >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.5, seed=0)
    >>> landscape.gradient([3.0, 3.0]), landscape.true_loss([3.0, 3.0])
    (array([3., 3.]), 9.0)
    >>> params = landscape.start
    >>> for _ in range(100):
    ...     loss, gradient = landscape.compute_loss_and_grad(params, batch_size=16)
    ...     params = params - 0.1 * gradient
    >>> landscape.true_loss(params) < 0.05
    True
    """
    size = _checks.count("dim", dim, 1)
    scale = _checks.real("noise_scale", noise_scale, "non-negative and finite", 0.0, math.inf, closed="left")
    number = _seed(seed)
    noise_name = settings.get("noise", "gaussian")
    make_surface = _choose("kind", kind, SURFACES)
    make_noise = _choose("noise", noise_name, NOISES)
    of_surface, of_noise = _setting_names(make_surface), _setting_names(make_noise)
    known = [*of_surface, "noise", *of_noise, "noise_covariance", "loss_noise"]
    for name in settings:
        if name not in known:
            raise TypeError(
                f"`{name}` is not a setting of kind {kind!r} with noise {noise_name!r}, "
                f"which takes {', '.join(known)}."
            )
    own = {"seed": number} if "seed" in inspect.signature(make_surface).parameters else {}
    surface = make_surface(size, **own, **{name: settings[name] for name in of_surface if name in settings})
    noise = make_noise(scale, **{name: settings[name] for name in of_noise if name in settings})
    noise = _shaped(noise, surface, settings.get("noise_covariance", "identity"), kind)
    loss_noise = _checks.real(
        "loss_noise", settings.get("loss_noise", 0.0), "non-negative and finite", 0.0, math.inf, closed="left"
    )
    name = f"{kind}, dim {size}, {noise_name} noise {scale:g}"
    return Landscape(
        surface, noise, kind=kind, seed=number, loss_noise=loss_noise, name=name, settings=settings
    )


def _shaped(noise: Noise, surface: Surface, shape: Any, kind: str) -> Noise:
    if shape not in SHAPES:
        raise ValueError(f"`noise_covariance` must be one of {', '.join(map(repr, SHAPES))}, got {shape!r}.")
    if shape == "identity":
        return noise
    quadratic = surface.quadratic if isinstance(surface, Drifting) else surface
    if not isinstance(quadratic, Quadratic):
        raise ValueError(
            f"`noise_covariance` 'hessian' needs kind 'quadratic' or 'drifting', got kind {kind!r}."
        )
    if isinstance(noise, Multiplicative):
        raise ValueError(
            "`noise_covariance` 'hessian' needs noise of its own covariance, got 'multiplicative'."
        )
    return HessianShaped(noise, quadratic)


def _choose(name: str, value: Any, table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, table))}, got {value!r}.")
    return table[value]


def _setting_names(make: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(make).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"]


def _seed(seed: int | None) -> int:
    """Return `seed`, or a fresh one: a run without a seed can then still be repeated from its repr."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return _checks.count("seed", seed, 0)


def _real_array(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    return array.astype(np.float64, copy=False)


def _float_or_array(values: Array) -> Any:
    return float(values) if values.ndim == 0 else values
