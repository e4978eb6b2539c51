"""Dependency parsing by the published command line, on the code of `pixel-m4 finetune`."""

import sys

from pixel_m4.finetune.published import main

if __name__ == "__main__":
    sys.exit(main("parsing", sys.argv[1:]))
