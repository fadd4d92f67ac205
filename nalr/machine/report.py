"""``nalr report``: the report of a history that was saved, and a picture of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nalr.reporting.build import report
from nalr.reporting.run import read_run

REFUSED = 2


def run(options: argparse.Namespace) -> int:
    """Print the report of the file, as JSON if `options.json`, and draw it if `options.save`."""
    try:
        found = report(options.file)
        print(json.dumps(found.to_dict(), indent=2) if options.json else found)
        if options.save is not None:
            _draw(options.file, options.save)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"nalr report: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _draw(file: str, picture: Path) -> None:
    from nalr.plotting import plot_training_curves  # loads Matplotlib

    plot_training_curves(read_run(file).columns).savefig(picture)
    print(picture, file=sys.stderr)
