"""The page: a report in plain words, for somebody tired."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

from nalr.noise.efficiency import share
from nalr.reporting.record import NoisePart, Phase, Report
from nalr.reporting.words import MEANINGS, at_step, factor, number, percent, step, unit_of

WIDTH = 100

GREW = 4.0
"""Growth of the gradient noise scale that is told: twofold changes are within its error."""

UNSEEN = 0.05
"""Share of the steps without a signal above the noise that is told: it is what the ratio is worth."""


def page(report: Report) -> str:
    """Return the whole text: what is not known is left out, never shown as nan."""
    if not report.recorded:
        return "no steps yet"
    sections = (_loss, _rate, _why, _noise, _batch, _remarks)
    return "\n".join([_title(report), *(line for section in sections for line in section(report))])


def _title(report: Report) -> str:
    steps = "1 step" if report.steps == 1 else f"{report.steps} steps"
    thinned = report.recorded < report.steps
    return f"{steps}, of which {report.recorded} are in the record" if thinned else steps


def _loss(report: Report) -> Iterator[str]:
    loss, slope = report.loss, report.slope
    if not math.isfinite(loss.first):
        yield from _section("Loss", ["no finite loss was recorded"])
        return
    kind = "smoothed loss" if report.smoothed else "loss of single batches"
    lines = [
        f"{kind} {number(loss.first)} -> {number(loss.last)}, best "
        f"{number(loss.best)}{at_step(loss.best_step)}"
    ]
    if math.isfinite(slope.value) and math.isfinite(slope.standard_error):
        change, error = slope.value * slope.steps, slope.standard_error * slope.steps
        lines.append(
            f"over the last {step(slope.steps)} steps it changed by {number(change)} +- {number(error)}"
        )
    yield from _section("Loss", lines)


def _rate(report: Report) -> Iterator[str]:
    rate = report.rate
    told = math.isfinite(report.base_lr)
    base, name = (report.base_lr, "base rate") if told else (rate.start, "first rate")
    if not math.isfinite(rate.start):
        return
    lines = [
        f"{number(rate.start)} -> {number(rate.end)}, highest {number(rate.peak)}{at_step(rate.peak_step)}"
    ]
    if base > 0.0:
        lines.append(
            f"{name} {number(base)}: the highest was {factor(rate.peak / base)} that, the last "
            f"{factor(rate.end / base)}"
        )
    yield from _section("Learning rate", lines + [_phase(phase) for phase in report.phases])


def _phase(phase: Phase) -> str:
    total = sum(phase.reasons.values())
    main = [f"{name} {percent(count / total)}" for name, count in list(phase.reasons.items())[:3]]
    course = f"{number(phase.lr_from)} -> {number(phase.lr_to)}"
    steps = f"{step(phase.first_step)} - {step(phase.last_step)}"
    return f"steps {steps:<15} {phase.kind:<10} {course:<22} {', '.join(main)}".rstrip()


def _why(report: Report) -> Iterator[str]:
    total = sum(report.reasons.values())
    yield from _section(
        "Why",
        [
            f"{name:<15} {count:>7} {percent(count / total):>6}  {MEANINGS.get(name, '')}".rstrip()
            for name, count in report.reasons.items()
        ],
    )


def _noise(report: Report) -> Iterator[str]:
    parts = (report.noise_early, report.noise_late)
    unit = unit_of(report.noise.batch_size)
    rows = (
        (f"noise of one {unit}'s gradient (RMS)", [_scale(part) for part in parts]),
        ("share of signal in a step's gradient", [_share(part) for part in parts]),
        (f"gradient noise scale, in {unit}s", [_simple(part) for part in parts]),
    )
    known = [(name, values) for name, values in rows if any(values)]
    if known:
        heads = f"{'':<38} {'first third':<24} last third"
        lines = [f"{name:<38} {early or '-':<24} {late or '-'}" for name, (early, late) in known]
        yield from _section("Noise (medians)", [heads, *lines])


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


def _batch(report: Report) -> Iterator[str]:
    batch = report.batch
    if batch is None:
        return
    if batch.balanced < 1.0 < batch.batch_size:  # there are no batches of less than a sample
        steps = factor(1.0 / share(1.0, batch.balanced))
        yield from _section(
            "Batch size", [f"so little is noise: one sample a step needs {steps} the fewest steps"]
        )
        return
    least, most, beyond = ("at least ", "at most ", " or more") if batch.at_least else ("", "", "")
    unit = unit_of(batch.batch_size)
    lines = [
        f"{number(batch.batch_size)} {unit}{'s' * (batch.batch_size != 1.0)} a step: "
        f"{least}{factor(batch.steps_factor)} the fewest steps, {most}{factor(batch.samples_factor)} the "
        f"fewest {unit}s",
        f"both would be 2x at {number(batch.balanced)}{beyond}: above it a batch saves few steps, below it "
        f"few {unit}s",
    ]
    early, late = report.noise_early.gradient_noise_scale, report.noise_late.gradient_noise_scale
    if GREW * early < late and early > 0.0:
        clear = report.noise_late.no_signal < UNSEEN
        grew = factor(late / early) if clear else "many times"
        lines.append(f"that size grew {grew} from the first third to the last: so could the batch")
    if batch.batch_size == 1.0:
        lines.append("(the mean of a whole batch counts as one row, unless its weight was told)")
    yield from _section("Batch size", lines)


def _remarks(report: Report) -> Iterator[str]:
    lines = []
    for index, remark in enumerate(report.remarks, start=1):
        lines += textwrap.wrap(f"{index}. {remark.name}: {remark.evidence}", WIDTH, subsequent_indent="   ")
        lines += textwrap.wrap(
            f"-> {remark.suggestion}", WIDTH, initial_indent="   ", subsequent_indent="      "
        )
    yield from _section("Remarks", lines or ["none: nothing stands out"])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *(f"  {line}" for line in lines))
