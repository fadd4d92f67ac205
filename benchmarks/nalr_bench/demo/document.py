"""The demo's report as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

from nalr_bench.demo.claims import Claim
from nalr_bench.demo.comparisons import Outcome
from nalr_bench.demo.table import heading, rows
from nalr_bench.tables import piped

ABOUT = """\
The demo compares nalr with learning rates that were tuned by hand, on the same problems and seeds: a rugged
surface, a narrow curved valley, and a network on scikit-learn's digits. All methods are plain SGD. The
baselines are a constant rate and a linear decay, each at the best of a grid of rates, chosen on the very
seeds that they are judged on. nalr starts once from 100 times less and once from 100 times more than the
best constant rate; "length unknown" means without `total_steps`. Global basin: the share of runs that end
in the well around the optimum. On the surfaces the claims are about the start that is too small; one that
is too large reaches the global basin less often, as the table shows.

This page and its figures are written by `python demo.py --save docs/images --report docs/demo.md`."""
RUN = """\
```console
$ python demo.py                # or: nalr demo
$ python demo.py --quick        # fewer seeds, coarser grids
$ python demo.py --save figures # write the figures as PNG files
$ python demo.py --json         # print the tables and claims as JSON
$ python demo.py --interactive  # sliders for noise, roughness and base rate
```

The exit status is 0 whether or not a claim holds; it is 1 if the demo could not be run to its end."""
FIGURES = """\
One run on the rugged surface, from a rate that is 100 times too small. It stops in a local minimum; nalr
tries larger rates (`kick`), finds a lower loss there, and lowers the rate to zero over the remaining steps
(`cool`):

![Loss, learning rate with its reasons, and noise scale of that run](images/rugged-nalr.png)

The surface, the same surface smoothed over half the distance between bumps, and the paths of three methods:

![A rugged surface, the same smoothed, and three paths](images/rugged-surface.png)

Full loss and learning rate of every method, on the first seed of each problem:

![Rugged surface: loss and learning rate of each method](images/rugged-curves.png)

![Valley: loss and learning rate of each method](images/valley-curves.png)

![Digits: loss and learning rate of each method](images/digits-curves.png)"""


def write(outcomes: Sequence[Outcome], claims: Sequence[Claim], notes: str) -> str:
    """Return the page; the same runs give the same text on every day."""
    parts = ["# Demo", ABOUT, "## Results"]
    for outcome in outcomes:
        parts += [f"### {heading(outcome)}", piped(rows(outcome))]
    parts += [" ".join(notes.splitlines()), "## Claims"]
    verdicts = [("claim", "verdict"), *((c.text, "holds" if c.holds else "does not hold") for c in claims)]
    parts += [piped(verdicts), "## Figures", FIGURES, "## Run it", RUN]
    return "\n\n".join(parts) + "\n"
