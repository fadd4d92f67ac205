"""How often the graph of a forward pass uses each parameter, in layers or outside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor

_COPIES = ("ToCopyBackward0", "ToDtypeBackward0")
"""Casts of a parameter that several uses may share, as autocast caches them."""


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested tuples, lists, mappings and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value):
        yield from tensors(vars(value))


def count_uses(outputs: Iterable[Tensor]) -> Counter[int]:
    """Count the operations that read each leaf tensor, by `id`: O(nodes), without touching any data."""
    consumers: defaultdict[Any, list[Any]] = defaultdict(list)
    nodes = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        for below, _ in node.next_functions:
            if below is not None:
                consumers[below].append(node)
                if below not in seen:
                    seen.add(below)
                    nodes.append(below)
    return Counter(
        {id(node.variable): _uses(node, consumers) for node in list(consumers) if hasattr(node, "variable")}
    )


def _uses(node: Any, consumers: defaultdict[Any, list[Any]]) -> int:
    return sum(_uses(above, consumers) if above.name() in _COPIES else 1 for above in consumers[node])
