"""How much of the gradient was noise, and what that says of the batch size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.noise.efficiency import share
from nalr.reporting.run import Run
from nalr.reporting.words import factor, number, percent, plural, section

Array = NDArray[np.float64]

GREW = 4.0
"""Growth of the gradient noise scale that is reported: twofold changes are within its error."""

UNSEEN = 0.05
"""Share of the steps without a signal above the noise that is reported beside the ratio."""


@dataclass(frozen=True, slots=True)
class NoisePart:
    """Medians over a part of the run; nan where nothing was recorded.

    Attributes
    ----------
    noise_scale, noise_scale_low, noise_scale_high : float
        Root-mean-square standard deviation of one sample's gradient, with its interval.
    gradient_noise_scale : float
        B_simple in samples; inf where half of the steps or more show no signal above the noise.
    signal_fraction : float
        Share of a step's gradient (in squared norm) that is signal.
    batch_size : float
        Samples a step.
    no_signal : float
        Share of the steps whose averaged signal did not come out above zero.
    """

    noise_scale: float = math.nan
    noise_scale_low: float = math.nan
    noise_scale_high: float = math.nan
    gradient_noise_scale: float = math.nan
    signal_fraction: float = math.nan
    batch_size: float = math.nan
    no_signal: float = math.nan


@dataclass(frozen=True, slots=True)
class BatchAdvice:
    """What the batch size costs, by McCandlish et al. (2018).

    Attributes
    ----------
    batch_size : float
        Samples a step, as the run had it.
    balanced : float
        The batch size at which steps and samples are both twice what they could be: B_simple.
    at_least : bool
        Whether `balanced` is a lower bound: most of the run shows no signal above the noise.
    steps_factor : float
        Steps needed, relative to steps without noise.
    samples_factor : float
        Samples needed, relative to the fewest possible.
    """

    batch_size: float
    balanced: float
    at_least: bool
    steps_factor: float
    samples_factor: float


def noise_course(run: Run) -> tuple[NoisePart, NoisePart, NoisePart]:
    """Return the medians of the first third, of the last third, and of the whole run."""
    third = -(-len(run) // 3)
    return _part(run, slice(third)), _part(run, slice(len(run) - third, None)), _part(run, slice(None))


def _part(run: Run, rows: slice) -> NoisePart:
    def median(column: str) -> float:
        return _quantile(run.columns[column][rows], 0.5)

    scales = noise_scales(run)[rows]
    known = scales[~np.isnan(scales)]
    return NoisePart(
        median("noise_scale"),
        median("noise_scale_low"),
        median("noise_scale_high"),
        _quantile(scales, 0.5),
        median("signal_fraction"),
        median("batch_size"),
        float(np.isinf(known).mean()) if known.size else math.nan,
    )


def noise_scales(run: Run) -> Array:
    """Return B_simple of each recorded step; inf where there was noise and no signal above it.

    The record has nan there, since the ratio is then of the wrong sign. Left out, only the steps whose
    signal came out high by chance would be counted; as inf they count on the right side of a median.
    """
    columns = run.columns
    beyond = (columns["signal_fraction"] == 0.0) & (columns["noise_scale"] > 0.0)
    return np.where(beyond, math.inf, columns["gradient_noise_scale"])


def batch_advice(run: Run) -> BatchAdvice | None:
    """Return what the run's batch size costs in steps and samples, if its noise scale is known."""
    scales, size = noise_scales(run), _quantile(run.columns["batch_size"], 0.5)
    balanced = _quantile(scales, 0.5)
    at_least = math.isinf(balanced)
    if at_least:
        balanced = _quantile(scales, 0.25)
    if not (0.0 < balanced < math.inf and 0.0 < size < math.inf):
        return None
    return BatchAdvice(size, balanced, at_least, 1.0 / share(size, balanced), 1.0 / share(balanced, size))


def _quantile(values: Array, level: float) -> float:
    """Return a quantile of what is not nan: one of the values, so that inf is no trouble."""
    known = np.sort(values[~np.isnan(values)])
    return float(known[int(level * (known.size - 1))]) if known.size else math.nan


def noise_section(early: NoisePart, late: NoisePart, unit: str) -> list[str]:
    """Return the lines of the page on the noise of the first third and the last."""
    parts = (early, late)
    rows = (
        (f"noise of one {unit}'s gradient (RMS)", [_scale(part) for part in parts]),
        ("share of signal in a step's gradient", [_share(part) for part in parts]),
        (f"gradient noise scale, in {plural(unit)}", [_simple(part) for part in parts]),
    )
    known = [f"{name:<38} {first or '-':<24} {last or '-'}" for name, (first, last) in rows if first or last]
    heads = [f"{'':<38} {'first third':<24} last third"] if known else []
    return section("Noise (medians)", heads + known)


def _scale(part: NoisePart) -> str:
    if not math.isfinite(part.noise_scale):
        return ""
    low, high = part.noise_scale_low, part.noise_scale_high
    ends = math.isfinite(low) and math.isfinite(high)
    return number(part.noise_scale) + (f" [{number(low)}, {number(high)}]" if ends else "")


def _share(part: NoisePart) -> str:
    return percent(part.signal_fraction) if math.isfinite(part.signal_fraction) else ""


def _simple(part: NoisePart) -> str:
    if math.isinf(part.gradient_noise_scale):
        return "no signal to be seen"
    if math.isnan(part.gradient_noise_scale):
        return ""
    unseen = f" (no signal in {percent(part.no_signal)})" if part.no_signal >= UNSEEN else ""
    return number(part.gradient_noise_scale) + unseen


def batch_section(batch: BatchAdvice | None, early: NoisePart, late: NoisePart, unit: str) -> list[str]:
    """Return the lines of the page on the batch size."""
    if batch is None:
        return []
    if batch.balanced < 1.0 < batch.batch_size:  # there are no batches of less than a sample
        steps = factor(1.0 / share(1.0, batch.balanced))
        return section(
            "Batch size", [f"so little is noise: one {unit} a step needs {steps} the fewest steps"]
        )
    least, most, beyond = ("at least ", "at most ", " or more") if batch.at_least else ("", "", "")
    several = plural(unit)
    lines = [
        f"{number(batch.batch_size)} {unit if batch.batch_size == 1.0 else several} a step: "
        f"{least}{factor(batch.steps_factor)} the fewest steps, {most}{factor(batch.samples_factor)} the "
        f"fewest {several}",
        f"both would be 2x at {number(batch.balanced)}{beyond}: above it a batch saves few steps, below it "
        f"few {several}",
    ]
    first, last = early.gradient_noise_scale, late.gradient_noise_scale
    if GREW * first < last and first > 0.0:
        grew = factor(last / first) if late.no_signal < UNSEEN else "many times"
        lines.append(f"that size grew {grew} from the first third to the last: so could the batch")
    if unit == "row":
        lines.append("(the mean of a whole batch counts as one row, unless its weight was given)")
    elif unit != "sample":
        lines.append(f"(of how many samples a {unit} is the mean was not given: `microbatch_size`)")
    return section("Batch size", lines)
