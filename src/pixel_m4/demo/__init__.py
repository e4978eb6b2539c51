"""The demo: a page on this machine that shows what models see and say, and a small JSON API behind it."""
