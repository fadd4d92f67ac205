"""The public class: hooks on a model's layers, |gᵢ|² of every sample as a result."""

from __future__ import annotations

from collections.abc import Set
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
        is, or if there is a `scale`, else float32. The samples of several passes follow each other in the
        order of their backward passes.
    """

    squared_norms: Tensor


class SampleNorms:
    """Squared gradient norms of every sample, from one ordinary backward pass.

    A layer's inputs and the gradients of its outputs hold the gradient of every sample. Its norm is computed
    from them by the cheaper of two formulas; docs/torch.md has these, and the layers that are covered.

    Parameters
    ----------
    model : torch.nn.Module
        A call of it is one forward pass; the number B of samples is the length of the first tensor that it is
        given. Axis 0 is the sample axis of every layer.
    reduction : {"mean", "sum"}
        How the loss of a batch is made from the losses of its samples. For a mean, gᵢ is B times the sample's
        share of the gradient, with the B of its own pass.

    Raises
    ------
    ValueError
        If `reduction` is neither.

    Notes
    -----
    Cost: for Linear with T places, O(B·min(T²(d + p), T·d·p)) operations, the latter being one more weight
    gradient; memory for the inputs that autograd keeps anyway, and blocks of 16 MiB.

    Every backward counts, also `torch.autograd.grad`: call `clear` after those that should not. Two backwards
    through one forward pass are refused, because the norm of their sum has cross terms.

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
    def scale(self) -> float:
        """What gradients are multiplied by before they are squared; 1 unless it was set, a power of two.

        Squares of float32 are in range for gradients from 10⁻¹⁹ to 10¹⁹. It counts from the next backward on.
        """
        return self._listener.scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._listener.scale = scale

    @property
    def covered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are known."""
        return self._coverage.names()

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Names of the trainable parameters whose per-sample norms are not known.

        A layer that turns out to see something other than the B samples moves its parameters here.
        """
        return tuple(self.reasons)

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of `uncovered` is not covered."""
        return self._coverage.reasons()

    @property
    def mixing(self) -> tuple[str, ...]:
        """Names of layers that now mix the samples of a batch, as BatchNorm does while training.

        Gradients of layers below one are shares of the batch's gradient: they add up to it, but depend on the
        other samples.
        """
        return tuple(name for name, module in self.model.named_modules() if mixes_samples(module))

    @property
    def outgrown(self) -> bool:
        """Whether the last `collect` found trainable parameters that the model did not have at the start."""
        return self._coverage.grown

    @property
    def given_up(self) -> int:
        """How many parameters turned out not to be covered: it grows where a call or a pass shows it."""
        return self._coverage.count_against

    def covered_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that `squared_norms` sums over, each once."""
        return self._coverage.parameters()

    def collect(self, tasks: Set[int] | None = None) -> SampleSums | None:
        """Return what the backward passes since the last call gave, and forget it; None if none ran.

        Parameters
        ----------
        tasks : set of int, optional
            Only passes that one of these backwards reached count; `torch._C._current_graph_task_id()` is the
            number of a backward while it runs. By default all do.

        Raises
        ------
        RuntimeError
            If a backward pass ran whose samples cannot be separated. The next step starts anew.
        """
        passes, faults = self._listener.passes, self._listener.faults
        self.clear()
        for task, fault in faults.items():
            if tasks is None or task in tasks:
                raise RuntimeError(fault)
        self._coverage.withdraw_uncalled()
        if tasks is not None:
            passes = [each for each in passes if each.tasks & tasks]
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
        total = cast(Tensor, sum(term.to(device) for term in terms))
        return scale * total if self.scale == 1.0 else scale * total.double() / self.scale**2
