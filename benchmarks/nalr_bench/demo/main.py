"""The demo from start to exit status."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nalr_bench.demo.comparisons import Comparison, Outcome

FAILED, INTERRUPTED = 1, 130


def run(options: argparse.Namespace) -> int:
    """Run the demo with options already read; return the exit status."""
    try:
        return _interactive(options) if options.interactive else _compare_all(options)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except (ImportError, OSError) as error:
        print(f"nalr demo: {error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        print(f"nalr demo: failed with {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED


def _compare_all(options: argparse.Namespace) -> int:
    # Imported here, so that a wrong option is refused at once.
    from nalr_bench.console import written
    from nalr_bench.demo import document, table
    from nalr_bench.demo.claims import check
    from nalr_bench.demo.comparisons import compare, comparisons
    from nalr_bench.parallel import Workers

    progress_bar = _progress_bar()
    if options.save is not None:
        options.save.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    began = time.perf_counter()
    chosen = comparisons(quick=options.quick, seed=options.seed)
    outcomes = []
    with Workers(options.jobs) as workers:
        for comparison in chosen:
            with progress_bar(comparison) as bar:
                outcomes.append(compare(comparison, workers, bar.update))
    claims, notes = check(outcomes, quick=options.quick), _notes(chosen, options.quick)
    if options.json:
        print(json.dumps(table.to_dict(outcomes, claims), indent=2), flush=True)
    else:
        print("\n\n".join([table.render(outcomes), notes, "\n".join(map(str, claims))]))
        print(f"\n{time.perf_counter() - began:.0f} s with {workers.jobs} jobs.", flush=True)
    page = document.write(outcomes, claims, notes)
    if options.report is not None and not written(options.report, lambda path: path.write_text(page)):
        return FAILED
    _draw(outcomes, options)
    return 0


def _notes(chosen: Sequence[Comparison], quick: bool) -> str:
    grids = "; ".join(
        f"{item.problem.name} {len(item.grid)} rates in {item.grid[0]:.2g}..{item.grid[-1]:.2g}"
        for item in chosen
    )
    lines = [
        "Final loss: full loss over the last 5 % of the steps, geometric mean over the seeds,",
        "which are the same for all methods; test accuracy: 0 for a run that diverged.",
        f"Best of grid: {grids} (* at the grid's edge).",
    ]
    if quick:
        lines += [
            "Quick: fewer seeds and rates. Claims about losses, accuracies and escapes need more seeds:",
            "they are checked in the full demo only.",
        ]
    return "\n".join(lines)


def _progress_bar() -> Callable[[Comparison], AbstractContextManager[Any]]:
    """Return what makes the bar of a comparison: on stderr, and only if that is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            'the demo needs tqdm, which comes with the demo extra: pip install "nalr[demo]".'
        ) from error

    def bar(comparison: Comparison) -> AbstractContextManager[Any]:
        return tqdm(  # type: ignore[no-any-return]
            total=comparison.num_runs, desc=comparison.problem.name, unit="run", disable=None, leave=False
        )

    return bar


def _draw(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    """Save the figures, or show them, or say how to get them."""
    from nalr_bench.demo import windows
    from nalr_bench.demo.figures import draw_all

    if options.save is not None:
        for name, figure in draw_all(outcomes).items():
            path = options.save / f"{name}.png"
            figure.savefig(path, dpi=150)
            print(path, file=sys.stderr if options.json else sys.stdout)
    elif options.no_show or options.json:
        return
    elif windows.available():
        draw_all(outcomes, windows.new_figure)
        windows.show()
    else:
        print("No display for the figures: --save DIR writes them as PNG files.")


def _interactive(options: argparse.Namespace) -> int:
    from nalr_bench.demo import windows
    from nalr_bench.demo.interactive import Panel

    if not windows.available():
        print("--interactive needs a display, and matplotlib found none.", file=sys.stderr)
        return FAILED
    windows.show_panel(lambda figure: Panel(figure, seed=options.seed))
    return 0
