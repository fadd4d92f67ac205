"""Hessian products equal the explicit Hessian and change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd.function import once_differentiable

from nalr.curvature import ProbeAverage, rademacher
from nalr.torch.products.hessian import finite_difference_hvp, hessian_vector_product

EPSILON = float(np.finfo(np.float64).eps)


BOTH = pytest.mark.parametrize("product", [hessian_vector_product, finite_difference_hvp])


class Problem:
    """A small network in float64, its loss, and the explicit Hessian of that."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)
        ).double()
        self.inputs, self.targets = torch.randn(7, 4).double(), torch.randn(7, 2).double()
        self.params = list(self.model.parameters())
        self.dim = sum(p.numel() for p in self.params)
        self.calls = 0

    def loss(self) -> torch.Tensor:
        self.calls += 1
        return torch.nn.functional.mse_loss(self.model(self.inputs), self.targets)

    def hessian(self) -> np.ndarray:
        names = [name for name, _ in self.model.named_parameters()]
        sizes = [p.numel() for p in self.params]

        def loss_of(flat: torch.Tensor) -> torch.Tensor:
            pieces = [x.view(p.shape) for x, p in zip(flat.split(sizes), self.params, strict=True)]
            outputs = torch.func.functional_call(
                self.model, dict(zip(names, pieces, strict=True)), self.inputs
            )
            return torch.nn.functional.mse_loss(outputs, self.targets)

        flat = torch.cat([p.detach().reshape(-1) for p in self.params])
        return torch.func.jacrev(torch.func.grad(loss_of))(flat).numpy()


@pytest.fixture
def problem() -> Problem:
    return Problem()


def rounding_of(hessian: np.ndarray) -> float:
    return 100 * EPSILON * float(np.abs(hessian).sum(axis=1).max())  # some 100 operations a term


def difference_error(hessian: np.ndarray) -> float:
    """ε^(2/3) of the result, times the change of curvature over the parameters' own length: here below 10."""
    return 10 * EPSILON ** (2 / 3) * hessian.shape[0] * float(np.abs(hessian).max())


TOLERANCE = {hessian_vector_product: rounding_of, finite_difference_hvp: difference_error}


@BOTH
def test_products_with_unit_vectors_are_the_explicit_hessian(problem, product):
    hessian = problem.hessian()
    hvp = product(problem.loss, problem.params)
    columns = np.array([hvp(unit) for unit in np.eye(problem.dim)])
    np.testing.assert_allclose(columns, hessian, atol=TOLERANCE[product](hessian), rtol=0)
    np.testing.assert_allclose(columns, columns.T, atol=2 * TOLERANCE[product](hessian), rtol=0)


def test_product_is_linear(problem, rng):
    hvp = hessian_vector_product(problem.loss, problem.model.parameters())
    u, v = rng.normal(size=(2, problem.dim))
    tolerance = 10 * rounding_of(problem.hessian())
    np.testing.assert_allclose(hvp(2.0 * u - 3.0 * v), 2.0 * hvp(u) - 3.0 * hvp(v), atol=tolerance, rtol=0)


@BOTH
def test_every_kind_of_vector_comes_back_as_it_went_in(problem, product, rng):
    hvp = product(problem.loss, problem.params)
    flat = rng.normal(size=problem.dim)
    array, tensor = hvp(flat), hvp(torch.from_numpy(flat).float().double())
    single = hvp(torch.from_numpy(flat).float())
    pieces = hvp(
        [
            torch.from_numpy(x).view(p.shape)
            for x, p in zip(np.split(flat, [20, 25, 35]), problem.params, strict=True)
        ]
    )
    assert array.dtype == np.float64 and array.shape == (problem.dim,)
    assert tensor.dtype == torch.float64 and single.dtype == torch.float32
    assert torch.equal(tensor.float(), single)
    assert [p.shape for p in pieces] == [p.shape for p in problem.params]
    assert np.array_equal(np.concatenate([p.reshape(-1).numpy() for p in pieces]), array)
    assert not any(p.requires_grad for p in pieces) and not single.requires_grad


@BOTH
def test_probes_average_to_the_trace(problem, product):
    average, trace = ProbeAverage(), float(np.trace(problem.hessian()))
    hvp = product(problem.loss, problem.params)
    for index in range(300):
        probe = rademacher(problem.dim, seed=5, index=index)
        average.update(probe, hvp(probe))
    assert abs(average.trace - trace) < 4 * average.trace_standard_error


@BOTH
def test_gradients_parameters_and_their_hooks_are_left_alone(problem, product, rng):
    problem.loss().backward()
    calls = []
    problem.params[0].register_hook(lambda gradient: calls.append(1) or 2.0 * gradient)
    problem.params[0].register_post_accumulate_grad_hook(lambda parameter: calls.append(2))
    gradients = [(p.grad, p.grad.clone()) for p in problem.params]
    values = [p.detach().clone() for p in problem.params]
    product(problem.loss, problem.params)(rng.normal(size=problem.dim))
    assert calls == []
    for parameter, value, (gradient, copy) in zip(problem.params, values, gradients, strict=True):
        assert torch.equal(parameter.detach().view(torch.int64), value.view(torch.int64))
        assert parameter.grad is gradient and torch.equal(gradient, copy) and not gradient.requires_grad
    problem.loss().backward()
    assert calls == [1, 2]  # the hooks are back


@BOTH
def test_products_do_not_depend_on_the_hooks_of_a_user_who_clips(problem, product, rng):
    vector = rng.normal(size=problem.dim)
    free = product(problem.loss, problem.params)(vector)
    for parameter in problem.params:
        parameter.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
    assert np.array_equal(product(problem.loss, problem.params)(vector), free)


def test_within_a_block_one_graph_serves_all_probes_and_is_released(problem, rng):
    hessian, hvp = problem.hessian(), hessian_vector_product(problem.loss, problem.params)
    with hvp:
        for vector in rng.normal(size=(5, problem.dim)):
            np.testing.assert_allclose(hvp(vector), hessian @ vector, atol=10 * rounding_of(hessian))
        assert problem.calls == 1
        with torch.no_grad():
            problem.params[1].add_(0.5)  # a step in the middle: the graph is made anew
        moved = problem.hessian()
        np.testing.assert_allclose(hvp(vector), moved @ vector, atol=10 * rounding_of(moved))
        assert problem.calls == 2
    hvp(vector), hvp(vector)
    assert problem.calls == 4


def test_unused_and_linear_parameters_have_zeros():
    x, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    for product in (hessian_vector_product, finite_difference_hvp):
        assert product(lambda: 2.0 * x.sum(), [x, unused])(np.ones(5)) == pytest.approx(0.0, abs=1e-4)
        assert np.all(product(lambda: x.square().sum(), [x, unused])(np.ones(5))[2:] == 0.0)
    assert np.all(hessian_vector_product(lambda: 2.0 * x.sum(), [x, unused])(np.ones(5)) == 0.0)


@BOTH
def test_gradients_may_be_off_where_products_are_asked_for(problem, product, rng):
    vector = rng.normal(size=problem.dim)
    expected = product(problem.loss, problem.params)(vector)
    with torch.no_grad():
        assert np.array_equal(product(problem.loss, problem.params)(vector), expected)


class Once(torch.autograd.Function):
    """Cube whose author said that it can be differentiated once."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**3

    @staticmethod
    @once_differentiable
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * 3 * x * x


@pytest.mark.parametrize("outer", [torch.sum, lambda y: y.square().sum()], ids=["sum", "square"])
def test_once_differentiable_functions_raise_where_autograd_says_zero(outer):
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(outer(Once.apply(x)), [x], create_graph=True)
    if gradient.requires_grad:  # the usual way: no error, and no curvature
        (zero,) = torch.autograd.grad(gradient, [x], torch.ones_like(x), materialize_grads=True)
        assert torch.equal(zero, torch.zeros_like(x))
    with pytest.raises(RuntimeError, match="`once_differentiable`.*Use `finite_difference_hvp`"):
        hessian_vector_product(lambda: outer(Once.apply(x)), [x])(np.ones(3))
    expected = hessian_vector_product(lambda: outer(x**3), [x])(np.ones(3))
    found = finite_difference_hvp(lambda: outer(Once.apply(x)), [x])(np.ones(3))
    assert found == pytest.approx(expected, rel=100 * EPSILON ** (2 / 3))


def test_flash_attention_raises_and_has_finite_differences():
    attention = pytest.importorskip("torch.nn.attention")
    queries = torch.randn(1, 2, 8, 4, dtype=torch.float64, requires_grad=True)

    def loss(backend):
        with attention.sdpa_kernel(backend):
            return torch.nn.functional.scaled_dot_product_attention(queries, queries, queries).square().sum()

    flash, plain = attention.SDPBackend.FLASH_ATTENTION, attention.SDPBackend.MATH
    vector = rademacher(queries.numel(), seed=1, dtype=np.float64)
    with pytest.raises(RuntimeError, match="no second derivative.*attention.*Use `finite_difference_hvp`"):
        hessian_vector_product(lambda: loss(flash), [queries])(vector)
    expected = hessian_vector_product(lambda: loss(plain), [queries])(vector)
    found = finite_difference_hvp(lambda: loss(flash), [queries])(vector)
    assert np.abs(found - expected).max() < 100 * EPSILON ** (2 / 3) * np.abs(expected).max()


def test_other_errors_of_the_loss_pass_through_and_parameters_come_back(problem):
    values = [p.detach().clone() for p in problem.params]

    def failing():
        if any(not torch.equal(p, v) for p, v in zip(problem.params, values, strict=True)):
            raise RuntimeError("out of memory")
        return problem.loss()

    with pytest.raises(RuntimeError, match="^out of memory$"):
        finite_difference_hvp(failing, problem.params)(np.ones(problem.dim))
    assert all(torch.equal(p, v) for p, v in zip(problem.params, values, strict=True))


def test_a_graph_made_before_a_finite_difference_stays_valid(problem):
    loss = problem.loss()
    finite_difference_hvp(problem.loss, problem.params)(np.ones(problem.dim))
    loss.backward()


def test_dropout_is_refused_by_finite_differences_and_frozen_by_a_block(problem):
    def noisy():
        return torch.nn.functional.dropout(problem.model(problem.inputs), 0.5).square().mean()

    vector = np.ones(problem.dim)
    with pytest.raises(ValueError, match="same loss at the same parameters.*evaluation mode"):
        finite_difference_hvp(noisy, problem.params)(vector)
    hvp = hessian_vector_product(noisy, problem.params)
    assert not np.array_equal(hvp(vector), hvp(vector))
    with hvp:
        assert np.array_equal(hvp(vector), hvp(vector))


def test_finite_differences_see_through_the_cache_of_autocast():
    torch.manual_seed(0)
    model, inputs = torch.nn.Linear(4, 3), torch.randn(5, 4)
    params = list(model.parameters())
    hvp = finite_difference_hvp(lambda: model(inputs).float().square().sum(), params, step=0.1)
    expected = hvp(np.ones(15))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = hvp(np.ones(15))  # with the cache, both gradients would be those of the same weights: zero
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()  # bfloat16: 2⁻⁸ over a step of 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_coarse_parameters_give_the_digits_that_are_promised(dtype):
    x = torch.linspace(1.0, 2.0, 4).to(dtype).requires_grad_()
    found = finite_difference_hvp(lambda: x.float().exp().sum(), [x])(np.ones(4))
    expected = np.exp(x.detach().double().numpy())
    assert (
        np.abs(found / expected - 1).max()
        < 4 * torch.finfo(dtype).eps ** (2 / 3) * (1 + 2 * np.sqrt(4)) ** 2 / 4
    )


@BOTH
def test_bad_arguments_are_named(problem, product):
    fixed, x = torch.ones(2), torch.ones(2, requires_grad=True)
    for params, error, message in [
        (x, TypeError, "iterable of tensors, got Tensor"),
        (problem.model, TypeError, r"Pass `model.parameters\(\)`"),
        ([], ValueError, "at least one tensor"),
        ([x, fixed], ValueError, r"require gradients, got one of shape \(2,\) at 1"),
        ([x, x], ValueError, "each tensor once"),
        ([2 * x], ValueError, "must be leaves"),
        ([1.0], TypeError, "must hold tensors, got float at 0"),
    ]:
        with pytest.raises(error, match=message):
            product(problem.loss, params)
    hvp = product(lambda: x.square().sum(), [x])
    with pytest.raises(ValueError, match=r"shape \(2,\), one entry per parameter, got \(3,\)"):
        hvp(np.ones(3))
    with pytest.raises(ValueError, match=r"shapes \[\(2,\)\], got \[\(1, 2\)\]"):
        hvp([torch.ones(1, 2)])
    with pytest.raises(TypeError, match="array, a tensor or a list"):
        hvp(1.0)
    with pytest.raises(TypeError, match=r"tensor of one element, got shape \(2,\)"):
        product(lambda: x.square(), [x])(np.ones(2))
    with pytest.raises(ValueError, match="without a graph"):
        product(lambda: x.detach().sum(), [x])(np.ones(2))
    with pytest.raises(ValueError, match="`step` must be positive"):
        finite_difference_hvp(problem.loss, [x], step=0.0)
