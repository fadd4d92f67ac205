"""Construction of landscapes from names and checked settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nalr import _checks
from nalr.landscapes.landscape import Landscape
from nalr.landscapes.noise import NOISES, HessianShaped, Multiplicative, Noise
from nalr.landscapes.settings import non_negative, seed_or_fresh
from nalr.landscapes.surfaces import SURFACES, Drifting, Quadratic, Surface

SHAPES = ("identity", "hessian")


def create_noisy_landscape(
    dim: int = 2, noise_scale: float = 0.5, kind: str = "quadratic", seed: int | None = None, **settings: Any
) -> Landscape:
    """Make a synthetic noisy loss landscape with exactly known gradient, curvature and noise.

    Parameters
    ----------
    dim : int
        Number of parameters D, at least 1; 2 for "beale", at least 2 for "rosenbrock".
    noise_scale : float
        RMS over coordinates of the standard deviation of one row's noise, in the units of the gradient,
        for every distribution; for "multiplicative" the standard deviation of the relative error. At
        least 0; 0 gives exact gradients.
    kind : str
        The surface; settings of each in brackets, x* the optimum.

        * "quadratic": ½ (x − x*)ᵀ H (x − x*) [`spectrum`: the D eigenvalues of H, non-negative, default ones;
          or `condition` ≥ 1: log-spaced from 1 down to 1/condition; `rotate`: turn the eigenvectors at
          random, default False; `optimum`, default zeros].
        * "rugged": ½ c|x|² + A Σ (1 − cos ωx_j) [`amplitude` A = 1, `frequency` ω = 10, `curvature` c = 1];
          local minima exist for Aω²/c > 4.6, 32 in every coordinate by default.
        * "double_well": Σ ¼ (x_j² − 1)² + t x_j [`tilt` t = 0.1, in (0, 0.3849), where both wells exist];
          the start is on the side of the upper one.
        * "rosenbrock": curved valley [`narrowness` b = 100]. "beale": plateau and ridges.
        * "rastrigin", "ackley", "griewank": the standard multimodal functions.
        * "drifting": a quadratic, with its settings, whose optimum moves by `drift` (a number for every
          coordinate or D numbers, default 0.01) at each draw and jumps by `jump_size` (default 1) in a
          random direction at every `jump_every`-th draw (default never).
    seed : int, optional
        Seed of the stream and of the random rotation. By default a random one, kept as `.seed`.
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
        Loss, minibatch gradients, and their exact expectations.

    Raises
    ------
    ValueError
        For an unknown kind or noise, or a number out of its range.
    TypeError
        For a setting that this kind and noise do not have.

    References
    ----------
    Rosenbrock (1960), Computer Journal 3; Beale (1958), Princeton Technical Report 25; Rastrigin (1974),
    Nauka; Ackley (1987), Kluwer; Griewank (1981), JOTA 34. SGD's noise as smoothing of the loss:
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
    scale = non_negative("noise_scale", noise_scale)
    number = seed_or_fresh(seed)
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
    loss_noise = non_negative("loss_noise", settings.get("loss_noise", 0.0))
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
            "`noise_covariance` 'hessian' needs noise independent of the gradient, got 'multiplicative'."
        )
    return HessianShaped(noise, quadratic)


def _choose(name: str, value: Any, table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, table))}, got {value!r}.")
    return table[value]


def _setting_names(make: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(make).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"]
