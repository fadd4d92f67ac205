"""Compare nalr with hand-tuned learning rates: ``python demo.py --help``."""

import sys

from nalr.cli import main

if __name__ == "__main__":  # worker processes import this file again
    sys.exit(main(["demo", *sys.argv[1:]]))
