"""`python -m pixel_m4.cli`: the command, where its script is not on the path."""

import sys

from pixel_m4.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
