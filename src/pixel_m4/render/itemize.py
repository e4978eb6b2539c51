"""Text → runs of one direction and one script, in the order in which they stand on the line.

The Unicode Bidirectional Algorithm (UAX 9, with isolates and paired brackets) in linear time, and script runs
by HarfBuzz's tables.  The names of its rules (X1–X8, W1–W7, N0–N2, L1, L2) stand at their lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import uharfbuzz as hb

# Blocks that hold all strong right-to-left characters; a text without them needs no closer look.
RTL_BLOCKS = re.compile(
    "[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
# Without these every character of a left-to-right text is at level 0.
_NEEDS_BIDI = re.compile(RTL_BLOCKS.pattern[:-1] + "\u202a-\u202e\u2066-\u2069]")
# Line ends have no glyph; a tab and the hyphenation point are drawn from other glyphs.
ALONE = frozenset("\n\v\f\r\x85\u2028\u2029\t\u2027")

_MAX_RUN = 4096  # what shaping must hold at once stays bounded
_MAX_LEVEL = 125
_MAX_OPEN_BRACKETS = 63
_INITIATORS = frozenset(("LRI", "RLI", "FSI"))
_EMBEDDINGS = {"LRE": ("L", None), "RLE": ("R", None), "LRO": ("L", "L"), "RLO": ("R", "R")}
# What rules X1 to X8 look at, and X9 takes away.
_EXPLICIT = frozenset((*_EMBEDDINGS, *_INITIATORS, "PDI", "PDF", "BN", "B"))
_IN_NUMBERS = frozenset(("ES", "CS", "ET"))
_NEUTRAL = frozenset(("B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"))
# Numbers count as right-to-left where neutrals are resolved.
_STRONG = {"L": "L", "R": "R", "EN": "R", "AN": "R"}


@dataclass(frozen=True, slots=True)
class Run:
    """Characters that are shaped and drawn together.

    Attributes:
        text: the characters, in the order of the text.
        start: place of the first in the word (or line) that was cut; two runs that differ in it are equal.
        rtl: their direction; None leaves it to HarfBuzz's guess.
        script: ISO 15924 tag of their script; None leaves it to HarfBuzz's guess.
        margin: white pixels before the run.
    """

    text: str
    start: int = field(default=0, compare=False)
    rtl: bool | None = None
    script: str | None = None
    margin: int = 0


def itemize(text: str, rtl: bool | None = None, start: int = 0) -> tuple[Run, ...]:
    """Cut a line into runs of one level and one script, from left to right as they are drawn.

    Characters without a script of their own (spaces, digits, punctuation, marks) join the run before them, or
    at the beginning of the line the one after them.  Line ends and tabs stand alone.

    Args:
        text: the line.
        rtl: direction of the line; None takes it from the first strong character (left-to-right without one).
        start: place of the line's first character, from which the runs' places are counted.
    """
    if rtl or _NEEDS_BIDI.search(text):
        levels = embedding_levels(text, rtl)
        ends = [i for i in range(1, len(text)) if levels[i] != levels[i - 1]]
    else:
        levels, ends = [0] * len(text), []
    runs: list[Run] = []
    of_runs: list[int] = []
    ends.append(len(text))
    end = iter(ends)
    border = next(end)
    for first, last, script in _script_runs(text):
        while first < last:
            stop = min(last, border, first + _MAX_RUN)
            runs.append(Run(text[first:stop], start + first, bool(levels[first] % 2), script))
            of_runs.append(levels[first])
            if stop == border:
                border = next(end, len(text) + 1)
            first = stop
    return tuple(runs[i] for i in visual_order(of_runs))


def visual_order(levels: Sequence[int]) -> list[int]:
    """Places of items in the order in which they stand on the line (rule L2)."""
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        first = 0
        while first < len(order):
            last = first
            while last < len(order) and levels[order[last]] >= level:
                last += 1
            order[first:last] = order[first:last][::-1]
            first = last + 1
    return order


@lru_cache(maxsize=1 << 16)
def script_of(char: str) -> str | None:
    """ISO 15924 tag of a character's script; None for common, inherited and unknown."""
    buffer = hb.Buffer()
    buffer.add_codepoints([ord(char)])
    buffer.guess_segment_properties()
    script: str | None = buffer.script
    return script


def _script_runs(text: str) -> Iterator[tuple[int, int, str | None]]:
    """Yield (start, end, script) of the runs of one script, in the order of the text."""
    chars = set(text)
    found = set(map(script_of, chars)) - {None}
    if len(found) <= 1 and chars.isdisjoint(ALONE):  # as most lines are; far fewer look-ups
        if text:
            yield 0, len(text), next(iter(found), None)
        return
    first, script = 0, None
    for i, char in enumerate(text):
        if char in ALONE:
            if first < i:
                yield first, i, script
            yield i, i + 1, None
            first, script = i + 1, None
        elif (own := script_of(char)) and own != script:
            if script and first < i:
                yield first, i, script
                first = i
            script = own
    if first < len(text):
        yield first, len(text), script


def embedding_levels(text: str, rtl: bool | None = None) -> list[int]:
    """Bidirectional level of every character: even ones are drawn left to right, odd ones right to left.

    Args:
        text: one paragraph.
        rtl: its direction; None takes it from the first strong character.
    """
    classes = [unicodedata.bidirectional(char) or _unassigned(char) for char in text]
    if _EXPLICIT.isdisjoint(classes):  # as nearly all texts
        pdi_of: dict[int, int] = {}
        strong = next((kind for kind in classes if kind in ("L", "R", "AL")), "L")
        base = int((strong != "L") if rtl is None else rtl)
        levels, types = [base] * len(classes), classes
        kept: Sequence[int] = range(len(classes))
    else:
        pdi_of = _matching_isolates(classes)
        directions = _first_strong(classes, pdi_of)
        base = int((directions[0] == "R") if rtl is None else rtl)
        levels, types = _explicit(classes, directions, base)
        kept = [i for i, kind in enumerate(types) if kind != "BN"]
    for sequence, sos, eos in list(_sequences(kept, classes, levels, pdi_of, base)):
        _resolve(text, sequence, types, levels, sos, eos)
    # X9: characters without a level of their own go with the one before them.
    if types is not classes:
        for i, kind in enumerate(types):
            if kind == "BN":
                levels[i] = levels[i - 1] if i else base
    # L1: white space at the end of the line, and before separators, is at the level of the line.
    trailing = True
    for i in range(len(text) - 1, -1, -1):
        kind = classes[i]
        if kind in ("B", "S"):
            trailing = True
        elif kind != "WS" and kind != "PDI" and kind not in _INITIATORS and types[i] != "BN":
            trailing = False
        if trailing:
            levels[i] = base
    return levels


def _unassigned(char: str) -> str:
    return "R" if RTL_BLOCKS.match(char) else "L"


def _matching_isolates(classes: Sequence[str]) -> dict[int, int]:
    """Place of the isolate's end for every isolate initiator that has one (BD9)."""
    opened: list[int] = []
    found = {}
    for i, kind in enumerate(classes):
        if kind in _INITIATORS:
            opened.append(i)
        elif kind == "PDI" and opened:
            found[opened.pop()] = i
        elif kind == "B":
            opened.clear()
    return found


def _first_strong(classes: Sequence[str], pdi_of: dict[int, int]) -> list[str | None]:
    """Direction of the first strong character from each place on, isolates skipped (P2)."""
    ends = set(pdi_of.values())
    found: list[str | None] = [None] * (len(classes) + 1)
    for i in range(len(classes) - 1, -1, -1):
        kind = classes[i]
        if kind in ("L", "R", "AL"):
            found[i] = "L" if kind == "L" else "R"
        elif kind in _INITIATORS:
            found[i] = found[pdi_of[i] + 1] if i in pdi_of else None
        elif i not in ends and kind != "B":
            found[i] = found[i + 1]
    return found


def _explicit(classes: Sequence[str], strong: Sequence[str | None], base: int) -> tuple[list[int], list[str]]:
    """Levels from embeddings, overrides and isolates, and the classes after overrides (X1–X8)."""
    levels, types = [base] * len(classes), list(classes)
    stack: list[tuple[int, str | None, bool]] = [(base, None, False)]
    lost_isolates = lost_embeddings = isolates = 0
    for i, kind in enumerate(classes):
        if kind in _EMBEDDINGS or kind in _INITIATORS:
            isolate = kind in _INITIATORS
            levels[i], override, _ = stack[-1]
            if isolate:
                types[i] = override or kind
                direction = strong[i + 1] or "L" if kind == "FSI" else kind[0]
                override = None
            else:
                types[i] = "BN"
                direction, override = _EMBEDDINGS[kind]
            level = stack[-1][0] + 1
            level += level % 2 != (direction == "R")
            if level <= _MAX_LEVEL and not lost_isolates and not lost_embeddings:
                stack.append((level, override, isolate))
                isolates += isolate
            elif isolate:
                lost_isolates += 1
            elif not lost_isolates:
                lost_embeddings += 1
        elif kind == "PDF":
            types[i] = "BN"
            if not lost_isolates:
                if lost_embeddings:
                    lost_embeddings -= 1
                elif len(stack) > 1 and not stack[-1][2]:
                    stack.pop()
        elif kind == "B":
            stack = stack[:1]
            lost_isolates = lost_embeddings = isolates = 0
        else:
            if kind == "PDI":
                if lost_isolates:
                    lost_isolates -= 1
                elif isolates:
                    lost_embeddings = 0
                    while not stack.pop()[2]:
                        pass
                    isolates -= 1
            levels[i], override, _ = stack[-1]
            if override and kind != "BN":
                types[i] = override
    return levels, types


def _sequences(
    kept: Sequence[int], classes: Sequence[str], levels: Sequence[int], pdi_of: dict[int, int], base: int
) -> Iterator[tuple[list[int], str, str]]:
    """Yield isolating run sequences (BD13) with the directions at their ends (X10)."""
    runs: dict[int, tuple[int, int]] = {}  # first character → bounds in ``kept``
    first = 0
    for k in range(1, len(kept) + 1):
        if k == len(kept) or levels[kept[k]] != levels[kept[first]]:
            runs[kept[first]] = (first, k)
            first = k
    continued = {pdi for pdi in pdi_of.values() if pdi in runs}
    for start, (first, last) in runs.items():
        if start in continued:
            continue
        before = levels[kept[first - 1]] if first else base
        sequence = list(kept[first:last])
        while (pdi := pdi_of.get(sequence[-1])) in runs and pdi is not None:
            first, last = runs[pdi]
            sequence += kept[first:last]
        open_end = classes[sequence[-1]] in _INITIATORS and sequence[-1] not in pdi_of
        after = base if open_end or last == len(kept) else levels[kept[last]]
        level = levels[start]
        yield sequence, "LR"[max(before, level) % 2], "LR"[max(after, level) % 2]


def _resolve(
    text: str, sequence: Sequence[int], types: Sequence[str], levels: list[int], sos: str, eos: str
) -> None:
    """Settle the levels of one sequence (W1–W7, N0–N2, I1, I2)."""
    kinds = [types[i] for i in sequence]
    own = "LR"[levels[sequence[0]] % 2]
    _resolve_weak(kinds, sos)
    marks = [types[i] == "NSM" for i in sequence]
    _resolve_brackets([text[i] for i in sequence], kinds, marks, own, sos)
    before, k = sos, 0
    while k < len(kinds):  # N1, N2
        if kinds[k] not in _NEUTRAL:
            before = _STRONG[kinds[k]]
            k += 1
            continue
        end = k
        while end < len(kinds) and kinds[end] in _NEUTRAL:
            end += 1
        after = _STRONG[kinds[end]] if end < len(kinds) else eos
        kinds[k:end] = [before if before == after else own] * (end - k)
        k = end
    for i, kind in zip(sequence, kinds, strict=True):
        if own == "L":
            levels[i] += {"L": 0, "R": 1}.get(kind, 2)
        else:
            levels[i] += kind != "R"


def _resolve_weak(kinds: list[str], sos: str) -> None:
    found = set(kinds)
    before = sos
    if "NSM" in found:
        for k, kind in enumerate(kinds):  # W1
            if kind == "NSM":
                kinds[k] = before if before not in _INITIATORS and before != "PDI" else "ON"
            before = kinds[k]
        found = set(kinds)
        before = sos
    if "AL" in found:
        for k, kind in enumerate(kinds):  # W2, W3
            if kind in ("L", "R", "AL"):
                before = kind
                if kind == "AL":
                    kinds[k] = "R"
            elif kind == "EN" and before == "AL":
                kinds[k] = "AN"
    if not found.isdisjoint(_IN_NUMBERS):
        for k in range(1, len(kinds) - 1):  # W4
            if (kinds[k] in ("ES", "CS") and kinds[k - 1] == kinds[k + 1] == "EN") or (
                kinds[k] == "CS" and kinds[k - 1] == kinds[k + 1] == "AN"
            ):
                kinds[k] = kinds[k - 1]
        for order in (range(len(kinds)), range(len(kinds) - 1, -1, -1)):  # W5
            before = ""
            for k in order:
                if kinds[k] == "ET" and before == "EN":
                    kinds[k] = "EN"
                before = kinds[k]
    if "EN" in found or not found.isdisjoint(_IN_NUMBERS):
        before = sos
        for k, kind in enumerate(kinds):  # W6, W7
            if kind in ("ES", "ET", "CS"):
                kinds[k] = "ON"
            elif kind in ("L", "R"):
                before = kind
            elif kind == "EN" and before == "L":
                kinds[k] = "L"


def _resolve_brackets(
    chars: Sequence[str], kinds: list[str], marks: Sequence[bool], own: str, sos: str
) -> None:
    """Give pairs of brackets the direction of what they enclose, or of what is before them (N0)."""
    pairs = [] if _ALL_BRACKETS.isdisjoint(chars) else sorted(_bracket_pairs(chars, kinds))
    if not pairs:
        return
    # Pairs are settled outer first, so what one encloses has not changed yet: sums of the start serve all.
    counts = {
        side: list(accumulate((_STRONG.get(kind) == side for kind in kinds), initial=0)) for side in "LR"
    }
    other = "R" if own == "L" else "L"
    before, seen = sos, 0
    for opening, closing in pairs:
        while seen < opening:
            before = _STRONG.get(kinds[seen], before)
            seen += 1
        if counts[own][closing] > counts[own][opening]:
            direction = own
        elif counts[other][closing] > counts[other][opening]:
            direction = other if before == other else own
        else:
            continue
        for k in (opening, closing):
            kinds[k] = direction
            k += 1
            while k < len(kinds) and marks[k]:
                kinds[k] = direction
                k += 1


def _bracket_pairs(chars: Sequence[str], kinds: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of brackets that belong together (BD16)."""
    opened: list[tuple[str, int]] = []
    for k, char in enumerate(chars):
        if kinds[k] != "ON":
            continue
        char = _SAME_BRACKET.get(char, char)
        if char in _BRACKETS:
            if len(opened) == _MAX_OPEN_BRACKETS:
                return
            opened.append((_BRACKETS[char], k))
        elif char in _CLOSING:
            for depth in range(len(opened) - 1, -1, -1):
                if opened[depth][0] == char:
                    yield opened[depth][1], k
                    del opened[depth:]
                    break


def _paired(ranges: Iterable[tuple[int, int]]) -> dict[str, str]:
    return {chr(code): chr(code + 1) for first, last in ranges for code in range(first, last + 1, 2)}


# Bidi_Paired_Bracket of Unicode 16: nearly all are neighbours.
_BRACKETS = {"[": "]", "{": "}", "\u298d": "\u2990", "\u298f": "\u298e"} | _paired(
    [
        (0x28, 0x28),
        (0x0F3A, 0x0F3C),
        (0x169B, 0x169B),
        (0x2045, 0x2045),
        (0x207D, 0x207D),
        (0x208D, 0x208D),
        (0x2308, 0x230A),
        (0x2329, 0x2329),
        (0x2768, 0x2774),
        (0x27C5, 0x27C5),
        (0x27E6, 0x27EE),
        (0x2983, 0x298B),
        (0x2991, 0x2997),
        (0x29D8, 0x29DA),
        (0x29FC, 0x29FC),
        (0x2E22, 0x2E28),
        (0x2E55, 0x2E5B),
        (0x3008, 0x3010),
        (0x3014, 0x301A),
        (0xFE59, 0xFE5D),
        (0xFF08, 0xFF08),
        (0xFF5F, 0xFF5F),
        (0xFF62, 0xFF62),
    ]
)
_BRACKETS |= {"\uff3b": "\uff3d", "\uff5b": "\uff5d"}
_CLOSING = frozenset(_BRACKETS.values())
_ALL_BRACKETS = frozenset(_BRACKETS) | _CLOSING
_SAME_BRACKET = {"\u2329": "\u3008", "\u232a": "\u3009"}
