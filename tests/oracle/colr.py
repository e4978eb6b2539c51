"""A colour font made of another one: letters in layers of two colours (COLR and CPAL, version 0)."""

from __future__ import annotations

import struct
from pathlib import Path

import uharfbuzz as hb

RED, BLUE = (230, 40, 20, 255), (10, 60, 200, 128)


def colour_font(font: Path, layered: dict[str, tuple[str, str]], target: Path) -> Path:
    """Write a subset of a font in which a letter is drawn as one letter in red and another, over it, in blue.

    Args:
        font: the font to take glyphs from.
        layered: letter → the red and the blue one.
        target: the file to write.
    """
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(ord(char) for char in " " + "".join(a + b + c for a, (b, c) in layered.items()))
    blob = hb.subset(hb.Face(hb.Blob.from_file_path(str(font))), wanted).blob
    glyph_of = hb.Font(hb.Face(blob)).get_nominal_glyph
    bases = sorted((glyph_of(ord(base)), red, blue) for base, (red, blue) in layered.items())
    colr = struct.pack(">HHIIH", 0, len(bases), 14, 14 + 6 * len(bases), 2 * len(bases))
    colr += b"".join(struct.pack(">HHH", base, 2 * i, 2) for i, (base, _, _) in enumerate(bases))
    for _, red, blue in bases:
        colr += struct.pack(">HHHH", glyph_of(ord(red)), 0, glyph_of(ord(blue)), 1)
    cpal = struct.pack(">HHHHIH", 0, 2, 1, 2, 14, 0)
    cpal += b"".join(bytes((blue, green, red, alpha)) for red, green, blue, alpha in (RED, BLUE))
    target.write_bytes(_with_tables(blob.data, {b"COLR": colr, b"CPAL": cpal}))
    return target


def _with_tables(font: bytes, added: dict[bytes, bytes]) -> bytes:
    """A font file with more tables (checksums are left out: nobody reads them)."""
    count = int.from_bytes(font[4:6], "big")
    tables = dict(added)
    for at in range(12, 12 + 16 * count, 16):
        offset, length = struct.unpack(">II", font[at + 8 : at + 16])
        tables[font[at : at + 4]] = font[offset : offset + length]
    place = 12 + 16 * len(tables)
    directory, body = b"", b""
    for tag, data in sorted(tables.items()):
        directory += tag + struct.pack(">III", 0, place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    return font[:4] + struct.pack(">H", len(tables)) + bytes(6) + directory + body
