"""Trace of a matrix with a few large eigenvalues: those exactly, the rest from probes (Hutch++)."""

from __future__ import annotations

import math
from typing import Any

from nalr import _checks
from nalr.curvature.basis import MEMORY_LIMIT, Basis
from nalr.curvature.hutchinson import checked_seed, exact_diagonal, is_reached
from nalr.curvature.probe_average import ProbeAverage
from nalr.curvature.probes import rademacher
from nalr.curvature.products import Product
from nalr.curvature.readings import TraceReading, TraceStatus, exact_reading, status_of, trace_reading


class HutchPlusPlusEstimator:
    """Trace of a symmetric matrix, the large eigenvalues' share exactly, the rest from probes.

    Parameters
    ----------
    num_probes : int
        Budget of products Hv, at least 6; a third makes the basis, a third multiplies it, and the rest are
        probes of what it leaves. From 24 on intervals cover what they say.
    seed : int
        Of the series of probes, in [0, 2⁶⁴).
    relative_error : float, optional
        Stop as soon as the longer arm of the interval is at most this share of |trace|: of the last third
        only, and never before 16 probes of it.
    confidence : float
        Level of the interval, in (0, 1).
    memory_limit : float
        Most bytes that the basis of `num_probes`/3 vectors of D float64 may take.

    Raises
    ------
    TypeError, ValueError
        Where a setting is outside its range.

    Notes
    -----
    With Q an orthonormal basis of HS, S random signs, and P = I − QQᵀ: tr H = tr QᵀHQ + tr PHP, since
    P² = P. The first term is computed; the second is E vᵀPHPv over probes v, given Q. These are independent
    of S and so of Q: the estimate is unbiased whatever Q is, and so is its standard error, from the spread of
    vᵀPHPv alone. Probes that S was made of would not do: Q holds HS, and what it leaves of S is too small.

    The error is at most some ‖H‖ₜᵣ/num_probes for a positive semidefinite H, against ‖H‖_F/√num_probes of
    `HutchinsonEstimator`; where eigenvalues hardly decay it is larger than that one's, by up to √3, and more
    where Q takes in a good part of the D dimensions (`docs/curvature.md`). Products that differ from those of
    a symmetric matrix give the trace all the same, but less of the gain.

    XTrace (Epperly, Tropp & Webber, arXiv:2301.07825) uses every product for both purposes and errs 1.4 to 30
    times less where eigenvalues decay; but its probes share one basis, and its standard error came out 9 to
    39 % too small, its 95 % intervals at 78 to 93 %. We give numbers with an error that can be relied on.

    Cost: `num_probes` products; 8 · D · num_probes/3 bytes, and as many passes over that as products.

    References
    ----------
    Meyer, Musco, Musco & Woodruff (2021), SOSA, arXiv:2010.09649.

    Examples
    --------
    >>> import numpy as np
    >>> from nalr import HutchinsonEstimator
    >>> matrix = np.exp(-abs(np.subtract.outer(np.arange(200.0), np.arange(200.0))) / 50)  # trace 200
    >>> reading = HutchPlusPlusEstimator(num_probes=48).trace(matrix)
    >>> print(f"{reading.trace:.1f} ± {reading.standard_error:.1f}, {reading.num_products} products")
    199.3 ± 0.7, 48 products
    >>> plain = HutchinsonEstimator(num_probes=48).trace(matrix)
    >>> print(f"{plain.trace:.1f} ± {plain.standard_error:.1f}, {plain.num_products} products")
    213.0 ± 21.5, 48 products
    """

    def __init__(
        self,
        *,
        num_probes: int = 96,
        seed: int = 0,
        relative_error: float | None = None,
        confidence: float = 0.95,
        memory_limit: float = MEMORY_LIMIT,
    ) -> None:
        self.num_probes = _checks.count("num_probes", num_probes, 6)
        self.seed = checked_seed(seed)
        self.relative_error = (
            None if relative_error is None else _checks.positive("relative_error", relative_error)
        )
        self.confidence = _checks.real("confidence", confidence, "in (0, 1)", 0.0, 1.0, closed="neither")
        self.memory_limit = _checks.positive("memory_limit", memory_limit)

    def __repr__(self) -> str:
        names = ("num_probes", "seed", "relative_error", "confidence", "memory_limit")
        return f"HutchPlusPlusEstimator({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"

    def trace(self, hvp: Any, dim: int | None = None) -> TraceReading:
        """Return an estimate of tr H; arguments and errors are those of `HutchinsonEstimator.trace`.

        Returns
        -------
        TraceReading
            Frozen. `values` holds vᵀPHPv of the probes, `offset` the exact part. Products that are not finite
            while the basis is made leave no estimate.

        Raises
        ------
        ValueError
            If the basis would not fit in `memory_limit`, too.
        """
        product = Product(hvp, dim)
        if product.dim <= self.num_probes:
            diagonal, status = exact_diagonal(product)
            return exact_reading(math.fsum(diagonal), self.confidence, product.count, status)
        basis = Basis(self.num_probes // 3, product.dim, self.memory_limit, "num_probes")
        offset = _fill(basis, product, self.seed)
        if not math.isfinite(offset):
            return exact_reading(math.nan, self.confidence, product.count, TraceStatus.NONFINITE)
        return self._remainder(basis, product, offset)

    def _remainder(self, basis: Basis, product: Product, offset: float) -> TraceReading:
        """Spend what is left of the budget on probes of what the basis leaves."""
        average, values, reached = ProbeAverage(), [], False
        index = self.num_probes // 3  # those before it made the basis
        while product.count < self.num_probes and not reached:
            probe = product.probe(rademacher, self.seed, index)
            rest = basis.remainder(probe)[0].astype(product.dtype)
            value = average.update(rest, product(rest))
            if math.isfinite(value):
                values.append(value)
            index += 1
            reached = is_reached(values, offset, self.confidence, self.relative_error)
        return trace_reading(
            values,
            self.confidence,
            num_products=product.count,
            nonfinite=average.nonfinite,
            status=status_of(len(values), average.nonfinite, self.relative_error is not None, reached),
            seeds=(self.seed,),
            offset=offset,
        )


def _fill(basis: Basis, product: Product, seed: int) -> float:
    """Fill `basis` with what the matrix makes of random signs; return tr QᵀHQ, nan where it is not finite.

    A vector that the basis holds already, as all are once it spans the range of H, is left out: the products
    it would have cost go to the probes.
    """
    parts = []
    for index in range(len(basis)):
        probe = product.probe(rademacher, seed, index)
        rest, _, length = basis.remainder(product(probe))
        if not math.isfinite(length):
            return math.nan
        if length > 0.0:
            row = basis.add(rest, length)
            image = product(row.astype(product.dtype))
            parts.append(float(row @ image))
    return math.fsum(parts)
