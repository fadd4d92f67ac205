"""Which parameters of a model have rules, and why the others have none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import nn

from nalr.torch.ghost import convolution, embedding, linear, normalization
from nalr.torch.ghost.layer import Layer

LAYERS: dict[type[nn.Module], Layer] = (
    linear.LAYERS | convolution.LAYERS | embedding.LAYERS | normalization.LAYERS
)

_MIXING = nn.modules.batchnorm._BatchNorm  # InstanceNorm has another base
_FUNCTIONAL = {nn.MultiheadAttention: "is read by a functional call inside MultiheadAttention"}


def rules_of(module: nn.Module) -> Layer | None:
    """Return the rules for `module`: of its class, or of one whose `forward` it has not changed."""
    for base in type(module).__mro__:
        if base in LAYERS:
            return LAYERS[base] if type(module).forward is base.forward else None
    return None


def mixes_samples(module: nn.Module) -> bool:
    """Whether the output of a sample depends on the others of its batch."""
    return isinstance(module, _MIXING) and (module.training or not module.track_running_stats)


class Coverage:
    """What is known of each trainable parameter of a model: that it has rules, or why not."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.called: set[int] = set()  # parameters, by id, of which a layer was ever called
        self._against = _reasons_against(model)
        self.grown = False
        """Whether the model was given parameters since: `withdraw_uncalled` looks."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is known by name: a copy has other parameters."""
        return {
            "model": self.model,
            "names": list(self._names.values()),
            "called": [self._names[key] for key in self.called if key in self._names],
            "against": {self._names[key]: why for key, why in self._against.items() if key in self._names},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.model = state["model"]
        keys = {name: id(parameter) for name, parameter in self.model.named_parameters()}
        self._names = {keys[name]: name for name in state["names"] if name in keys}
        self.grown = False
        self.called = {keys[name] for name in state["called"] if name in keys}
        self._against = {keys[name]: why for name, why in state["against"].items() if name in keys}

    def __contains__(self, parameter: nn.Parameter) -> bool:
        """Whether the gradient of `parameter` is wanted, and its norms known."""
        return parameter.requires_grad and id(parameter) in self._names and id(parameter) not in self._against

    def parameters(self) -> list[nn.Parameter]:
        """Return the covered parameters, each once."""
        return [parameter for parameter in self.model.parameters() if parameter in self]

    def names(self) -> tuple[str, ...]:
        """Return their names."""
        return tuple(self._names[id(parameter)] for parameter in self.parameters())

    def reasons(self) -> dict[str, str]:
        """Return why the others are not covered, by name."""
        return {
            name: self._against.get(id(parameter), "is new to the model")
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and parameter not in self
        }

    def withdraw_uncalled(self) -> None:
        """Give up parameters that have a gradient although their layers were never called."""
        self.grown = False
        for parameter in self.model.parameters():
            if parameter not in self:
                self.grown |= parameter.requires_grad and id(parameter) not in self._names
            elif parameter.grad is not None and id(parameter) not in self.called:
                self.withdraw(id(parameter), "got its gradient without a call of the layer that holds it")

    @property
    def count_against(self) -> int:
        """How many parameters were given up, at the start or since."""
        return len(self._against)

    def withdraw(self, key: int, reason: str) -> None:
        """Give up the parameter of `id` key, for the first reason that is found."""
        self._against.setdefault(key, reason)


def _reasons_against(model: nn.Module) -> dict[int, str]:
    """Return, by the parameter's id, why its per-sample norms cannot be known."""
    reasons: dict[int, str] = {}
    kinds: defaultdict[int, set[object]] = defaultdict(set)
    for owner, module, name, parameter in _parameters(model):
        layer = rules_of(module)
        reason = _reason(owner, module, layer, name)
        if reason is not None:
            reasons.setdefault(id(parameter), reason)
        elif layer is not None:
            kinds[id(parameter)].add(layer.kind(module, name))
    for key, found in kinds.items():
        if len(found) > 1:
            reasons.setdefault(key, "is shared by layers whose gradients have different forms")
    return reasons


def _reason(owner: nn.Module | None, module: nn.Module, layer: Layer | None, name: str) -> str | None:
    for functional, sentence in _FUNCTIONAL.items():
        if isinstance(module, functional) or isinstance(owner, functional):
            return sentence
    if isinstance(module, _MIXING):
        return f"{type(module).__name__} mixes the samples of a batch"
    if layer is None or name not in layer.rules:
        return f"no rule for `{name}` of {type(module).__name__}"
    return layer.refusal(module)


def _parameters(model: nn.Module) -> Iterator[tuple[nn.Module | None, nn.Module, str, nn.Parameter]]:
    """Yield every parameter as often as modules hold it, with its module and the one above."""
    parents: dict[nn.Module, nn.Module] = {
        child: module for module in model.modules() for child in module.children()
    }
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield parents.get(module), module, name, parameter
