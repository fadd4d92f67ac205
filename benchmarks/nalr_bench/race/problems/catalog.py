"""The table of the race: every problem with its group, its family and the rates natural to it.

A problem's `epsilon` is about the lowest full loss that a rate falling linearly to zero reaches in 2000 steps
by SGD or AdamW, as a power of ten, unless the problem says otherwise: below that, losses count as equal.
"""

from __future__ import annotations

from functools import partial

from nalr_bench.race.problems import changing, learning, quadratics, valleys
from nalr_bench.race.problems.convolutions import conv_net
from nalr_bench.race.problems.entry import HELD_OUT, TUNING, Entry
from nalr_bench.race.problems.factorization import factorization
from nalr_bench.race.problems.rugged import rugged
from nalr_bench.race.problems.transformer import char_transformer


def _rugged(group: str, dim: int, noise: str) -> Entry:
    """Return a row for a rugged bowl."""
    # 1/λ is 0.01 in a divot, but the bowl of curvature 1 is to be gone down: ten times that leaves divots.
    make = partial(rugged, dim=dim, noise_scale=float(noise))
    return Entry(f"rugged-{dim}d-noise-{noise}", group, "rugged", make, 0.1, 0.4, judged_escape=True)


# The natural rate of SGD is 1/λ to one digit, λ the largest eigenvalue of the Hessian at the start, where a
# comment gives no other reason. The best linear decay of SGD, by one seed, begins at 0.1 to 3 times it; the
# networks were tried over 150 to 300 steps only.
_ROWS = (
    Entry("quadratic-ill", TUNING, "quadratic", quadratics.ill_conditioned, 1.0, 0.3),
    Entry("quadratic-easy", TUNING, "quadratic", quadratics.easy, 1.0, 0.3),
    Entry("quadratic-student-t", TUNING, "quadratic", quadratics.heavy_tailed, 1.0, 0.3),
    Entry("quadratic-noise-free", TUNING, "quadratic", quadratics.noise_free, 1.0, 0.3),
    _rugged(TUNING, 2, "0"),
    _rugged(TUNING, 2, ".5"),
    _rugged(TUNING, 10, ".5"),
    _rugged(TUNING, 10, "3"),
    _rugged(TUNING, 20, ".5"),
    Entry("rosenbrock", TUNING, "valley", valleys.rosenbrock, 2e-3, 0.1),  # 2/λ on the floor: the limit
    Entry("logistic-cancer", TUNING, "learning", learning.cancer, 2e-5, 0.03),  # 10/λ: λ falls
    Entry("logistic-digits", TUNING, "learning", learning.images, 1.0, 0.1),
    Entry("mlp-digits", TUNING, "learning", learning.network, 1.0, 0.1),  # by trial
    Entry("factorization", TUNING, "learning", factorization, 2.0, 0.1),  # by trial
    Entry("jump", TUNING, "changing", changing.jump, 1.0, 0.3),
    Entry("batch-size-change", TUNING, "changing", changing.batch_size_change, 1.0, 0.3),
    Entry("conv-digits", TUNING, "network", conv_net, 1.0, 0.03),  # by trial
    Entry("quadratic-deep", HELD_OUT, "quadratic", quadratics.deep, 0.02, 0.3),
    _rugged(HELD_OUT, 2, "3"),
    _rugged(HELD_OUT, 10, "0"),
    _rugged(HELD_OUT, 20, "0"),
    _rugged(HELD_OUT, 20, "3"),
    Entry("rastrigin", HELD_OUT, "valley", valleys.rastrigin, 0.03, 0.3),  # 10/λ, to leave ripples
    Entry("ackley", HELD_OUT, "valley", valleys.ackley, 0.2, 0.3),  # the same
    Entry("beale", HELD_OUT, "valley", valleys.beale, 0.03, 0.1),  # 2/λ near the optimum
    Entry("logistic-cancer-scaled", HELD_OUT, "learning", learning.cancer_scaled, 3.0, 0.1),  # 10/λ too
    Entry("logistic-digits-scaled", HELD_OUT, "learning", learning.images_scaled, 1.0, 0.1),
    Entry("sparse", HELD_OUT, "learning", learning.words, 0.3, 0.1),
    Entry("drift", HELD_OUT, "changing", changing.drift, 1.0, 0.3),
    Entry("noisier", HELD_OUT, "changing", changing.noisier, 1.0, 0.3),
    Entry("one-row", HELD_OUT, "quadratic", quadratics.one_row, 1.0, 0.3),
    Entry("negative-loss", HELD_OUT, "quadratic", quadratics.negative_loss, 1.0, 0.3),
    Entry("transformer", HELD_OUT, "network", char_transformer, 1.0, 0.02),  # by trial
)

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in _ROWS}
"""All problems by name, those for tuning first."""
