"""A window with sliders: one rugged surface, a fixed rate and nalr side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.backend_bases import Event
from matplotlib.figure import Figure
from matplotlib.widgets import Button, Slider

from nalr import _checks
from nalr.plotting import visualize_landscape
from nalr_bench.demo.figures import drawable
from nalr_bench.demo.problems import rough, rugged
from nalr_bench.demo.recording import Recorded, record
from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start
from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.schedules import Scheduled

FIXED, NALR = "fixed rate", "nalr"
COLOURS = {FIXED: "#0072B2", NALR: "#D55E00"}  # the first two of the plotting's order, by its legend
REACH = 5.2  # of the drawn square


@dataclass(frozen=True)
class Settings:
    """What the sliders set.

    Attributes
    ----------
    noise_scale : float
        Standard deviation of one gradient row in each coordinate, at least 0.
    roughness : float
        Height of the bumps, half their depth, at least 0; 0 is a smooth bowl.
    base_lr : float
        Rate that both methods start from, positive.
    seed : int
        Seed of the start and of the noise.
    """

    noise_scale: float = 0.5
    roughness: float = 1.0
    base_lr: float = 1e-3
    seed: int = 0


METHODS: dict[str, Method] = {FIXED: Scheduled("sgd", "constant"), NALR: Nalr("sgd")}


def simulate(settings: Settings, num_steps: int = 1000) -> dict[str, Recorded]:
    """Run the fixed rate and nalr from the same start on the same noise; return both by label."""
    entry = rough(settings.noise_scale, settings.roughness)
    steps = _checks.count("num_steps", num_steps, 1)
    return {
        label: record(Start(entry, method, settings.base_lr, settings.seed, steps))
        for label, method in METHODS.items()
    }


def verdict(label: str, result: Result) -> str:
    """Return one line about the outcome of a run."""
    if result.diverged:
        return f"{label}: diverged"
    place = "in the global basin" if result.solved else "in a local minimum"
    return f"{label}: loss {result.final_loss:.2g}, {place}"


class Panel:
    """Draws the runs of the present settings into a figure and runs them anew at the push of the button.

    Parameters
    ----------
    figure : matplotlib Figure
        Where to draw; emptied first. Keep the panel as long as its window: matplotlib holds no reference to
        widgets.
    seed : int
        Seed of the first run; each push of "New noise" takes the next.
    num_steps : int
        Length of the runs.
    """

    def __init__(self, figure: Figure, *, seed: int = 0, num_steps: int = 1000) -> None:
        figure.clear()
        figure.set_size_inches(12.0, 7.0)
        self.figure = figure
        self.num_steps = num_steps
        self.settings = Settings(seed=seed)
        self.surface = figure.add_axes((0.06, 0.3, 0.38, 0.6))
        self.loss = figure.add_axes((0.54, 0.63, 0.43, 0.27))
        self.lr = figure.add_axes((0.54, 0.3, 0.43, 0.27), sharex=self.loss)
        first = self.settings
        self.noise_scale = Slider(
            figure.add_axes((0.2, 0.14, 0.5, 0.03)), "noise", 0.0, 3.0, valinit=first.noise_scale
        )
        self.roughness = Slider(
            figure.add_axes((0.2, 0.09, 0.5, 0.03)), "roughness", 0.0, 2.0, valinit=first.roughness
        )
        self.log_base_lr = Slider(
            figure.add_axes((0.2, 0.04, 0.5, 0.03)),
            "log10 of the base rate",
            -5.0,
            1.0,
            valinit=float(np.log10(first.base_lr)),
        )
        self.run_button = Button(figure.add_axes((0.8, 0.115, 0.15, 0.06)), "Run")
        self.noise_button = Button(figure.add_axes((0.8, 0.035, 0.15, 0.06)), "New noise")
        self.run_button.on_clicked(self.run)
        self.noise_button.on_clicked(self.run_with_new_noise)
        self.runs: dict[str, Recorded] = {}
        self.run()

    def run(self, event: Event | None = None) -> None:
        """Run with what the sliders say, and draw."""
        self.settings = Settings(
            float(self.noise_scale.val),
            float(self.roughness.val),
            float(10.0**self.log_base_lr.val),
            self.settings.seed,
        )
        self.runs = simulate(self.settings, self.num_steps)
        self._draw()

    def run_with_new_noise(self, event: Event | None = None) -> None:
        """Run with the next seed: another start, other noise."""
        self.settings = Settings(seed=self.settings.seed + 1)
        self.run()

    def _draw(self) -> None:
        settings = self.settings
        for ax in (self.surface, self.loss, self.lr):
            ax.clear()
        visualize_landscape(
            rugged(None, settings.noise_scale, settings.roughness).landscape,
            {label: run.path for label, run in self.runs.items() if run.path is not None},
            bounds=(-REACH, REACH),
            resolution=151,
            colorbar=False,
            ax=self.surface,
        )
        self.surface.set_aspect("equal")
        self.surface.set_title(
            "\n".join(verdict(label, run.result) for label, run in self.runs.items()), fontsize=10
        )
        for label, run in self.runs.items():
            result = run.result
            losses = drawable(np.array(result.losses))
            self.loss.semilogy(result.steps, losses, label=label, color=COLOURS[label])
            self.lr.semilogy(result.steps, result.rates, label=label, color=COLOURS[label])
        self.loss.set_ylabel("full loss")
        self.loss.tick_params(labelbottom=False)
        self.loss.legend(frameon=False)
        self.lr.set_ylabel("learning rate")
        self.lr.set_xlabel("step")
        self.figure.canvas.draw_idle()
