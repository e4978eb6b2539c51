"""How much is drawn bit for bit as PangoCairo draws it: tables in Markdown.

    python benchmarks/bench_exactness.py [--data ../shared] [--only fonts,texts,treebanks,strategies,colour]

Counts are of things whose pixels, number of patches and starts of words are all equal.  Texts with characters
that the font lacks are counted apart: Pango draws boxes there.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracle import compare, pango
from oracle.compare import Result
from pixel_m4.render import MissingGlyphWarning, TextRenderer

ROOT = Path(__file__).parents[1]
SECTIONS = ("fonts", "texts", "treebanks", "strategies", "colour")
FIRST_TEXTS = 200  # of each language, for strategies beside bigrams
EMOJI = "emoji of Noto Color Emoji (pictures, CBDT), values within 1"


def table(title: str, thing: str, results: dict[str, Result], total: bool = False) -> None:
    """Print one table; with ``total`` its last row adds the others up."""
    if total:
        every = Result()
        for result in results.values():
            every.total += result.total
            every.lacking += result.lacking
            every.different += result.different
        results = {**results, "**all**": every}
    print(f"\n### {title}\n\n| {thing} | compared | equal | of them, % | lack a glyph | differ |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, result in results.items():
        share = 100 * result.equal / result.total
        counts = f"{result.total:,} | {result.equal:,} | {share:.2f} | {result.lacking:,}"
        print(f"| {name} | {counts} | {len(result.different):,} |", flush=True)
    for name, result in results.items():
        if result.different and not name.startswith("*"):
            print(f"\n{name}: {'; '.join(compare.name(thing) for thing, _ in result.different[:6])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", help="folder with data/")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between them")
    arguments = parser.parse_args()
    if reason := pango.available():
        sys.exit(f"PangoCairo 1.50 is needed: {reason}")
    warnings.simplefilter("ignore", MissingGlyphWarning)
    renderer = TextRenderer()
    only = arguments.only.split(",")

    if "fonts" in only:
        fonts = {"GoNotoCurrent": renderer.font_file}
        fonts |= {name: path for name, place in compare.FONTS.items() if (path := compare.find(*place))}
        results = {name: compare.code_points(path) for name, path in fonts.items()}
        table("Code points, each alone", "font", results)
    if "texts" in only:
        results = {
            name: compare.texts(renderer, texts) for name, texts in compare.sib200(arguments.data).items()
        }
        strings = compare.mixed(arguments.data, 2000)
        results[f"random mixtures of {len(compare.scripts(strings))} scripts"] = compare.texts(
            renderer, strings
        )
        table("Texts (SIB-200, all parts; 529 patches)", "language", results, total=True)
    if "treebanks" in only:
        banks = compare.treebanks(arguments.data)
        results = {name.removeprefix("UD_"): compare.texts(renderer, banks[name]) for name in banks}
        table("Sentences as word lists (UD test sets; 529 patches)", "treebank", results, total=True)
    if "strategies" in only:
        for strategy in ("words", "continuous"):
            other = TextRenderer(strategy=strategy)
            samples = compare.sib200(arguments.data).items()
            results = {name: compare.texts(other, texts[:FIRST_TEXTS], strategy) for name, texts in samples}
            table(f"Texts, strategy `{strategy}` (SIB-200)", "language", results, total=True)
    if "colour" in only and compare.COLOUR_FONT.is_file():
        fonts = [renderer.font_file, compare.COLOUR_FONT]
        results = {EMOJI: compare.colours(compare.coloured(compare.COLOUR_FONT), fonts)}
        table("Colour", "characters", results)


if __name__ == "__main__":
    main()
