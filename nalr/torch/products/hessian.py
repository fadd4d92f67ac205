"""Products of a loss's Hessian with vectors, from autograd or from two gradients."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from nalr.torch.products.products import FiniteDifferenceProduct, HessianVectorProduct, LossFunction


def hessian_vector_product(loss_fn: LossFunction, params: Iterable[Tensor]) -> HessianVectorProduct:
    """Return a function v ↦ Hv, where H is the Hessian of `loss_fn()` in `params`.

    Parameters
    ----------
    loss_fn : callable
        Takes nothing and returns the loss, a tensor of one element, at the present values of `params`. It
        should be deterministic: with dropout on, each call of it draws another loss, and its product is
        exact for that one. Put the model in evaluation mode, or use `with`, where one draw serves all.
    params : iterable of tensors
        Such as `model.parameters()`: distinct leaves that require gradients, D numbers in all. One that the
        loss does not use has zeros in the product.

    Returns
    -------
    callable
        Takes v and returns Hv of the same kind: a NumPy array (D,), back in float64; a tensor (D,), back with
        its dtype and device; or a list of tensors shaped as `params`. Flat ones follow `params` in order.

    Raises
    ------
    TypeError, ValueError
        If `params`, v or the loss is not as described.
    RuntimeError
        From a product, where some operation of the loss has no second derivative: use
        `finite_difference_hvp`.

    Notes
    -----
    Pearlmutter's product, ∂(gᵀv)/∂x with g = ∂loss/∂x: exact, and no matrix is formed.

    Cost: each product evaluates the loss, its gradient and a backward pass through both, some two to three
    gradient evaluations, and frees everything; memory peaks at about twice that of a gradient. Within `with`
    the first product makes the graph and the rest reuse it, one backward pass each; the graph is held until
    the block ends, and made anew after an in-place write to a parameter (but not one through `.data`, and not
    after a change of the data that `loss_fn` reads).

    `.grad` is neither read nor written, and no hook of a parameter runs: autograd would call those of
    `Tensor.register_hook` on the gradient and on the product, where a hook that clips would change H and one
    that counts backward passes would count too many.

    A custom `autograd.Function` is taken at its word: one that detaches something in `backward` yields a
    smaller Hessian without an error. Compare with `finite_difference_hvp` once.

    References
    ----------
    Pearlmutter (1994), Neural Computation 6, 147.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from nalr.curvature import ProbeAverage, rademacher
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> hvp = hessian_vector_product(lambda: x[0] ** 2 * x[1] + x[1] ** 3, [x])  # H = [[4, 2], [2, 12]]
    >>> hvp(np.array([1.0, 0.0]))
    array([4., 2.])
    >>> average = ProbeAverage()
    >>> with hvp:  # one graph for all probes
    ...     for index in range(100):
    ...         probe = rademacher(2, seed=0, index=index)
    ...         _ = average.update(probe, hvp(probe))
    >>> abs(average.trace - 16.0) < 4 * average.trace_standard_error
    True
    """
    return HessianVectorProduct(loss_fn, params)


def finite_difference_hvp(
    loss_fn: LossFunction, params: Iterable[Tensor], *, step: float | None = None
) -> FiniteDifferenceProduct:
    """Return a function v ↦ Hv from a central difference of gradients, where autograd offers no second one.

    For `scaled_dot_product_attention` with its flash kernels, compiled models, and functions of one's own
    with a `once_differentiable` backward.

    Parameters
    ----------
    loss_fn : callable
        As for `hessian_vector_product`, but it must be deterministic: noise in the gradient is divided by the
        step. The first product calls it twice to see whether the loss repeats itself.
    params : iterable of tensors
        As for `hessian_vector_product`. They are moved in place and restored bit for bit, from copies, also
        when `loss_fn` raises. Do not let another thread use them meanwhile.
    step : float, optional
        Multiple h > 0 of v by which the parameters move to either side. Chosen by ε and norms if not given.

    Returns
    -------
    callable
        Takes v and returns (∇loss(x + hv) − ∇loss(x − hv)) / 2h, in kinds and order as
        `hessian_vector_product` does.

    Raises
    ------
    TypeError, ValueError
        If an argument or v is not as described, or the loss does not repeat itself.

    Notes
    -----
    The step. A difference over 2h errs by h²/6 of the gradient's second derivative and by its rounding ε over
    h; the sum is least at h ~ ε^(1/3) of the length over which the loss bends, and is then ~ ε^(2/3) of the
    result. That length is not known: h = ε^(1/3) (1 + ‖x‖) / ‖v‖ takes the parameters' own, with the 1 of
    Knoll & Keyes for parameters near zero. ε is the coarsest of the parameters' dtypes. Expect 10 digits in
    float64, 4 in float32, and one in float16 and bfloat16, whose moves are a tenth to a fifth of ‖x‖: use it
    with float32 parameters. Under autocast the gradient is as coarse as its dtype: give a larger `step`.

    Cost: two gradients and three copies of the parameters; the first product adds two evaluations of the
    loss. No hook of a parameter runs. Whatever else `loss_fn` changes, such as running statistics of batch
    normalisation, it changes each time.

    References
    ----------
    Pearlmutter (1994), Neural Computation 6, 147; Knoll & Keyes (2004), J. Comput. Phys. 193, 357.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> hvp = finite_difference_hvp(lambda: x[0] ** 2 * x[1] + x[1] ** 3, [x])  # H = [[4, 2], [2, 12]]
    >>> hvp(torch.tensor([1.0, 0.0], dtype=torch.float64)).numpy().round(6)
    array([4., 2.])
    """
    return FiniteDifferenceProduct(loss_fn, params, step=step)
