"""Maps of sentences, by the published command line: see docs/published.md."""

import sys

from pixel_m4.published.run import main

if __name__ == "__main__":
    sys.exit(main(__file__))
