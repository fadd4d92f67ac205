"""The scheduler form: two lines beside a loop that stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from nalr.torch.form import Form


class NoiseAdaptiveLR(Form, LRScheduler):
    """A learning rate from measurements, for any PyTorch optimizer: a scheduler with `step(loss)`.

    It looks at the gradients through hooks when the optimizer steps, and multiplies the learning rates of all
    groups by one factor for the time of the step. The optimizer's own logic, its groups' ratios and any other
    schedule are left alone: between steps the groups hold the user's own rates, and `get_last_lr()` tells the
    effective ones.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Any; its learning rates are where the search starts, and may be wrong by powers of ten.
    noise : str
        Where the noise of the gradient is measured: "samples" (norms of every sample's gradient, from the
        layers of `model`), "microbatches" (two backwards a step or more, or the "ranks" of a data-parallel
        run), "steps" (change from step to step; high by the curvature's share), or "auto": the best that the
        run offers. `reading().source` tells which.
    model : torch.nn.Module, optional
        For `noise="samples"`; with "auto" samples are used if all parameters are covered.
    total_steps : int, optional
        The number of optimizer steps, if known: the rate then falls to zero there.
    every : int
        Steps from one measurement to the next, at least 1. Between them nothing is measured, and on an
        accelerator nothing waits.
    microbatch_size : int
        Samples that one backward's loss is the mean of: makes the gradient noise scale be in samples.
    coordinates : int, optional
        About how many parameters to measure the path on: by default all of the first 262 144, and at least a
        sixteenth of any model.
    scaler : torch.amp.GradScaler, optional
        Needed only where gradients are unscaled *and* clipped.
    process_group : ProcessGroup, optional
        Of the processes that train copies of this model: all decide the same, and their own gradients are
        rows. "auto" is all processes, if `torch.distributed` is in use; None is this one alone.
    rollback : bool
        Keep a copy of parameters and optimizer state (of `model`'s buffers too), and return to it after a
        blow-up.
    rollback_device : device, optional
        Where the copy is kept; beside the parameters by default.
    min_lr, max_lr, alpha, cooldown, estimator, smoother, policy
        As in `nalr.NoiseAdaptiveLR`, in units of the first group's rate.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range, and for what cannot be measured: DTensors, optimizers in the
        backward, DeepSpeed's; sparse gradients when they come.

    Notes
    -----
    *Losses.* Means over the samples are assumed for "samples". A loss serves the decision on the step after
    it; optimizers that are given a closure, and `NoiseAdaptiveOptimizer.step(loss=…)`, decide each step by
    its own. Without any loss (`step()`), what gradients tell of its change stands for it.

    *Clipping* comes between backward and step: noise is measured before it (`measured_before_clipping`), but
    for "steps", which sees what the optimizer gets.

    *Cost.* A pass of 40 bytes a measured parameter and some 50 µs a step. *Memory.* 16 bytes a measured
    parameter: 4 MB up to 262 144, then less than a copy of the parameters; rollback's copies on top.

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

    def _begin(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.base_lrs: list[float | Tensor] = list(self.engine.rates.base)
        self.last_epoch = 0
        self._step_count = 1
        self._last_lr: list[float | Tensor] = list(self.base_lrs)

    def step(self, loss: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take in the loss of the step that was just made.

        Parameters
        ----------
        loss : float or Tensor of one value, optional
            The step's own (training) loss.
        epoch : int, optional
            Not used; schedulers have it.

        Raises
        ------
        TypeError, ValueError
            If it is not one number.
        """
        self.engine.give(loss)
        self.last_epoch += 1
        self._step_count += 1
        self._last_lr = self.get_lr()

    def get_lr(self) -> list[float | Tensor]:
        """Return the effective rate of each group: the user's own times our factor."""
        return list(self.engine.rates.effective(self.engine.factor))

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the effective rate of each group at the last step."""
        return list(self._last_lr)

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly: `torch.load(weights_only=True)` reads it."""
        return {"engine": self.engine.state_dict(), "last_epoch": self.last_epoch, "last_lr": self._last_lr}

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
        self._last_lr = list(state_dict["last_lr"])

    def detach(self) -> None:
        """Take every hook away; the optimizer is as it was before."""
        self.engine.detach()
