"""Makes ``python -m nalr`` the command line."""

import sys

from nalr.cli import main

if __name__ == "__main__":
    sys.exit(main())
