"""The public door: hooks on a model's layers, |gᵢ|² out."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from nalr.torch.ghost.coverage import Coverage, mixes_samples
from nalr.torch.ghost.listener import Listener
from nalr.torch.ghost.passes import Pass


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
        share of the gradient, with the B of its own pass. Losses that are divided by the number of backwards,
        to accumulate a mean, divide the norms by its square.

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
    *loss* reads directly (weight decay written as a term), and one that a later pass reads past its layer
    where the first did not: the graph of the first pass is searched for such uses.

    Cost: for Linear with T places, O(B·min(T²(d + p), T·d·p)) flops, the latter being one more weight
    gradient; memory for the inputs that autograd keeps anyway, and blocks of 16 MiB. What is kept lives in
    the graph and goes with it, so a forward pass without a backward leaves nothing. Nothing waits for the
    device, but once in the first pass for each embedding that is given one index a sample.

    Activation checkpointing, autocast and in-place operations on outputs change nothing. Nor does
    `torch.compile` of the model, but the graph breaks at every layer.

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
        self._coverage = Coverage(model)
        self._listener = Listener(model, self._coverage)

    @property
    def covered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are known."""
        return self._coverage.names()

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are not known."""
        return tuple(self.reasons)

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of `uncovered` is not covered."""
        return self._coverage.reasons()

    @property
    def mixing(self) -> tuple[str, ...]:
        """Names of layers that mix the samples of a batch in their present mode."""
        return tuple(name for name, module in self.model.named_modules() if mixes_samples(module))

    def covered_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that `squared_norms` sums over, each once."""
        return self._coverage.parameters()

    def collect(self) -> SampleSums | None:
        """Return what the backward passes since the last call gave, and forget it; None if none ran.

        Raises
        ------
        RuntimeError
            If a backward pass ran whose samples cannot be told apart. The next step starts afresh.
        """
        passes, fault = self._listener.passes, self._listener.fault
        self.clear()
        if fault is not None:
            raise RuntimeError(fault)
        self._coverage.withdraw_unheard()
        norms = [total for each in passes if (total := self._total(each)) is not None]
        return SampleSums(torch.cat(norms)) if norms else None

    def clear(self) -> None:
        """Forget the backward passes since the last `collect`."""
        self._listener.clear()

    def close(self) -> None:
        """Remove all hooks, leaving the model as it was."""
        self._listener.close()

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
