"""``python -m tokenroof``: the command line without its script."""

from __future__ import annotations

import sys

from tokenroof.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
