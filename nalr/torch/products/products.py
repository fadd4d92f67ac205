"""The two ways to multiply with a loss's Hessian that `curvature` offers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nalr import _checks
from nalr.torch.products.vectors import V, join, parameter_list, split

LossFunction = Callable[[], Tensor]

MISSING = re.compile(r"derivative for .* is not implemented|double backward|differentiate twice")
"""How torch says, in its RuntimeErrors, that a backward pass cannot itself be differentiated."""

ONCE = once_differentiable(lambda context: None).__code__
"""The code of every backward that is marked `once_differentiable`."""


class HessianVectorProduct:
    """Product with the Hessian of `loss_fn`, exact to rounding; made by `hessian_vector_product`."""

    def __init__(self, loss_fn: LossFunction, params: Iterable[Tensor]) -> None:
        self._loss_fn = loss_fn
        self._parameters = parameter_list(params)
        self._keeps = False
        self._gradients: list[Tensor] | None = None  # with their graph, within `with` only
        self._versions: list[int] = []  # of the parameters when the graph was made

    def __call__(self, vector: V) -> V:
        """Return H·`vector`, of the same kind and shape."""
        pieces = split(vector, self._parameters)
        try:
            products = self._products(self._graph(), pieces)
        except RuntimeError as error:
            if MISSING.search(str(error)):
                raise RuntimeError(_no_second_derivative(str(error).splitlines()[0])) from error
            raise
        return join(products, vector)

    def __enter__(self) -> HessianVectorProduct:
        self._keeps = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeps = False
        self._gradients = None

    def _graph(self) -> list[Tensor]:
        """Return the gradients, differentiable; those that are kept, if no parameter was written to since."""
        versions = [parameter._version for parameter in self._parameters]
        if self._gradients is not None and versions == self._versions:
            return self._gradients
        self._gradients = None  # before the next graph is made, so that two are never held
        loss = _loss(self._loss_fn)
        _refuse_once_differentiable(loss)
        with _without_hooks(self._parameters):
            gradients = torch.autograd.grad(loss, self._parameters, create_graph=True, materialize_grads=True)
        if self._keeps:
            self._gradients, self._versions = list(gradients), versions
        return list(gradients)

    def _products(self, gradients: list[Tensor], pieces: list[Tensor]) -> list[Tensor]:
        curved = [i for i, gradient in enumerate(gradients) if gradient.requires_grad]
        if not curved:  # the loss is linear, and autograd refuses what has no graph
            return [torch.zeros_like(parameter) for parameter in self._parameters]
        with _without_hooks(self._parameters):
            products = torch.autograd.grad(
                [gradients[i] for i in curved],
                self._parameters,
                [pieces[i] for i in curved],
                retain_graph=self._keeps,
                materialize_grads=True,
            )
        return list(products)


class FiniteDifferenceProduct:
    """Product with the Hessian from two gradients; made by `finite_difference_hvp`."""

    def __init__(self, loss_fn: LossFunction, params: Iterable[Tensor], *, step: float | None = None) -> None:
        self._loss_fn = loss_fn
        self._parameters = parameter_list(params)
        self.step = None if step is None else _checks.positive("step", step)
        self._epsilon = max(torch.finfo(parameter.dtype).eps for parameter in self._parameters)
        self._repeats = False  # whether the loss was seen to repeat itself

    def __call__(self, vector: V) -> V:
        """Return H·`vector` to within the error of the difference, of the same kind and shape."""
        pieces = split(vector, self._parameters)
        length = _norm(pieces)
        if length == 0.0:
            return join([torch.zeros_like(parameter) for parameter in self._parameters], vector)
        if not self._repeats:
            self._check_repeats()
        step = self.step or self._epsilon ** (1 / 3) * (1.0 + _norm(self._parameters)) / length
        before = [parameter.detach().clone() for parameter in self._parameters]
        try:
            ahead = self._gradients_at(before, pieces, step)
            behind = self._gradients_at(before, pieces, -step)
        finally:
            self._move(before)
        return join([(a - b) / (2.0 * step) for a, b in zip(ahead, behind, strict=True)], vector)

    def _check_repeats(self) -> None:
        first, second = (float(_loss(self._loss_fn).detach()) for _ in range(2))
        if abs(first - second) > self._epsilon ** (2 / 3) * max(abs(first), abs(second)):
            raise ValueError(
                f"`loss_fn` must return the same loss at the same parameters, got {first!r} and {second!r}. "
                "Put the model in evaluation mode (dropout), or fix the batch and the random numbers."
            )
        self._repeats = True

    def _gradients_at(self, origin: list[Tensor], direction: list[Tensor], step: float) -> list[Tensor]:
        """Return the gradients at `origin` + `step`·`direction`, in float32 at least."""
        self._move([torch.add(x, v, alpha=step) for x, v in zip(origin, direction, strict=True)])
        loss = _loss(self._loss_fn)
        with _without_hooks(self._parameters):
            gradients = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        return [
            (gradient.to_dense() if gradient.is_sparse else gradient).to(_at_least_single(gradient.dtype))
            for gradient in gradients
        ]

    def _move(self, values: list[Tensor]) -> None:
        # Through `.data`, which leaves the version counters alone: as every bit comes back, a graph that the
        # caller made before stays valid, and autograd need not refuse its backward pass.
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.data.copy_(value)
        torch.clear_autocast_cache()  # it holds the parameters in half precision, as they were


def _loss(loss_fn: LossFunction) -> Tensor:
    """Return the loss with its graph, also where the caller turned gradients off."""
    torch.clear_autocast_cache()
    with torch.enable_grad():
        loss = loss_fn()
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"`loss_fn` must return a tensor of one element, got {got}.")
    if not loss.requires_grad:
        raise ValueError(
            "`loss_fn` must return a loss that depends on parameters, got one without a graph. "
            "Look for `no_grad`, `detach` or `item` in it."
        )
    return loss


@contextmanager
def _without_hooks(parameters: list[Tensor]) -> Iterator[None]:
    """Take the tensor hooks out of the dictionaries that autograd reads, and put them back."""
    kept = [(hooks, dict(hooks)) for p in parameters if (hooks := p._backward_hooks)]
    try:
        for hooks, _ in kept:
            hooks.clear()
        yield
    finally:
        for hooks, entries in kept:
            hooks.update(entries)


def _refuse_once_differentiable(loss: Tensor) -> None:
    """Raise if the graph holds a backward marked so; autograd, asked for a leaf, would say 0 instead."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        backward = getattr(getattr(node, "_forward_cls", None), "backward", None)
        if getattr(backward, "__code__", None) is ONCE:
            raise RuntimeError(_no_second_derivative(f"{node.name()} is marked `once_differentiable`"))
        waiting.extend(edge for edge, _ in node.next_functions)


def _no_second_derivative(reason: str) -> str:
    return f"The loss has no second derivative in torch ({reason}). Use `finite_difference_hvp`."


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.hypot(
        *(float(torch.linalg.vector_norm(t.detach(), dtype=_at_least_single(t.dtype))) for t in tensors)
    )


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
