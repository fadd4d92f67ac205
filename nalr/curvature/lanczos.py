"""The largest eigenvalue of a symmetric matrix known by its products, and its error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.curvature.basis import MEMORY_LIMIT, Basis
from nalr.curvature.hutchinson import checked_seed
from nalr.curvature.probes import normal
from nalr.curvature.products import Product

Vector = NDArray[np.float64]

ORDERS = ("value", "magnitude")

ROUNDINGS = 16.0
"""A residual below this many ε of the largest eigenvalue seen counts as 0, as an eigenvalue of 0 requires."""


class EigenvalueStatus(str, Enum):
    """Status of an eigenvalue; the value is the message to show."""

    CONVERGED = "the residual is below the tolerance"
    SPENT = "the budget was spent before the residual was below the tolerance"
    INCONSISTENT = (
        "the residual is larger than the iteration's own: the products are not those of one symmetric "
        "matrix, or not to this accuracy"
    )
    NONFINITE = "a product was not finite"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, eq=False)
class EigenvalueReading:
    """An eigenvalue and its error; returned by `largest_eigenvalue`.

    Attributes
    ----------
    eigenvalue : float
        λ̂ = vᵀHv, between the smallest and the largest eigenvalue. nan after a product that was not finite.
    residual_norm : float
        ‖Hv − λ̂v‖, from an extra product: some eigenvalue of H is at most this far from λ̂.
    vector : array of shape (D,)
        v, of length 1.
    num_products : int
        Products Hv made.
    status : EigenvalueStatus
        Whether the numbers can be relied on, as a readable sentence.
    """

    eigenvalue: float
    residual_norm: float
    vector: Vector = field(repr=False)
    num_products: int
    status: EigenvalueStatus


def largest_eigenvalue(
    hvp: Any,
    dim: int | None = None,
    *,
    by: str = "value",
    tolerance: float = 1e-3,
    num_products: int = 100,
    basis_size: int = 20,
    seed: int = 0,
    memory_limit: float = MEMORY_LIMIT,
) -> EigenvalueReading:
    """Return the largest eigenvalue of a symmetric matrix, with a bound of its error, by Lanczos' iteration.

    Parameters
    ----------
    hvp : callable or matrix
        As for `HutchinsonEstimator.trace`, but symmetric.
    dim : int, optional
        D; needed for a function.
    by : str
        "value": the largest; "magnitude": the one largest in magnitude, with its sign. The smallest is minus
        the largest of v ↦ −Hv.
    tolerance : float
        Stop when the residual is at most this share of |eigenvalue|. The eigenvalue itself is then better:
        its error falls as the square of the residual.
    num_products : int
        Budget of products, at least 2; one of them measures the residual.
    basis_size : int
        Vectors kept, at least 3 (fewer where D is): more of them converge in fewer products.
    seed : int
        Of the normal vector to start from, in [0, 2⁶⁴).
    memory_limit : float
        Most bytes that the basis may take.

    Returns
    -------
    EigenvalueReading
        Frozen.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the basis would not fit in `memory_limit`.

    Notes
    -----
    For a unit vector v, symmetric H with eigenpairs (λᵢ, qᵢ) and r = Hv − λ̂v: ‖r‖² = Σ (λᵢ − λ̂)²(qᵢᵀv)² ≥
    min (λᵢ − λ̂)². So |λ − λ̂| ≤ ‖r‖ for some eigenvalue λ: certain, but it does not say that λ is the largest.
    With a random start it is, with high probability (Kuczyński & Woźniakowski 1992); eigenvalues that lie
    close together are separated late, and λ̂ may be the lower of them, by about the residual.

    v maximises vᵀHv over the space that the products span. Every product is made orthogonal to the whole
    basis: the plain three-term recurrence loses orthogonality and finds eigenvectors again. When the
    basis is full it is replaced by the better half of its Ritz vectors (thick restart). There is no power
    iteration: with a basis of three this needs little more memory and far fewer products.

    Cost: at most `num_products` products; 8 · D · basis_size bytes, and two to four passes over them a
    product.

    References
    ----------
    Wu & Simon (2000), SIAM J. Matrix Anal. Appl. 22, 602; Parlett (1998), The Symmetric Eigenvalue Problem,
    theorem 4.5.1; Kuczyński & Woźniakowski (1992), SIAM J. Matrix Anal. Appl. 13, 1094.

    Examples
    --------
    >>> reading = largest_eigenvalue(np.diag(np.arange(-120.0, 101.0)))
    >>> abs(reading.eigenvalue - 100.0) <= reading.residual_norm, str(reading.status)
    (True, 'the residual is below the tolerance')
    >>> round(largest_eigenvalue(np.diag(np.arange(-120.0, 101.0)), by="magnitude").eigenvalue, 2)
    -120.0
    """
    product = Product(hvp, dim)
    if by not in ORDERS:
        raise ValueError(f"`by` must be one of {', '.join(ORDERS)}, got {by!r}.")
    tolerance = _checks.positive("tolerance", tolerance)
    budget = _checks.count("num_products", num_products, 2)
    size = min(_checks.count("basis_size", basis_size, 3), product.dim)
    seed = checked_seed(seed)
    basis = Basis(size, product.dim, _checks.positive("memory_limit", memory_limit), "basis_size")
    ritz = _iterate(basis, product, by, tolerance, budget - 1, seed)
    if ritz is None:
        nothing = np.full(product.dim, math.nan)
        return EigenvalueReading(math.nan, math.inf, nothing, product.count, EigenvalueStatus.NONFINITE)
    return _measured(ritz, product, tolerance)


@dataclass(slots=True)
class _Ritz:
    """The Ritz pair that approximates the eigenpair."""

    vector: Vector  # (D,)
    residual: float  # as the iteration estimates it
    norm: float  # the largest magnitude of an eigenvalue seen
    converged: bool


def _iterate(
    basis: Basis, product: Product, by: str, tolerance: float, budget: int, seed: int
) -> _Ritz | None:
    """Grow and restart `basis` until the pair has converged; None where a product was not finite."""
    projected = np.zeros((len(basis), len(basis)))  # basis · H · basisᵀ
    rest = np.asarray(normal(product.dim, seed=seed, dtype=np.float64), np.float64)
    length = float(np.linalg.norm(rest))
    epsilon = float(np.finfo(product.dtype).eps)
    while True:
        row = basis.add(rest, length)
        rest, coefficients, length = basis.remainder(product(row.astype(product.dtype)))
        if not math.isfinite(length):
            return None
        n = basis.size
        projected[n - 1, :n] = projected[:n, n - 1] = coefficients
        values, vectors = np.linalg.eigh(projected[:n, :n])
        order = np.argsort(values if by == "value" else abs(values), kind="stable")[::-1]
        best = order[0]
        norm = float(abs(values).max())
        residual = length * abs(float(vectors[-1, best]))  # only the last image leaves the basis
        converged = residual <= max(tolerance * abs(values[best]), ROUNDINGS * epsilon * norm)
        if converged or product.count >= budget:
            return _Ritz(vectors[:, best] @ basis.rows, residual, norm, bool(converged))
        if n == len(basis):
            kept = order[: max(1, n // 2)]
            basis.rotate(vectors[:, kept])
            projected[:] = 0.0
            projected[: kept.size, : kept.size] = np.diag(values[kept])


def _measured(ritz: _Ritz, product: Product, tolerance: float) -> EigenvalueReading:
    """Return the reading, with λ̂ and the residual from a product of the final vector."""
    vector = ritz.vector / np.linalg.norm(ritz.vector)
    given = product(vector.astype(product.dtype))
    image = given.astype(np.float64)
    eigenvalue = float(vector @ image)
    residual = float(np.linalg.norm(image - eigenvalue * vector))
    rounding = ROUNDINGS * float(np.finfo(given.dtype).eps) * ritz.norm
    status = EigenvalueStatus.INCONSISTENT if ritz.converged else EigenvalueStatus.SPENT
    if not math.isfinite(residual):
        status = EigenvalueStatus.NONFINITE
    elif residual <= max(tolerance * abs(eigenvalue), rounding):
        status = EigenvalueStatus.CONVERGED
    return EigenvalueReading(eigenvalue, residual, vector, product.count, status)
