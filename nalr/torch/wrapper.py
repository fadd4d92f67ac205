"""The wrapper form: an optimizer around an optimizer, with the loss given to its step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from nalr.torch.form import Form
from nalr.torch.losses import checked

KEY = "nalr"
"""The entry of `state_dict()` beside "state" and "param_groups"."""


class NoiseAdaptiveOptimizer(Form, Optimizer):
    """A learning rate from measurements, around any PyTorch optimizer, whose groups and state it shares.

    Each step is decided by its own gradients and loss.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The inner optimizer.
    **settings
        The options of `nalr.torch.NoiseAdaptiveLR`.

    Notes
    -----
    `param_groups`, `state`, `defaults` and every other attribute of an optimizer *are* the inner optimizer's.
    `state_dict()` is the inner one's with one more entry, "nalr"; a checkpoint without that
    entry is read as the inner optimizer's alone.

    Examples
    --------
    >>> import torch, nalr.torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = nalr.torch.NoiseAdaptiveOptimizer(torch.optim.AdamW(model.parameters(), lr=1e-5))
    >>> for _ in range(300):
    ...     inputs = torch.randn(16, 4)
    ...     loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     _ = optimizer.step(loss=loss)
    >>> loss.item() < 0.1
    True
    """

    def _begin(self, optimizer: Any) -> None:
        self.inner = optimizer

    def __getattr__(self, name: str) -> Any:
        """Return what only the inner optimizer has."""
        if name in ("inner", "engine"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __getstate__(self) -> dict[str, Any]:
        """Return the inner optimizer and ours: a copy trains the copies of the parameters.

        Left out is a `step` that a schedule of torch's put here: it makes the original's.
        """
        return {key: value for key, value in self.__dict__.items() if key != "step"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"NoiseAdaptiveOptimizer({self.inner!r})"

    def step(self, closure: Callable[[], Any] | None = None, *, loss: float | Tensor | None = None) -> Any:
        """Measure, set the rate, and make the inner optimizer's step.

        Parameters
        ----------
        closure : callable, optional
            As the inner optimizer takes it; its result is the loss.
        loss : float or Tensor of one value, optional
            The loss whose gradient the parameters hold: after several backwards the sum of all values that
            `backward` was called on, not the last of them. Without one, the change that gradients predict is
            used, and the record names it so.

        Returns
        -------
        Any
            What the inner optimizer's step returns.
        """
        losses = self.engine.losses
        losses.latest = None
        if loss is not None:
            losses.give(checked(loss))
        try:
            return self.inner.step() if closure is None else self.inner.step(closure)
        finally:
            self.engine.rates.restore()
            losses.latest = None  # of a step that was left out

    # -- the inner optimizer's ----------------------------------------------------------------------

    def _inner(name: str) -> Any:  # type: ignore[misc]  # noqa: N805
        """Return a property that is the inner optimizer's attribute."""

        def get(self: NoiseAdaptiveOptimizer) -> Any:
            return getattr(self.inner, name)

        def put(self: NoiseAdaptiveOptimizer, value: Any) -> None:
            setattr(self.inner, name, value)

        def drop(self: NoiseAdaptiveOptimizer) -> None:
            delattr(self.inner, name)

        return property(get, put, drop, f"The inner optimizer's `{name}`.")

    param_groups = _inner("param_groups")
    state = _inner("state")
    defaults = _inner("defaults")
    grad_scale = _inner("grad_scale")
    found_inf = _inner("found_inf")
    del _inner

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the inner optimizer's."""
        self.inner.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the inner optimizer's; the path is measured anew from the next step on."""
        self.inner.add_param_group(param_group)

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state with ours beside it."""
        return {**self.inner.state_dict(), KEY: self.engine.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take a state of `state_dict`; what follows is the same to the bit."""
        own = {key: value for key, value in state_dict.items() if key != KEY}
        if KEY in state_dict:
            self.engine.load_state_dict(state_dict[KEY])
        self.inner.load_state_dict(own)

    def detach(self) -> Optimizer:
        """Take every hook away and return the inner optimizer, as it was before."""
        self.engine.detach()
        inner: Optimizer = self.inner
        return inner
