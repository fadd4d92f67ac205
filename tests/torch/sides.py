"""A small torch set-up, built from its description with or without nalr: the fuzz drives two side by side."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

import nalr.torch
from tests.torch.setups import MILESTONE, OPTIMIZERS, Net, Plan, Setup


def _decay(epoch: int) -> float:
    return 0.97**epoch


class Side:
    """A model, an optimizer and what is around it: with nalr, or as torch alone."""

    def __init__(self, setup: Setup, watched: bool) -> None:
        self.setup, self.watched = setup, watched
        torch.manual_seed(setup.seed)
        self.model = Net(setup)
        for _ in setup.added:
            self.model.extras.append(nn.Linear(2, 2))
        for parameter in self.model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(setup.dtype)
        self._freeze()
        self.optimizer = OPTIMIZERS[setup.optimizer](self._groups(), lr=self._rate(setup.lr))
        for share, extra in zip(setup.added, self.model.extras, strict=True):
            self.optimizer.add_param_group(self._group(extra, share))
        self.scaler = (
            torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3) if setup.scaler else None
        )
        self.form: Any = self._form() if watched else None
        self.schedule: Any = self._schedule()

    # -- building -----------------------------------------------------------------------------------

    def _rate(self, lr: float) -> float | Tensor:
        return torch.tensor(lr, dtype=torch.float64) if self.setup.tensor_rate else lr

    def _groups(self) -> list[dict[str, Any]]:
        parameters = [p for n, p in self.model.named_parameters() if not n.startswith("extras")]
        if self.setup.second is None:
            groups = [{"params": parameters}]
        else:
            second = {"params": parameters[-1:], "lr": self._rate(self.setup.lr * self.setup.second)}
            groups = [{"params": parameters[:-1]}, second]
        return [{"params": []}, *groups] if self.setup.model == "empty groups" else groups

    def _group(self, module: nn.Module, share: float) -> dict[str, Any]:
        rate = self._rate(self.setup.lr * share)
        group = {"params": list(module.parameters()), "lr": rate}
        if self.setup.schedule != "none":  # torch's schedules need it
            group["initial_lr"] = rate.clone() if isinstance(rate, Tensor) else rate
        return group

    def _form(self) -> Any:
        setup = self.setup
        bounds = {"min_lr": setup.lr / 100, "max_lr": setup.lr * 100} if setup.bounded else {}
        kind = nalr.torch.NoiseAdaptiveLR if setup.form == "scheduler" else nalr.torch.NoiseAdaptiveOptimizer
        return kind(
            self.optimizer,
            noise=setup.noise,
            model=self.model,
            total_steps=setup.total_steps,
            every=setup.every,
            scaler=self.scaler,
            rollback=setup.rollback,
            **bounds,
        )

    def _schedule(self) -> Any:
        kind, target = self.setup.schedule, self.handle
        if kind == "lambda":
            return lr_scheduler.LambdaLR(target, _decay)
        if kind == "step":
            return lr_scheduler.StepLR(target, 3, 0.7)
        if kind == "sequential":
            rise = lr_scheduler.LinearLR(target, 0.5, total_iters=MILESTONE)
            fall = lr_scheduler.ExponentialLR(target, 0.95)
            return lr_scheduler.SequentialLR(target, [rise, fall], [MILESTONE])
        if kind == "sequential inside":
            rise = lr_scheduler.LinearLR(target, 0.5, total_iters=MILESTONE)
            stay = self.form if self.watched else lr_scheduler.ConstantLR(target, 1.0, total_iters=0)
            return lr_scheduler.SequentialLR(target, [rise, stay], [MILESTONE])
        if kind.startswith("chained"):
            parts = [lr_scheduler.StepLR(target, 3, 0.7), lr_scheduler.ExponentialLR(target, 0.98)]
            if kind == "chained inside" and self.watched:
                parts.append(self.form)
            return lr_scheduler.ChainedScheduler(parts)
        return None

    def _freeze(self) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(parameter.is_floating_point() and name not in self.setup.frozen)

    # -- what a loop holds --------------------------------------------------------------------------

    @property
    def wrapper(self) -> bool:
        return self.watched and self.setup.form == "wrapper"

    @property
    def handle(self) -> Any:
        """The optimizer that the user's loop calls."""
        return self.form if self.wrapper else self.optimizer

    @property
    def inside(self) -> bool:
        return self.setup.schedule.endswith("inside")

    @property
    def parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def own(self) -> list[float]:
        """What the groups hold."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def told(self, own: list[float]) -> list[float]:
        """Return the rates that nalr says the last step was made with; `own` are the user's before it."""
        if not self.wrapper:
            told = [float(lr) for lr in self.form.get_last_lr()]
            return [*told, *own[len(told) :]]  # of groups that no step was made with yet
        first = next((lr for lr in own if lr > 0.0), 1.0)
        return [lr * (self.form.lr / first) for lr in own]

    def values(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters]

    # -- a step -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def rates(self, rates: Sequence[float] | None) -> Iterator[None]:
        """Make a step at these rates: the slow way to say what nalr does."""
        if rates is None:
            yield
            return
        own = self.own
        self._write(rates)
        yield
        self._write(own)

    def _write(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def backward(self, plan: Plan) -> tuple[float, float]:
        """Run the backwards of a step; return the loss of the whole batch, and that of the last one."""
        inputs, targets = self.model.batch(plan.seed, 8, self.setup.dtype)
        whole = last = 0.0
        for x, y in zip(inputs.chunk(plan.backwards), targets.chunk(plan.backwards), strict=True):
            loss = nn.functional.mse_loss(self.model(x), y) * plan.level + plan.offset
            whole += float(loss.detach()) / plan.backwards
            part = loss / plan.backwards if plan.divided else loss
            last = float(part.detach())
            (part if self.scaler is None else self.scaler.scale(part)).backward()
        return whole, last

    def _gradients(self, plan: Plan) -> tuple[float, float]:
        """Make the gradients of a step, as the plan wants them."""
        self.handle.zero_grad()
        losses = self.backward(plan)
        gradients = [p.grad for p in self.parameters if p.grad is not None and p.numel()]
        if plan.wreck == "some none":
            self.parameters[-1].grad = None
        elif plan.wreck == "all none":
            self.handle.zero_grad()
        elif plan.wreck in ("nan", "inf"):
            gradients[0].view(-1)[0] = math.nan if plan.wreck == "nan" else math.inf
        elif plan.wreck != "none":
            for gradient in gradients:
                gradient.mul_({"zero": 0.0, "tiny": 1e-25, "huge": 1e15}[plan.wreck])
        if plan.clip is not None and plan.wreck != "all none":
            if self.scaler is not None:
                self.scaler.unscale_(self.handle)
            kind, bound = plan.clip
            clip = nn.utils.clip_grad_norm_ if kind == "norm" else nn.utils.clip_grad_value_
            clip(self.parameters, bound)
        return losses

    def step(self, plan: Plan, rates: Sequence[float] | None = None) -> None:
        """Make one step of the loop: backwards, optimizer, schedulers."""
        losses = (0.0, 0.0)

        def closure() -> Tensor:
            nonlocal losses
            losses = self._gradients(plan)
            return torch.tensor(losses[0], dtype=torch.float64)

        by_closure = plan.closure and self.scaler is None
        if not by_closure:
            losses = self._gradients(plan)
        with self.rates(rates):
            if by_closure:
                self.handle.step(closure)
            else:
                options = {"loss": _given(plan, losses)} if self.wrapper else {}
                if self.scaler is not None and plan.wreck != "all none":
                    self.scaler.step(self.handle, **options)
                    self.scaler.update()
                else:
                    self.handle.step(**options)
        self.after(_given(plan, losses), plan.order)

    def after(self, loss: Any, first: bool = True) -> None:
        """Step the schedulers."""
        ours = self.watched and not self.wrapper and not self.inside
        if ours and first:
            self.form.step(loss)
        if self.schedule is not None:
            self.schedule.step()
        if ours and not first:
            self.form.step(loss)

    # -- what users change in a run -----------------------------------------------------------------

    def multiply_rates(self, factor: float) -> None:
        self._write([rate * factor for rate in self.own])

    def add_group(self, share: float) -> None:
        torch.manual_seed(len(self.setup.added))
        extra = nn.Linear(2, 2).to(self.setup.dtype)
        self.model.extras.append(extra)
        self.handle.add_param_group(self._group(extra, share))
        self.setup = replace(self.setup, added=(*self.setup.added, share))

    def freeze(self, names: frozenset[str]) -> None:
        self.handle.zero_grad()
        self.setup = replace(self.setup, frozen=names)
        self._freeze()

    @torch.no_grad()
    def resize(self, hidden: int) -> None:
        """Give the hidden layer another width; the optimizer's state of it begins anew."""
        fresh = Net(replace(self.setup, hidden=hidden, added=())).to(self.setup.dtype)
        for parameter, new in zip(self.model.body.parameters(), fresh.body.parameters(), strict=True):
            generator = torch.Generator().manual_seed(hidden)
            parameter.grad = None
            parameter.data = torch.randn(new.shape, generator=generator, dtype=torch.float64).to(new.dtype)
            self.optimizer.state.pop(parameter, None)
        self.setup = replace(self.setup, hidden=hidden)

    @torch.no_grad()
    def take_values(self, other: Side) -> None:
        """Take the parameters and the optimizer's state of another side."""
        for own, theirs in zip(self.parameters, other.parameters, strict=True):
            own.copy_(theirs)

    def take_state(self, other: Side) -> None:
        own = self.own
        self.optimizer.load_state_dict(copy.deepcopy(other.optimizer.state_dict()))
        self._write(own)

    # -- keeping ------------------------------------------------------------------------------------

    def saved(self) -> bytes:
        """Return a checkpoint as bytes."""
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.handle.state_dict(),
            "form": None if self.wrapper or self.inside else self.form.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(parts, buffer)
        return buffer.getvalue()

    def resumed(self, optimizer_first: bool) -> Side:
        """Return a set-up built anew that has read a checkpoint of this one."""
        state = torch.load(io.BytesIO(self.saved()), weights_only=True)
        fresh = Side(self.setup, self.watched)
        fresh.model.load_state_dict(state["model"])
        if optimizer_first:
            fresh.handle.load_state_dict(state["optimizer"])
        if state["form"] is not None:
            fresh.form.load_state_dict(state["form"])
        if fresh.schedule is not None:
            fresh.schedule.load_state_dict(state["schedule"])
        if not optimizer_first:
            fresh.handle.load_state_dict(state["optimizer"])
        if fresh.scaler is not None:
            fresh.scaler.load_state_dict(state["scaler"])
        return fresh

    def copied(self, by: str) -> Side:
        """Return a copy of everything by deepcopy or pickle."""
        parts = (self.model, self.optimizer, self.form, self.schedule, self.scaler)
        made = copy.deepcopy(parts) if by == "deepcopy" else pickle.loads(pickle.dumps(parts))
        twin = copy.copy(self)
        twin.model, twin.optimizer, twin.form, twin.schedule, twin.scaler = made
        return twin

    def hooks(self) -> list[int]:
        """Return how many hooks each parameter, and the optimizer, carries."""
        counts = []
        for parameter in self.parameters:
            counts.append(
                len(parameter._backward_hooks or ()) + len(parameter._post_accumulate_grad_hooks or ())
            )
        pre, post = self.optimizer._optimizer_step_pre_hooks, self.optimizer._optimizer_step_post_hooks
        return [len(pre) + len(post), *counts]


def _given(plan: Plan, losses: tuple[float, float]) -> Any:
    """Return the loss that the plan gives to nalr, of the whole batch's and the last microbatch's."""
    loss = dict(zip(("right", "last"), losses, strict=True)).get(plan.loss, plan.loss)
    return torch.tensor(loss, requires_grad=True) if plan.tensor and loss is not None else loss
