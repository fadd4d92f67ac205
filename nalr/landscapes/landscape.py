"""A noise-free loss surface and a gradient noise, sampled as minibatches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks
from nalr.landscapes.noise import Noise
from nalr.landscapes.settings import seed_or_fresh
from nalr.landscapes.surfaces import Surface

Array = NDArray[np.float64]


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
        The surface, and a short title.
    seed : int
        Seed of the construction; a random one if none was given.
    start : (D,) array
        A customary starting point.

    Notes
    -----
    Sample i is a random *function* f_i(x) = f(x) + ⟨ε_i, x − x*⟩, so its gradient is exactly ∇f(x) + ε_i
    and the minibatch loss is the loss of that minibatch: with the same seed, finite differences of the
    loss give the minibatch gradient, as in training. Independent noise in the loss would break this: a
    method that compares two losses would see a function that its gradients do not match. The loss noise has
    standard deviation noise_scale·|x − x*|/√B, none at the optimum; `loss_noise` adds an independent part.

    Multiplicative noise depends on x and is in general not a gradient field. There ε_i is fixed at the
    current x: loss and rows agree to first order about that x, but finite differences of `sample`, which
    draw the noise from each point's own gradient, also see it change.

    A diverged point gives inf or nan without a warning.
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
        """A global minimiser (D,); the current one if it moves."""
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
            The point.
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
        from the same state of the stream. A moving surface advances by one step after the draw.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
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
        """Draw one minibatch and return its loss and its gradient (D,); arguments and cost as `sample`.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
        >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.0)
        >>> landscape.compute_loss_and_grad([3.0, 3.0])
        (9.0, array([3., 3.]))
        """
        loss, rows = self.sample(params, batch_size)
        with np.errstate(over="ignore", invalid="ignore"):
            return loss, np.asarray(rows.mean(axis=0))

    def sample_gradients(self, params: ArrayLike, batch_size: int) -> Array:
        """Draw one minibatch and return the gradient rows (B, D) alone; otherwise as `sample`.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
        >>> create_noisy_landscape(dim=2, noise_scale=0.0).sample_gradients([1.0, 2.0], batch_size=2)
        array([[1., 2.],
               [1., 2.]])
        """
        return self.sample(params, batch_size)[1]

    def true_loss(self, params: ArrayLike) -> Any:
        """Return the noise-free loss: a float at one point (D,), an array (...) at points (..., D).

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
        >>> landscape = create_noisy_landscape(dim=2, kind="rosenbrock")
        >>> landscape.true_loss([1.0, 1.0]), landscape.true_loss([[1.0, 1.0], [0.0, 0.0]])
        (0.0, array([0., 1.]))
        """
        x = self._points("params", params)
        with np.errstate(over="ignore", invalid="ignore"):
            return _float_or_array(self._surface.value(x))

    def smoothed_loss(self, params: ArrayLike, width: float) -> Any:
        """Return the true loss convolved with an isotropic Gaussian of standard deviation `width`.

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
        A window wider than a divot (2π/10 here) leaves the bowl, raised:

        >>> from nalr.landscapes import create_noisy_landscape
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

        In closed form. O(D), but O(D²) for "griewank" and rotated quadratics.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
        >>> landscape = create_noisy_landscape(dim=2, spectrum=[4.0, 1.0])
        >>> landscape.hessian_vector([3.0, 3.0], [1.0, 1.0])
        array([4., 1.])
        """
        x, direction = self._point("params", params), self._point("v", v)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._surface.hessian_vector(x, direction)

    def gradient_covariance(self, params: ArrayLike) -> Array:
        """Return the exact covariance (D, D) of one row at `params` (D,); that of a minibatch is 1/B of it.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
        >>> landscape = create_noisy_landscape(dim=2, noise_scale=0.5, spectrum=[3.0, 1.0])
        >>> landscape.gradient_covariance([3.0, 3.0])
        array([[0.25, 0.  ],
               [0.  , 0.25]])
        """
        x = self._point("params", params)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._noise.covariance(self._surface.gradient(x))

    def reseed(self, seed: int | None = None) -> None:
        """Restart the random stream from `seed` and time from zero; keep the surface."""
        self._rng = np.random.default_rng(seed_or_fresh(seed))
        self._surface.restart()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the random stream and of time, in plain Python types, as JSON has them.

        Examples
        --------
        >>> from nalr.landscapes import create_noisy_landscape
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
        """Continue from `state`, bit-identically; the settings must be the same.

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


def _real_array(name: str, value: ArrayLike) -> Array:
    array = _checks.array(name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    return array.astype(np.float64, copy=False)


def _float_or_array(values: Array) -> Any:
    return float(values) if values.ndim == 0 else values
