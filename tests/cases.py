"""Hostile batches of gradients, named: one table for every test that takes rows."""

from __future__ import annotations

import numpy as np


def batches() -> dict[str, np.ndarray]:
    """Return (B, D) arrays that break careless formulas."""
    rng = np.random.default_rng(7)
    normal = rng.normal(size=(9, 13))
    return {
        "normal": normal,
        "float32": normal.astype(np.float32),
        "offset 1e8": 1e8 + normal,
        "float32 offset 1e4": (1e4 + normal).astype(np.float32),
        "two rows": normal[:2],
        "one column": normal[:, :1],
        "wider than a block": rng.normal(size=(3, 9001)),
        "equal rows": np.repeat(normal[:1], 5, axis=0),
        "zeros": np.zeros((4, 6)),
        "outlier first": np.vstack([1e6 * normal[:1], normal]),
        "huge": 1e150 * normal,
        "fortran order": np.asfortranarray(normal),
        "every third row": np.repeat(normal, 3, axis=0)[::3],
        "every second column": np.repeat(normal, 2, axis=1)[:, ::2],
        "reversed": normal[::-1, ::-1],
        "read only": _read_only(normal),
        "big-endian": normal.astype(">f8"),
    }


def _read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
