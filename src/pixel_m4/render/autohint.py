"""Make the wheel's HarfBuzz-aware auto-hinter hint as one that was built without HarfBuzz.

The published pixels come from a FreeType without HarfBuzz.  With it the auto-hinter differs in two ways:

1. glyphs reached by substitution (``GSUB``) get the hinting style of their script; without HarfBuzz a style
   comes from the ``cmap`` alone and all other glyphs stay unhinted;
2. alignment zones are also measured on *clusters* of several characters; without HarfBuzz these are skipped.

Both are decided by the font's ``GSUB`` table, and FreeType reads it from bytes that are ours.  So it gets
another table in its place, with one lookup that turns each of those clusters into the space, which has no ink
and is skipped.  Its only script is ``DFLT``, which also keeps HarfBuzz from reordering and from dotted
circles.  Shaping for the drawing itself uses the untouched font.
"""

from __future__ import annotations

import mmap
import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pixel_m4.render.fonts import FontError

# The clusters of several characters that FreeType 2.13 measures alignment zones on:
# Chakma, Gujarati, Kannada, Kayah Li, Khmer, Malayalam, Mongolian, Sinhala.
ZONE_CLUSTERS = [
    "𑄖𑄳𑄢",
    "𑄘𑄳𑄢",
    "𑄙𑄳𑄢",
    "𑄤𑄳𑄢",
    "𑄥𑄳𑄢",
    "લી",
    "શ્ચિ",
    "જિ",
    "સી",
    "ખુ",
    "છૃ",
    "છૄ",
    "ಸಾ",
    "ನಾ",
    "ದಾ",
    "ರಾ",
    "ꤑ꤬",
    "ꤜ꤭",
    "ꤔ꤬",
    "ក្ក",
    "ក្ខ",
    "ក្គ",
    "ក្ថ",
    "ត្រ",
    "រៀ",
    "ឲ្យ",
    "អឿ",
    "ន្ត្រៃ",
    "ង្ខ្យ",
    "ក្បៀ",
    "ច្រៀ",
    "ន្តឿ",
    "ល្បឿ",
    "ച്ച",
    "പ്പ",
    "\u200dᡡ\u200d",
    "\u200dᡳ\u200d",
    "තූ",
    "තු",
    "බු",
    "දු",
]
# The shaper for Khmer, which no script tag turns off, moves signs to the front before it looks them up.
REORDERED_CLUSTERS = ["្រត", "េរៀ", "េអឿ", "ៃ្រន្ត", "េក្បៀ", "េ្រចៀ", "េន្តឿ", "េល្បឿ"]

# A font without GSUB lends the directory entry of a table that drawing never reads.
_REPLACEABLE = (b"GSUB", b"GPOS", b"DSIG", b"meta", b"kern", b"name", b"post")


def blind_autohinter(font: Path | bytes, glyph_of: Callable[[int], int | None]) -> mmap.mmap:
    """Copy a font and replace the copy's ``GSUB`` table.

    Args:
        font: the font, or its file.
        glyph_of: the font's character map, code point to glyph index (0 or None: not in the font).

    Raises:
        FontError: the file cannot be read, or is empty.
    """
    try:
        content = font if isinstance(font, bytes) else font.read_bytes()
        data = _memory(len(content))
    except (OSError, ValueError) as error:
        raise FontError(f"cannot read font {font!s}: {error}") from error
    data[:] = content
    directory = _directory(data)
    tables = {data[at : at + 4]: at for at in directory}
    if b"GSUB" in tables:
        data[tables[b"GSUB"] : tables[b"GSUB"] + 4] = b"gsub"  # even if no table is big enough below
    blank = glyph_of(ord(" ")) or 0
    clusters = [
        [glyph_of(ord(char)) or 0 for char in cluster] for cluster in ZONE_CLUSTERS + REORDERED_CLUSTERS
    ]
    table = _ligatures_to(blank, [cluster for cluster in clusters if blank and all(cluster)])
    for tag in _REPLACEABLE:
        entry = tables.get(tag)
        if entry is None:
            continue
        offset, length = struct.unpack(">II", data[entry + 8 : entry + 16])
        if length >= len(table) and offset + length <= len(data):
            data[offset : offset + len(table)] = table
            data[entry : entry + 4] = b"GSUB"
            break
    # HarfBuzz finds tables by bisection.
    if directory:
        data[directory.start : directory.stop] = b"".join(sorted(data[at : at + 16] for at in directory))
    return data


def _memory(size: int) -> mmap.mmap:
    """Memory of our own, in few pages where the system has large ones: filling it is then twice as fast."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _directory(data: mmap.mmap) -> range:
    """Positions of the table records in the sfnt directory of the first font (none in other containers)."""
    start = int.from_bytes(data[12:16], "big") if data[:4] == b"ttcf" else 0
    if data[start : start + 4] not in (b"\0\1\0\0", b"OTTO", b"true"):
        return range(0)
    first = start + 12
    count = int.from_bytes(data[start + 4 : start + 6], "big")
    return range(first, first + 16 * min(count, (len(data) - first) // 16), 16)


def _ligatures_to(target: int, sequences: Sequence[Sequence[int]]) -> bytes:
    """A GSUB table (OpenType 1.0) whose ``ccmp`` feature makes one glyph of each given sequence."""
    by_first: defaultdict[int, list[Sequence[int]]] = defaultdict(list)
    for sequence in sorted(sequences, key=len, reverse=True):  # the longest match comes first
        by_first[sequence[0]].append(sequence)
    firsts = sorted(by_first)
    sets = [
        _offsets([_shorts(target, len(sequence), *sequence[1:]) for sequence in by_first[first]], head=b"")
        for first in firsts
    ]
    coverage = _shorts(1, len(firsts), *firsts)
    subtable = _offsets([coverage, *sets], head=_shorts(1), count_after_first=True)
    lookup = _offsets([subtable], head=_shorts(4, 0))  # type 4: ligature substitution
    lookups = _offsets([lookup], head=b"")
    features = _shorts(1) + b"ccmp" + _shorts(8, 0, 1, 0)
    scripts = _shorts(1) + b"DFLT" + _shorts(8, 4, 0, 0, 0xFFFF, 1, 0)
    start = 10
    return (
        _shorts(1, 0, start, start + len(scripts), start + len(scripts) + len(features))
        + scripts
        + features
        + lookups
    )


def _offsets(parts: Sequence[bytes], head: bytes, count_after_first: bool = False) -> bytes:
    """An OpenType structure: head, count and offsets of its parts, then the parts.

    With ``count_after_first`` the first part's offset stands before the count, which counts the others.
    """
    size = len(head) + 2 + 2 * len(parts)
    places = []
    for part in parts:
        places.append(size)
        size += len(part)
    if count_after_first:
        numbers = [places[0], len(parts) - 1, *places[1:]]
    else:
        numbers = [len(parts), *places]
    return head + _shorts(*numbers) + b"".join(parts)


def _shorts(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)
