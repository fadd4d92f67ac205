"""The observer: hooks on the layers, |gᵢ|² out."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nalr.torch.ghost.coverage import mixes_samples, reasons_against, rules_of
from nalr.torch.ghost.graph import count_uses, tensors
from nalr.torch.ghost.layer import Layer
from nalr.torch.ghost.passes import Pass
from nalr.torch.ghost.tap import Tap, attach, keep


class SampleSums(NamedTuple):
    """What the backward passes since the last `collect` gave.

    Attributes
    ----------
    squared_norms : Tensor of shape (B,)
        |gᵢ|² of every sample over all covered parameters, on the device of the model; float64 if the model
        is, else float32. The samples of several passes follow each other in the order of their backward
        passes.
    """

    squared_norms: Tensor


class SampleNorms:
    """Squared gradient norms of every sample, from one ordinary backward pass.

    A layer's input aₜ and the gradient bₜ of its output, at the places t of a sample (words, pixels),
    already hold that sample's gradient Gᵢ = Σₜ bₜaₜᵀ. Its squared norm is ΣₜΣₛ⟨aₜ,aₛ⟩⟨bₜ,bₛ⟩, or |a|²|b|²
    with a single place: no gradient of a single sample is formed where this is cheaper, and only a few at a
    time elsewhere.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose own call is the forward pass; the number B of samples is the length of the first
        tensor it is given. Axis 0 is the sample axis of every layer.
    reduction : {"mean", "sum"}
        How the loss of a batch is made of the losses of its samples. Of a mean, gᵢ is B times the sample's
        share of the gradient, with the B of its own pass.

    Attributes
    ----------
    covered, uncovered : tuple of str
        Names of the trainable parameters whose norms are known, and of those whose are not. A layer that
        turns out to see something other than the B samples moves its parameters to `uncovered` as it is
        called.
    reasons : dict of str to str
        Why, for every name in `uncovered`.
    mixing : tuple of str
        Layers that now mix the samples of a batch, as BatchNorm does while training. The gradients of layers
        below one are shares of the batch's gradient: they add up to it, but depend on the other samples.

    Raises
    ------
    ValueError
        If `reduction` is neither.

    Notes
    -----
    Covered are Linear, Conv1d to 3d and their transposes, Embedding, LayerNorm, RMSNorm, GroupNorm and
    InstanceNorm, in all their options but sparse or frequency-scaled embeddings and tracked running
    statistics. Parameters that are shared, tied or used repeatedly are exact. Not seen: a parameter that the
    *loss* reads directly (weight decay written as a term).

    Cost: for Linear with T places, O(B·min(T²(d + p), T·d·p)) flops, the latter being one more weight
    gradient; memory for the inputs that autograd keeps anyway, and blocks of 16 MiB. What is kept lives in
    the graph and goes with it, so a forward pass without a backward leaves nothing. Nothing waits for the
    device.

    Every backward counts, also `torch.autograd.grad` and one by a probe: call `clear` after those that should
    not. Two backwards through the same forward pass are refused, because their sum has cross terms. Under
    GradScaler the norms are those of the scaled gradients.

    Sources: Goodfellow (2015, arXiv:1510.01799) for the product; Li et al. (2022, arXiv:2110.05679) for the
    Gram form; Bu et al. (2022, arXiv:2205.10683) for choosing between the two; Gray et al. (2024,
    arXiv:2411.00999) for normalisation layers and for the use of the norms as a gradient noise scale.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1))
    >>> norms = SampleNorms(model)
    >>> inputs, targets = torch.randn(5, 3), torch.randn(5, 1)
    >>> nn.functional.mse_loss(model(inputs), targets).backward()
    >>> squared = norms.collect().squared_norms
    >>> squared.shape
    torch.Size([5])

    Each is the squared norm of the gradient that the sample has when alone:

    >>> model.zero_grad()
    >>> nn.functional.mse_loss(model(inputs[:1]), targets[:1]).backward()
    >>> alone = sum(p.grad.square().sum() for p in model.parameters())
    >>> torch.allclose(alone, squared[0])
    True
    >>> norms.close()
    """

    def __init__(self, model: nn.Module, *, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'`reduction` must be "mean" or "sum", got {reduction!r}.')
        self.model = model
        self.reduction = reduction
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._against = reasons_against(model)
        self._audited = False
        self._forward: Pass | None = None  # the pass whose forward is running
        self._backward: Pass | None = None  # the pass whose output's gradient came last
        self._passes: list[Pass] = []  # those that a gradient reached since the last `collect`
        self._fault: str | None = None
        self._handles: list[RemovableHandle] = []
        self._attach()

    @property
    def covered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are known."""
        return tuple(self._names[id(parameter)] for parameter in self.covered_parameters())

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are not known."""
        return tuple(self.reasons)

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of `uncovered` is not covered."""
        return {
            self._names.get(id(parameter), name): self._against.get(id(parameter), "is new to the model")
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and not self._covers(parameter)
        }

    @property
    def mixing(self) -> tuple[str, ...]:
        """Names of layers that mix the samples of a batch in their present mode."""
        return tuple(name for name, module in self.model.named_modules() if mixes_samples(module))

    def covered_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that `squared_norms` sums over, each once."""
        return [p for p in self.model.parameters() if p.requires_grad and self._covers(p)]

    def collect(self) -> SampleSums | None:
        """Return what the backward passes since the last call gave, and forget it; None if none ran.

        Raises
        ------
        RuntimeError
            If a backward pass ran whose samples cannot be told apart. The next step starts afresh.
        """
        passes, fault = self._passes, self._fault
        self.clear()
        if fault is not None:
            raise RuntimeError(fault)
        norms = [total for each in passes if (total := self._total(each)) is not None]
        return SampleSums(torch.cat(norms)) if norms else None

    def clear(self) -> None:
        """Forget the backward passes since the last `collect`."""
        self._passes, self._backward, self._fault = [], None, None

    def close(self) -> None:
        """Remove all hooks, leaving the model as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.clear()

    def _covers(self, parameter: nn.Parameter) -> bool:
        return id(parameter) in self._names and id(parameter) not in self._against

    @torch.no_grad()
    def _total(self, finished: Pass) -> Tensor | None:
        finished.settle()
        keys = [id(parameter) for parameter in self.covered_parameters()]
        terms = [finished.squared[key] for key in keys if key in finished.squared]
        if not terms:
            return None
        scale = len(terms[0]) ** 2 if self.reduction == "mean" else 1
        device = terms[0].device
        return scale * cast(Tensor, sum(term.to(device) for term in terms))

    def _attach(self) -> None:
        for name, module in self.model.named_modules():
            layer = rules_of(module)
            if layer is not None:
                hook = partial(self._observe, name, layer)
                # First of all hooks: others may change the output.
                self._handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        self._handles.append(
            self.model.register_forward_pre_hook(self._begin, prepend=True, with_kwargs=True)
        )
        self._handles.append(self.model.register_forward_hook(self._end, always_call=True))

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = next((t for t in tensors((args, kwargs)) if t.dim() > 0), None)
        self._forward = Pass(None if given is None else len(given))

    def _end(self, model: nn.Module, args: tuple[Any, ...], outputs: Any) -> None:
        current, self._forward = self._forward, None
        roots = [output for output in tensors(outputs) if output.grad_fn is not None]
        if current is None or not roots:
            return
        for root in roots:
            root.register_hook(partial(self._enter, current))  # type: ignore[no-untyped-call]
        if not self._audited:
            self._audited = True
            for key, count in count_uses(roots).items():
                if count > current.calls[key]:
                    self._against.setdefault(key, "is also read outside the layer that holds it")

    def _enter(self, current: Pass, grad: Tensor) -> None:
        self._backward = current

    def _observe(
        self,
        name: str,
        layer: Layer,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Tensor,
    ) -> None:
        """Prepare for the gradient of one call's output."""
        held = {key: p for key in layer.rules if (p := module._parameters.get(key)) is not None}
        if self._forward is not None:
            self._forward.calls.update(id(parameter) for parameter in held.values())
        wanted = {key: p for key, p in held.items() if p.requires_grad and self._covers(p)}
        if not wanted or not torch.is_grad_enabled() or not output.requires_grad:
            return
        inputs = args[0] if args else kwargs["input"]
        # Activation checkpointing calls layers again, during the backward pass.
        current = self._forward or self._backward
        mismatch = current and self._mismatch(current, layer, module, inputs)
        if mismatch:
            self._against.update({id(p): f"`{name}` {mismatch}" for p in wanted.values()})
            return
        kept = keep(inputs) if set(wanted) != {"bias"} else None
        receive = partial(self._receive, current, name, layer, module, wanted)
        attach(output, Tap(receive, self._repeated, kept, output.shape))

    def _mismatch(self, current: Pass, layer: Layer, module: nn.Module, inputs: Tensor) -> str | None:
        """Return why axis 0 of a layer's input is not the samples of the pass, or None."""
        if inputs.dim() < layer.axes(module):
            return "was given an input without a sample axis"
        if current.samples is not None and len(inputs) != current.samples:
            return f"was given {len(inputs)} rows where the model was given {current.samples} samples"
        return None if self._audited else layer.suspicion(inputs)

    def _receive(
        self,
        current: Pass | None,
        name: str,
        layer: Layer,
        module: nn.Module,
        wanted: dict[str, nn.Parameter],
        inputs: Tensor | None,
        grad: Tensor,
    ) -> None:
        """Turn the gradient of one call's output into what its parameters received."""
        if not self._handles:
            return
        if current is None:
            self._fault = (
                f"`{name}` was called outside the model's own forward. Call it through the model that "
                "`SampleNorms` was given."
            )
            return
        if current not in self._passes:
            self._passes.append(current)
        for key, parameter in wanted.items():
            use = layer.rules[key](module, cast(Tensor, inputs), grad)
            if parameter.requires_grad and not current.arrive(id(parameter), use):
                self._repeated()

    def _repeated(self) -> None:
        self._fault = (
            "Two backward passes went through one forward pass, and their sum has no norm that is known. "
            "Add the losses and call `backward` once, or call `clear` after a backward that should not count "
            "and run the model again."
        )
