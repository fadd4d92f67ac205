"""The hooks: which pass of the model runs, and what its layers' calls and gradients bring."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nalr.torch.ghost.coverage import Coverage, rules_of
from nalr.torch.ghost.graph import count_uses, tensors
from nalr.torch.ghost.layer import Layer
from nalr.torch.ghost.passes import Pass
from nalr.torch.ghost.tap import Tap, attach, keep
from nalr.torch.handles import Handles


class _Hook:
    """A hook that is not copied or saved with its model, and not traced when the model is compiled.

    It holds the listener weakly: a model does not keep who listens to it.
    """

    def __init__(self, listener: Listener, function: Callable[..., None], *given: Any) -> None:
        self.listener, self.given = ref(listener), given
        self.function = torch.compiler.disable(function)  # type: ignore[no-untyped-call]

    def __call__(self, *args: Any) -> None:
        listener = self.listener()
        if listener is not None:
            self.function(listener, *self.given, *args)

    def __reduce__(self) -> Any:
        return _silent, ()


def _silent() -> Callable[..., None]:
    return _ignore


def _ignore(*args: Any) -> None:
    pass


def _sweep(module: nn.Module) -> None:
    """Take away what copying left of hooks."""
    options: tuple[dict[int, bool], ...] = (
        module._forward_hooks_with_kwargs,
        module._forward_hooks_always_called,
        module._forward_pre_hooks_with_kwargs,
    )
    for hooks in (module._forward_hooks, module._forward_pre_hooks):
        for key in [key for key, hook in hooks.items() if hook is _ignore]:
            del hooks[key]
            for option in options:
                option.pop(key, None)


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1  # as torch.utils.checkpoint asks it


def _transformed() -> bool:
    """Whether `torch.func` runs the model: its gradients are values, and no backward pass follows."""
    return torch._C._are_functorch_transforms_active()


class Listener:
    """Follows the passes of a model and gathers in `passes` those that a gradient reached.

    A pass is one call of the model. Its uses of a parameter belong to the same samples; other calls see other
    samples.
    """

    def __init__(self, model: nn.Module, coverage: Coverage) -> None:
        self.passes: list[Pass] = []
        self.scale = 1.0  # of gradients, a power of two: squares of float32 have half the range of exponents
        self.faults: dict[int, str] = {}  # by autograd's number of the backward that showed them
        self._coverage = coverage
        self._audited = False
        self._forward: Pass | None = None  # whose forward is running
        self._backward: Pass | None = None  # whose output's gradient came last
        self._attach(model)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy goes on with: no pass, and hooks of its own."""
        nothing = dict.fromkeys(("passes", "_forward", "_backward"))
        return {**self.__dict__, **nothing, "_handles": bool(self._handles)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.clear()
        if state["_handles"]:
            self._attach(self._coverage.model)
        else:
            self._handles = Handles(self, ())
            self._handles.remove()

    def clear(self) -> None:
        """Forget all passes."""
        self.passes, self._backward, self.faults = [], None, {}

    def close(self) -> None:
        """Remove the hooks."""
        self._handles.remove()
        self.clear()

    def _attach(self, model: nn.Module) -> None:
        handles: list[RemovableHandle] = []
        for name, module in model.named_modules():
            _sweep(module)
            layer = rules_of(module)
            if layer is not None:
                hook = _Hook(self, Listener._observe, name, layer)
                # First of all hooks: others may change the output.
                handles.append(module.register_forward_hook(hook, prepend=True, with_kwargs=True))
        begin, end = _Hook(self, Listener._begin), _Hook(self, Listener._end)
        handles.append(model.register_forward_pre_hook(begin, prepend=True, with_kwargs=True))
        handles.append(model.register_forward_hook(end, always_call=True))
        self._handles = Handles(self, handles)

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
                    self._coverage.withdraw(key, "is also read outside the layer that holds it")

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
            self._coverage.called.update(id(parameter) for parameter in held.values())
        wanted = {key: p for key, p in held.items() if p in self._coverage}
        if not wanted or not output.requires_grad or _transformed():
            return
        inputs = args[0] if args else kwargs["input"]
        # Activation checkpointing calls layers again, during the backward pass.
        current = self._forward or (self._backward if _in_backward() else None)
        mismatch = current and self._mismatch(current, layer, module, inputs)
        if mismatch:
            for parameter in wanted.values():
                self._coverage.withdraw(id(parameter), f"`{name}` {mismatch}")
            return
        kept = keep(inputs) if set(wanted) != {"bias"} else None
        receive = partial(self._receive, current, name, layer, module, wanted)
        attach(output, Tap(receive, self._repeated, kept, output.shape))

    def _mismatch(self, current: Pass, layer: Layer, module: nn.Module, inputs: Tensor) -> str | None:
        """Return why axis 0 of a layer's input is not the samples of the pass, or None."""
        if inputs.dim() < layer.axes(module):
            return "was given an input without a sample axis"
        if current.samples is None:
            current.samples = len(inputs)
        if len(inputs) != current.samples:
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
        if not self._handles or not grad.numel():
            return
        if current is None:
            self._blame(
                f"`{name}` was called outside the model's own forward. Call it through the model that "
                "`SampleNorms` was given."
            )
            return
        if self.scale != 1.0:
            grad = self.scale * grad
        if current not in self.passes:
            self.passes.append(current)
        current.tasks.add(torch._C._current_graph_task_id())
        for key, parameter in wanted.items():
            use = layer.rules[key](module, cast(Tensor, inputs), grad)
            if parameter.requires_grad and not current.arrive(id(parameter), use):
                self._repeated()

    def _repeated(self) -> None:
        self._blame(
            "Two backward passes went through one forward pass, and their sum has no norm that is known. "
            "Add the losses and call `backward` once, or call `clear` after a backward that should not count "
            "and run the model again."
        )

    def _blame(self, fault: str) -> None:
        self.faults.setdefault(torch._C._current_graph_task_id(), fault)
