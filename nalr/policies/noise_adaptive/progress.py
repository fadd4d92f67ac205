"""How long the run has made no progress, and whether its gradients promise any."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.noise_adaptive.loss_level import LossLevel


@dataclass(frozen=True, kw_only=True)
class ProgressSettings:
    """What counts as progress, and as a promise of it."""

    progress_errors: float = 2.8
    """Progress is a fall of the smoothed loss beyond this many standard errors, …"""
    progress_share: float = 0.002
    """… and beyond this share of all gained so far."""
    promise_steps: float = 40.0
    """Gradients promise nothing where this many steps of a reference run along them …"""
    promise: float = 0.001
    """… would gain less than this share of what was gained."""
    progress_after: int = 20
    """Steps before a gradient can promise nothing: the measurements mean little until then."""


@dataclass(slots=True)
class Progress:
    """Steps since the last progress; during a kick, and while cooling from one, none is counted."""

    unmoved: int = 0  # steps since the last progress
    still: int = 0  # steps in a row whose gradients promise nothing
    unpromising: bool = False  # this step's gradient promises nothing
    mark: float | None = None  # smoothed loss of the last progress …
    marked: int = 0  # … and its step

    def update(self, c: ProgressSettings, step: int, promise: float, level: LossLevel, cooling: bool) -> None:
        """Take in a step outside kicks, `promise` being what `promise_steps` steps like it would gain."""
        self.unpromising = promise < c.promise * level.gained
        self.still = self.still + 1 if self.unpromising and step > c.progress_after else 0
        if cooling:
            self.mark = None
            return
        least = max(c.progress_errors * level.standard_error, c.progress_share * level.fall)
        if self.mark is None or level.value < self.mark - least:
            self.mark, self.marked = level.value, step
        self.unmoved = step - self.marked

    def begin_stretch(self) -> None:
        """Count progress anew from the next step."""
        self.mark = None
