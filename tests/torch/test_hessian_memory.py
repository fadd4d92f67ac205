"""Graphs of Hessian products are freed."""

from __future__ import annotations

import gc
import mmap
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from nalr.torch.products.hessian import finite_difference_hvp, hessian_vector_product


class Graph(torch.autograd.Function):
    """Cube whose backward pass can be seen to live: its graph node dies with the graph."""

    nodes: list[weakref.ref] = []

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        Graph.nodes.append(weakref.ref(context))
        return x**3

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * 3 * x * x


def resident_megabytes() -> float:
    """Memory that the process holds now; 0 where there is no /proc to say so."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * mmap.PAGESIZE / 2**20 if statm.exists() else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("product", [hessian_vector_product, finite_difference_hvp])
def test_a_thousand_probes_leave_nothing_behind(product):
    x = torch.randn(50_000, dtype=torch.float64, requires_grad=True)  # 400 kB: a leak of one is 400 MB in all
    hvp = product(lambda: Graph.apply(x).square().sum(), [x])
    probe = np.ones(x.numel())
    Graph.nodes.clear()
    hvp(probe)
    gc.collect()
    tensors = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
    held = resident_megabytes()
    gc.disable()  # nothing may need it
    try:
        for _ in range(1000):
            hvp(probe)
        assert not any(node() for node in Graph.nodes)
    finally:
        gc.enable()
    assert sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()) <= tensors
    assert resident_megabytes() - held < 40


def test_the_graph_of_a_block_dies_with_it():
    x = torch.ones(3, requires_grad=True)
    Graph.nodes.clear()
    with pytest.raises(KeyError), hessian_vector_product(lambda: Graph.apply(x).square().sum(), [x]) as hvp:
        hvp(np.ones(3))
        assert Graph.nodes[0]() is not None
        raise KeyError
    assert Graph.nodes[0]() is None


def test_a_backward_with_create_graph_is_never_freed_and_a_product_is():
    def parameter_after(product) -> weakref.ref:
        x = torch.ones(3, requires_grad=True)
        product(x)
        return weakref.ref(x)

    def backward_twice(x):
        with pytest.warns(UserWarning, match="reference cycle"):
            (x**3).sum().backward(create_graph=True)
        torch.autograd.grad([x.grad], [x], [torch.ones(3)])

    leaked = parameter_after(backward_twice)
    ours = parameter_after(lambda x: hessian_vector_product(lambda: (x**3).sum(), [x])(np.ones(3)))
    assert ours() is None
    gc.collect()
    assert leaked() is not None  # not even the collector sees through autograd's own references
    leaked().grad = None
