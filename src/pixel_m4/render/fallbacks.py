"""Fallback fonts: those of a folder, or the set of Noto fonts that is fetched by digest.

The set is what the package index has of Noto's sans-serif fonts: 21 files for scripts and symbols, emoji in
black, and one file for Chinese, Japanese and Korean.  The published code takes all Noto Sans fonts of Noto's
own list instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pixel_m4.render.fonts import FontError, cache_dir, expanded, fonts_from_wheel, locked, sha256
from pixel_m4.render.losses import notice

NOTO = "noto"
"""What ``fallback_fonts_dir`` may be instead of a folder: the fetched set."""
FETCH = "pixel-m4 fonts fetch --fallback"
_FONT_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc", ".woff", ".woff2"}


class FallbackFont(NamedTuple):
    """A font of the set.

    Attributes:
        name: of the file.
        size: in bytes.
        sha256: hexadecimal digits.
        home: the wheel that holds it as a plain file, and the folder in there; it is never imported.
    """

    name: str
    size: int
    sha256: str
    home: tuple[str, str]


_SCRIPTS = ("manimgx-fonts==2026.9.26.post1", "manimgx_fonts")
_CJK = ("noto-cjk-sans-jp-regular==0.0.1", "noto_cjk_sans_jp_regular")
# SHA-256, size and name of each, in the order of their names, in which fonts of a folder are tried.
_SET = """
de6c18832938afc99caf132b39d6a30a19bac7f2e812e28db2535b4608d27551  1982596 NotoEmoji[wght].ttf
3fae4d7239d1faa55b234bda8091019a5251ff79df40d5e29367d84bed2a8138   239324 NotoSansArabic[wght].ttf
e979dfaed56ddb4bfd05121958b25425eb7593253d64b6b3654c77c11c5cda94    32800 NotoSansArmenian[wght].ttf
dc9defe97bb041876b6609e9029d9e1e228a686259acde2fe2a9f99d793ee17d   168884 NotoSansBengali[wght].ttf
68a3fc98800b2a27b371f2fb79991daf3633bd89309d4ffaa6946fd587f375b5 16467736 NotoSansCJKjp-Regular.otf
bf99bf762743ff3259e73196852520ab0ffe8d384238bff3e4806a84b981e972   275904 NotoSansDevanagari[wght].ttf
93f223089e300b983dbfd693c7be619e0e76565a70d639e71a4fe0bfd72cf66f   514676 NotoSansEthiopic[wght].ttf
42f4a8bf4fe0af8afd91ee3c19e81e14f1bc74ddbd9b6a59a4182f67a596adb4    56768 NotoSansGeorgian[wght].ttf
83d1bde74d64fb389f97a5e27b2699d8ee8bad4c15a02be347228e6c10011248   200416 NotoSansGujarati[wght].ttf
8a3096ee2166f6383501e2df7b368fce88cfa4068c8d75bcb6af07da353a00ea    47780 NotoSansGurmukhi[wght].ttf
9d81d81ad592644487b03843da73a87b99cd28a2c4da4a096e1db8fbd14fda61    25296 NotoSansHebrew[wght].ttf
b6b11505d76eddf916667d73adfec19095ec777742444dc662dae81471461f4e   183432 NotoSansKannada[wght].ttf
56f89948a84cc0b01962ed6af573ac4ac885bd7bb6e7e40f9afc72a435728b70   119460 NotoSansKhmer[wght].ttf
fc138d605aa998d8407789ee6a7f5554aae8b54f5cd98d66dd2c33e79d15b67e    33976 NotoSansLao[wght].ttf
94cddc94a03fa9a5e8d1784090ba97b267def6933d60762081eaa003751142c5   131216 NotoSansMalayalam[wght].ttf
e0b280aa3080aab922800c88fa9a2015a4bec3103bb8b70491a92e4a04f3a3a3   232548 NotoSansMyanmar[wght].ttf
37f482d0179d0a50e3128d004f007ff1c1741ad5f6b0b2bcc7238b257ef1caa0   228748 NotoSansOriya[wght].ttf
3fd7c6a61cb6dfb8a2ca7af5b4078bd24e9c8ad9b55839a0177277db6e4d1326   168048 NotoSansSinhala[wght].ttf
63724daeff6755a45933b9a5e3a3b41df5df8fe925c0f4c991f2f68c08a4182d   239720 NotoSansSymbols[wght].ttf
37e151cdec4a8cfb15c432f7bb164a83b98df69419d47e50b35aa7073963716b    78424 NotoSansTamil[wght].ttf
6c06de88b2d420d899543724a13765994191cd29860c6226efca098b51fec64b   233352 NotoSansTelugu[wght].ttf
13f52f79b04f01f2751a81052a5dee2df639fd4e13f4ac30821ab45c8dd5f7e7    31912 NotoSansThai[wght].ttf
fb53504de62e767a54695416123d68d67f71c9b69722175184ad56e7dd13547b   712460 NotoSans[wght].ttf
"""
FALLBACK_FONTS = tuple(
    FallbackFont(name, int(size), digest, _CJK if "CJK" in name else _SCRIPTS)
    for digest, size, name in map(str.split, _SET.split("\n")[1:-1])
)
"""The set, under the SIL Open Font License 1.1."""


def noto_folder() -> Path:
    """Where the set lies, or will lie, in the cache."""
    return cache_dir() / "noto"


def folder_of_fonts(folder: str | os.PathLike[str]) -> Path:
    """The place of a folder of fonts, wherever the present folder is later; :data:`NOTO` stays a name."""
    path = expanded(folder)
    return path if os.fspath(folder) == NOTO and not path.exists() else path.absolute()


def find_fallback_fonts(folder: str | os.PathLike[str] | None) -> list[Path]:
    """Return the fonts of a folder in the order of their names, the order in which they are tried.

    What has the name of a font and is none is passed over with one notice: folders, broken links, and the
    ``._name`` files that macOS leaves beside others.

    Args:
        folder: its place; :data:`NOTO` is the fetched set, unless there is a folder of that name.

    Raises:
        FontError: the folder does not exist or cannot be read, or holds no font; or the set is not fetched.
    """
    if folder is None:
        return []
    path = expanded(folder)
    if os.fspath(folder) == NOTO and not path.exists():
        return fetched_fallback_fonts()
    try:
        named = sorted(file for file in path.iterdir() if file.suffix.lower() in _FONT_SUFFIXES)
    except OSError as error:
        raise FontError(
            f"fallback_fonts_dir is no folder that can be read ({error.strerror}): {path}"
        ) from error
    fonts = [file for file in named if file.is_file() and not file.name.startswith("._")]
    if not fonts:
        raise FontError(f"fallback_fonts_dir holds no font ({', '.join(sorted(_FONT_SUFFIXES))}): {path}")
    if len(fonts) < len(named):
        others = ", ".join(file.name for file in named if file not in fonts)
        notice(f"passed over in {path}, as they are no font files: {others}")
    return fonts


def fetched_fallback_fonts() -> list[Path]:
    """The fonts of the set.

    Raises:
        FontError: one of them is not there, or has another size; digests are checked when they are fetched.
    """
    missing = [font.name for font in FALLBACK_FONTS if not _is_there(font)]
    if missing:
        raise FontError(
            f"{len(missing)} of the {len(FALLBACK_FONTS)} Noto fallback fonts are not in {noto_folder()}, "
            f"such as {missing[0]}; fetch them once with `{FETCH}`"
        )
    return [noto_folder() / font.name for font in FALLBACK_FONTS]


def known_fallback(digest: str) -> FallbackFont | None:
    """The font of the set with this SHA-256."""
    return next((font for font in FALLBACK_FONTS if font.sha256 == digest), None)


def fetch_fallback_fonts() -> list[Path]:
    """Fetch what is missing of the set through pip, each wheel once; harmless when several processes do so.

    A file gets its name only after its digest was checked.

    Returns:
        The fonts, in the order in which they are tried.

    Raises:
        FontError: a wheel cannot be fetched, or a font in it is another one; the message says what to do.
    """
    folder = noto_folder()
    with locked(folder, folder.with_suffix(".lock"), "fallback fonts are kept"):
        wanted = [font for font in FALLBACK_FONTS if not (_is_there(font) and _digest(font) == font.sha256)]
        for home in dict.fromkeys(font.home for font in wanted):
            _fetch(home, [font for font in wanted if font.home == home])
    return fetched_fallback_fonts()


def _is_there(font: FallbackFont) -> bool:
    path = noto_folder() / font.name
    return path.is_file() and path.stat().st_size == font.size


def _digest(font: FallbackFont) -> str:
    return sha256(noto_folder() / font.name)


def _fetch(home: tuple[str, str], fonts: list[FallbackFont]) -> None:
    import tempfile

    wheel, inside = home
    with tempfile.TemporaryDirectory(dir=noto_folder(), prefix=".fetch-") as scratch:
        try:
            found = fonts_from_wheel(wheel, [f"{inside}/{font.name}" for font in fonts], Path(scratch))
        except Exception as error:  # of pip, of the archive, of the disk
            raise FontError(
                f"could not fetch {wheel}: {error}\nWithout a network, take the fonts out of the folder "
                f"{inside} of that wheel (a zip file) elsewhere and put them into {noto_folder()}"
            ) from error
        for font, file in zip(fonts, found, strict=True):
            digest = sha256(file)
            if digest != font.sha256:
                raise FontError(
                    f"{font.name} of {wheel}: SHA-256 is {digest}, expected {font.sha256}; it is not taken"
                )
            os.replace(file, noto_folder() / font.name)
