"""A small training that torch's tests share: its data depend on the step alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

OPTIMIZERS: dict[str, Callable[[Training], torch.optim.Optimizer]] = {
    "sgd": lambda t: torch.optim.SGD(t.model.parameters(), lr=0.01),
    "momentum": lambda t: torch.optim.SGD(t.model.parameters(), lr=0.01, momentum=0.9),
    "adamw": lambda t: torch.optim.AdamW(t.model.parameters(), lr=0.001),
}


class Training:
    """Regression by a small network."""

    def __init__(
        self,
        optimizer: Callable[[Training], torch.optim.Optimizer],
        dtype: torch.dtype = torch.float32,
        width: int = 8,
        batch: int = 16,
    ) -> None:
        torch.manual_seed(7)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
        ).to(dtype)
        self.dtype, self.batch = dtype, batch
        self.optimizer = optimizer(self)

    def data(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(self.batch, 3, generator=generator, dtype=torch.float64)
        noise = torch.randn(self.batch, 1, generator=generator, dtype=torch.float64)
        return inputs.to(self.dtype), (inputs.sum(1, keepdim=True) + 0.3 * noise).to(self.dtype)

    def loss(self, step: int) -> Tensor:
        inputs, targets = self.data(step)
        return torch.nn.functional.mse_loss(self.model(inputs), targets)

    def backward(self, step: int, microbatches: int = 1, divide: bool = True, scaler: Any = None) -> Tensor:
        """Clear the gradients and run the step's backwards; return the loss of the whole batch."""
        self.optimizer.zero_grad()
        inputs, targets = self.data(step)
        total = torch.zeros(())
        for x, y in zip(inputs.chunk(microbatches), targets.chunk(microbatches), strict=True):
            loss = torch.nn.functional.mse_loss(self.model(x), y)
            total = total + loss.detach() / microbatches if microbatches > 1 else loss
            part = loss / microbatches if divide else loss
            (part if scaler is None else scaler.scale(part)).backward()
        return total

    def run(self, steps: int, scheduler: Any, first: int = 0, microbatches: int = 1) -> list[float]:
        """Train with a scheduler; return the losses."""
        losses = []
        for step in range(first, first + steps):
            loss = self.backward(step, microbatches)
            self.optimizer.step()
            scheduler.step(loss)
            losses.append(float(loss.detach()))
        return losses

    def everything(self) -> list[Tensor]:
        """Return copies of parameters and optimizer state."""
        state = self.optimizer.state_dict()["state"]
        values = [*self.model.state_dict().values(), *(v for s in state.values() for v in s.values())]
        return [v.detach().clone() for v in values if isinstance(v, Tensor)]


def two_groups(training: Training) -> torch.optim.Optimizer:
    weight, *others = training.model.parameters()
    return torch.optim.SGD([{"params": [weight]}, {"params": others, "lr": 0.003}], lr=0.01, momentum=0.9)


def same_bits(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether tensors are equal in type and every bit."""
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
        for a, b in zip(first, second, strict=True)
    )


def effective(optimizer: torch.optim.Optimizer) -> list[list[float]]:
    """Return a list that grows by the rates of every step, as the optimizer finds them."""
    rates: list[list[float]] = []
    optimizer.register_step_pre_hook(
        lambda o, args, kwargs: rates.append([float(group["lr"]) for group in o.param_groups])
    )
    return rates
