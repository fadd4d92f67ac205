"""Every policy, and steps to feed one with."""

from __future__ import annotations

from nalr.arrays.gradients import as_rows
from nalr.moments.rows import RowAccumulator
from nalr.policies import (
    SASA,
    VSGD,
    AdaScale,
    Constant,
    Evidence,
    MoMo,
    NoiseAdaptive,
    NoiseAdaptiveSettings,
    NoiseScaled,
    Plateau,
    PolyakStep,
    WarmupCosine,
    WarmupLinear,
)

POLICIES = {
    "constant": Constant,
    "noise adaptive": NoiseAdaptive,
    "noise adaptive, other constants": lambda: NoiseAdaptive(NoiseAdaptiveSettings(ramp=0.1, clip=2.0)),
    "cosine": lambda: WarmupCosine(warmup=0.0),
    "warm-up and line": WarmupLinear,
    "plateau": lambda: Plateau(patience=2, every=5, cooldown=1),
    "noise scaled": NoiseScaled,
    "vsgd": VSGD,
    "adascale": AdaScale,
    "adascale over a line": lambda: AdaScale(WarmupLinear(warmup=0.0), scale=16.0),
    "sasa": lambda: SASA(fewest=16, share=0.5, every=10),
    "polyak": PolyakStep,
    "momo": MoMo,
    "momo without momentum": lambda: MoMo(beta=0.0),
}
PLANNED = {"cosine", "warm-up and line", "adascale over a line"}
"""Those that must be told where the run ends."""
WARMING = {"warm-up and line"}
"""Those that begin below the base rate."""


def begin(policy, name, base_lr=0.01, total_steps=None, cooldown=5):
    policy.begin(
        base_lr, 1e-6 * base_lr, 1e6 * base_lr, total_steps or (300 if name in PLANNED else None), cooldown
    )
    return policy


def evidence(rng, step, lr, rows=4, scale=1.0, loss=None):
    accumulator = RowAccumulator()
    accumulator.add_rows(as_rows("rows", scale * (1.0 + rng.normal(size=(rows, 5)))))
    moments = accumulator.moments()
    if step:
        norm = moments.mean_squared_norm
        moments = moments._replace(
            step_product=lr * norm * 0.9,
            step_squared_norm=lr * lr * norm,
            displacement_product=float(rng.normal()),
            displacement_squared_norm=1.0,
        )
    return Evidence(
        step, float(10.0 - 0.01 * step + 0.1 * rng.normal()) if loss is None else loss, lr, moments, 1.0
    )


def decide(policy, rng, steps, start=0, lr=0.0):
    rates = []
    for step in range(start, start + steps):
        decision = policy.decide(evidence(rng, step, lr))
        lr = decision.lr
        rates.append(lr)
    return rates
