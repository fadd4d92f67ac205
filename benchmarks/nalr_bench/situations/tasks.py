"""Small tasks in PyTorch whose loss is no level: it changes under way, or never was one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Turn = tuple[int, Tensor]
"""Which player makes a step, and on what loss."""


class Task(Protocol):
    """A task from a seed: its players, the turns of a step, and how far off the goal they are."""

    @property
    def players(self) -> Sequence[nn.Module]:
        """Return the modules that are trained, each by an optimizer of its own."""

    def turns(self, step: int) -> Iterator[Turn]:
        """Yield the turns of a step; a player's step is made before the next turn is asked for."""

    def distance(self) -> float:
        """Return how far from the goal the players are."""


Change = Callable[[Tensor], Tensor]


def network(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    """Return a network of one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


class Regression:
    """Regression whose loss, or whose target, is another from half of the run on.

    Parameters
    ----------
    num_steps : int
        Length of the run.
    change : callable, optional
        Makes the loss of the second half.
    other_target : bool
        Whether the target changes.
    auxiliary : bool
        Whether a second loss begins.
    """

    def __init__(
        self,
        num_steps: int,
        change: Change | None = None,
        other_target: bool = False,
        auxiliary: bool = False,
    ) -> None:
        self.half, self.change, self.auxiliary = num_steps // 2, change, auxiliary
        self.targets = (torch.sin, torch.cos if other_target else torch.sin)
        self.model = network(10, 1)
        self.players = [self.model]
        self.held_out = torch.randn(2000, 10)

    def _error(self, inputs: Tensor, late: bool) -> Tensor:
        return F.mse_loss(self.model(inputs), self.targets[late](inputs).sum(1, keepdim=True))

    def turns(self, step: int) -> Iterator[Turn]:
        inputs, late = torch.randn(32, 10), step >= self.half
        loss = self._error(inputs, late)
        if late and self.change is not None:
            loss = self.change(loss)
        if late and self.auxiliary:
            hidden = self.model[1](self.model[0](inputs)).mean(1)
            loss = loss + 3.0 * F.mse_loss(hidden, inputs[:, 0]) + 5.0
        yield 0, loss

    @torch.no_grad()
    def distance(self) -> float:
        return float(self._error(self.held_out, late=True))


class PolicyGradient:
    """Rewards: with advantages the loss is zero up to rounding, without them it is no bound of anything."""

    def __init__(self, num_steps: int, advantages: bool = True) -> None:
        self.advantages = advantages
        self.model = nn.Linear(8, 6)
        self.players = [self.model]
        self.rewards = torch.randn(8, 6)
        self.held_out = torch.randn(2000, 8)

    def turns(self, step: int) -> Iterator[Turn]:
        inputs = torch.randn(16, 8)
        chances = self.model(inputs).log_softmax(1)
        actions = torch.multinomial(chances.exp(), 8, replacement=True)
        reward = (inputs @ self.rewards).gather(1, actions).detach()
        chosen = chances.gather(1, actions)
        if not self.advantages:
            yield 0, -(reward * chosen).mean()
            return
        spread = reward.std(1, keepdim=True) + 1e-4
        advantage = (reward - reward.mean(1, keepdim=True)) / spread
        yield 0, -(torch.exp(chosen - chosen.detach()) * advantage).mean()

    @torch.no_grad()
    def distance(self) -> float:
        values, chances = self.held_out @ self.rewards, self.model(self.held_out).softmax(1)
        return float((values.max(1).values - (chances * values).sum(1)).mean())


class Contrast:
    """A contrastive loss of pairs."""

    def __init__(self, num_steps: int) -> None:
        self.model = network(10, 8)
        self.players = [self.model]
        self.held_out = torch.randn(512, 10), 0.1 * torch.randn(512, 10)

    def _loss(self, inputs: Tensor, shift: Tensor) -> Tensor:
        one, other = F.normalize(self.model(inputs), dim=1), F.normalize(self.model(inputs + shift), dim=1)
        return F.cross_entropy(one @ other.T / 0.1, torch.arange(len(inputs)))

    def turns(self, step: int) -> Iterator[Turn]:
        yield 0, self._loss(torch.randn(32, 10), 0.1 * torch.randn(32, 10))

    @torch.no_grad()
    def distance(self) -> float:
        return float(self._loss(*self.held_out))


class Energy:
    """Energies of data less those of noise: near zero at first, then below it."""

    def __init__(self, num_steps: int) -> None:
        self.model = network(4, 1)
        self.players = [self.model]
        self.mean = torch.randn(4)
        self.held_out = torch.randn(2000, 4), torch.randn(2000, 4)

    def _loss(self, data: Tensor, noise: Tensor) -> Tensor:
        low, high = self.model(0.5 * data + self.mean), self.model(noise)
        loss: Tensor = low.mean() - high.mean() + 0.1 * (low.square().mean() + high.square().mean())
        return loss

    def turns(self, step: int) -> Iterator[Turn]:
        yield 0, self._loss(torch.randn(32, 4), torch.randn(32, 4))

    @torch.no_grad()
    def distance(self) -> float:
        return float(self._loss(*self.held_out)) + 5.0  # its least value


class Likelihood:
    """A negative log-likelihood with a learned variance, which goes through zero."""

    def __init__(self, num_steps: int) -> None:
        self.model = network(5, 2)
        self.players = [self.model]
        self.held_out = torch.randn(2000, 5), torch.randn(2000, 1)

    def _loss(self, inputs: Tensor, noise: Tensor) -> Tensor:
        mean, log_scale = self.model(inputs).chunk(2, 1)
        error = inputs.sin().sum(1, keepdim=True) + 0.05 * noise - mean
        loss: Tensor = (log_scale + 0.5 * error.square() * torch.exp(-2.0 * log_scale)).mean()
        return loss

    def turns(self, step: int) -> Iterator[Turn]:
        yield 0, self._loss(torch.randn(32, 5), torch.randn(32, 1))

    @torch.no_grad()
    def distance(self) -> float:
        return float(self._loss(*self.held_out)) + 3.0  # that of the true scale, .05, is −2.5


class Game:
    """A generator and a discriminator on one dimension; the distance is that of the last fifth's samples."""

    def __init__(self, num_steps: int) -> None:
        self.judged = int(0.8 * num_steps)
        self.generator, self.discriminator = network(4, 1, 32), network(1, 1, 32)
        self.players = [self.discriminator, self.generator]
        self.held_out = torch.randn(1024, 4)
        self.truth = self._data(1024)[:, 0].sort().values
        self.distances: list[float] = []

    def _data(self, count: int) -> Tensor:
        return 0.5 * torch.randn(count, 1) + 3.0

    def turns(self, step: int) -> Iterator[Turn]:
        real, fake = self._data(64), self.generator(torch.randn(64, 4))
        one, zero = torch.ones(64, 1), torch.zeros(64, 1)
        judge = F.binary_cross_entropy_with_logits
        yield 0, judge(self.discriminator(real), one) + judge(self.discriminator(fake.detach()), zero)
        yield 1, judge(self.discriminator(fake), one)
        if step >= self.judged and step % 10 == 0:
            with torch.no_grad():
                samples = self.generator(self.held_out)[:, 0].sort().values
                self.distances.append(float((samples - self.truth).abs().mean()))

    def distance(self) -> float:
        return sum(self.distances) / len(self.distances)
