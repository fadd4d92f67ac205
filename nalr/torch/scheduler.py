"""The scheduler form: two lines in a training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from nalr.torch.form import Form


class NoiseAdaptiveLR(Form, LRScheduler):
    """A learning rate from measurements, for any PyTorch optimizer: a scheduler with `step(loss)`.

    Hooks measure the gradients when the optimizer steps, and multiply the learning rates of all groups by one
    factor for the time of the step. Between steps the groups hold the user's own rates, so ratios of groups
    and other schedules stay as they are; `get_last_lr()` returns the effective rates.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its learning rates are where the search starts, and may be wrong by powers of ten.
    noise : str
        Where the noise of the gradient is measured: "samples" (norms of every sample's gradient, from the
        layers of `model`), "microbatches" (two or more backwards a step, or the ranks of a data-parallel
        run), "steps" (change from step to step), or "auto": the best of them that the run offers.
        `reading().source` says which.
    model : torch.nn.Module, optional
        Needed for `noise="samples"`; with "auto", samples are used if all parameters are covered.
    total_steps : int, optional
        The number of optimizer steps, if known: the rate then falls to zero there.
    every : int
        Steps from one measurement to the next, at least 1. Between them nothing is measured, and nothing
        waits for an accelerator.
    microbatch_size : int, optional
        Samples that the loss of one backward is the mean of: the gradient noise scale is then in samples.
        Without it, it is in microbatches, or in batches where there is one backward a step.
    coordinates : int, optional
        About how many parameters to measure the path on; by default all of a small model, and a sample
        spread over all tensors of a larger one.
    scaler : torch.amp.GradScaler, optional
        Needed only where gradients are unscaled *and* clipped.
    process_group : ProcessGroup, optional
        Processes that train copies of this model: all decide the same, and the gradient of each is a row.
        "auto" is all processes, if `torch.distributed` is in use; None is this one alone.
    rollback : bool
        Keep a copy of parameters, optimizer state and `model`'s buffers, and return to it after a blow-up.
        The step that was undone stays in `history`, at the rate that it was made with.
    rollback_device : device, optional
        Where the copy is kept; beside the parameters by default.
    on_device : bool, optional
        Whether sums are made by operations of torch rather than by kernels on the CPU; by default where
        parameters are not on the CPU.
    **settings
        `min_lr`, `max_lr`, `alpha`, `cooldown`, `estimator`, `smoother` and `policy` as in
        `nalr.NoiseAdaptiveLR`, in units of the first group's rate.

    Raises
    ------
    TypeError, ValueError
        For settings outside their range, and for what cannot be measured: DTensors, optimizers that run in
        the backward, DeepSpeed's; sparse gradients when they come.

    Notes
    -----
    A loss is used for the decision on the next step; with a closure, and in `NoiseAdaptiveOptimizer`, each
    step is decided by its own. Without any loss (`step()`), the change that gradients predict is used.

    Logs that read the optimizer's groups show your own rates there (Lightning's `LearningRateMonitor`); the
    effective ones are `get_last_lr()`, which Transformers logs where it is given this scheduler. In
    Lightning: `self.log("lr", self.lr_schedulers().get_last_lr()[0])`.

    Cost: one pass of 40 bytes a measured parameter, and some tenths of a millisecond of Python a step.
    Memory: 16 bytes a measured parameter, and the copies of `rollback`.

    Examples
    --------
    >>> import torch, nalr.torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    >>> scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, total_steps=300)
    >>> for _ in range(300):
    ...     inputs = torch.randn(16, 4)
    ...     loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
    ...     loss.backward()
    ...     optimizer.step()
    ...     scheduler.step(loss)
    ...     optimizer.zero_grad()
    >>> loss.item() < 1e-3, scheduler.reading().source
    (True, 'steps')
    """

    def __init__(self, optimizer: Any, *, last_epoch: int = -1, **settings: Any) -> None:
        groups = getattr(optimizer, "param_groups", ())
        if last_epoch != -1 and not all("initial_lr" in group for group in groups):
            raise KeyError(
                "`optimizer` must have `initial_lr` in each group where `last_epoch` is given: load its "
                "`state_dict` first."
            )
        self.last_epoch = last_epoch
        super().__init__(optimizer, **settings)

    def _begin(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.base_lrs: list[float | Tensor] = list(self.engine.rates.base)
        self._marked = []  # groups whose `initial_lr`, which other schedules read, is ours
        for group, rate in zip(self.engine.optimizer.param_groups, self.engine.rates.own(), strict=True):
            if rate is not None and "initial_lr" not in group:
                group["initial_lr"] = rate
                self._marked.append(group)
        self._initial_step()

    def _initial_step(self) -> None:
        """Count as torch's schedulers do at the start; `SequentialLR` calls it once more."""
        self._step_count = 1
        self.last_epoch += 1

    def step(self, loss: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take in the loss of the step that was just made; call it once after each `optimizer.step()`.

        Parameters
        ----------
        loss : float or Tensor of one value, optional
            The step's own (training) loss: the one whose gradient the optimizer got. With several backwards
            a step it is the sum of all the values that `backward` was called on, which is their mean where
            each was divided by their number; not the last of them, and not a part divided.
        epoch : int, optional
            Not used; schedulers have it.

        Raises
        ------
        TypeError, ValueError
            If it is not one number.
        """
        self.engine.give(loss)
        self._step_count += 1
        self._update_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        """Count; with `epoch`, as `SequentialLR` says where our turn begins, from the groups' first rates."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch is not None:
            self.engine.rates.reset_to_base()

    def get_lr(self) -> list[Any]:
        """Return the rate of each group as the user, or another schedule, wrote it.

        Handlers that write what this returns into the groups leave them as they are. The effective rates,
        which are these times our factor, are those of `get_last_lr`.
        """
        return self.engine.rates.own()

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the effective rate of each group in the last step; nan for a group without a rate."""
        return list(self.engine.rates.made(self.engine.factor))

    @property  # torch's compositions read it
    def _last_lr(self) -> list[float | Tensor]:  # type: ignore[override]
        return self.get_last_lr()

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly: `torch.load(weights_only=True)` reads it."""
        return {"engine": self.engine.state_dict(), "last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take a state of `state_dict`: what follows is the same to the bit, if optimizer and model are too.

        Raises
        ------
        ValueError
            If it was saved under other settings.
        """
        self.engine.load_state_dict(state_dict["engine"])
        self.last_epoch = state_dict["last_epoch"]
        self._step_count = self.last_epoch + 1

    def detach(self) -> None:
        """Take every hook away; the optimizer is as it was before."""
        self.engine.detach()
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):  # then no other schedule is there
            for group in self._marked:
                group.pop("initial_lr", None)
        self._marked.clear()
