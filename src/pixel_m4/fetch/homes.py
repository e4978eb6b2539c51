"""Where public data sets live, under which licence, and where their files go."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from pixel_m4.console.errors import UserError

# Digests of the release archives as the project pyconll publishes them (its tests fetch every release).
UD_RELEASES = {
    "2.10": ("1-4758", "f6deca6ab803abdfa8dca911600f6bc5f214267e348acbd59fd4c4b88db14ea6"),
    "2.11": ("1-4923", "d75f7df726761836f797fe6c001c7a1ecce93d93129414ef57cf2262d15707e8"),
    "2.12": ("1-5150", "24f876d5ad9dbdc639a33a73f02d12ddfe582e8d4e7f5d08978c8a86680d088c"),
    "2.13": ("1-5287", "d6538ed4c05508be3bb7d9c3448de1062f6f9958c833b93558df300e4b1d3781"),
    "2.14": ("1-5502", "a710e09f977fc1ca4aeaf200806a75fbbc46d2c0717c70933a94ad78129ee1af"),
    "2.15": ("1-5787", "24ddd9a7e6a291f3882c13febb4d97accfbc6f51633a867963c19e6004d7df97"),
    "2.16": ("1-5901", "87710204b6441736a8a9fed779585aa88b6eeafe231fa2ed9282c0cd9e30960b"),
}
_LINDAT = "https://lindat.mff.cuni.cz/repository/xmlui/bitstream/handle/11234"
_GITHUB = "https://github.com"
_RAW = "https://raw.githubusercontent.com"
_SIB_COMMIT = "e7a172159963fd28c65f1ea53a0cea931bd08719"
_LINSPECTOR_COMMIT = "4ba2ce8e3f336c88f3c1b6fec6bfd66b87e400f0"
_HINER_COMMIT = "5e12e796a7a4b7b8880b2e876adb27894501a8e9"
_KLUE_COMMITS = {
    "dp": "39e692ea92f0d0dac0b86d6811308ea75adb6df8",
    "ner": "6588e666a7cb2c0eab9d444ec74f1b16f1888b78",
}
_XQUAD_COMMIT = "60cac411649156efb6aab9dd4c9cde787a2c0345"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing to fetch.

    Attributes:
        url: a file, or an archive (.tar.gz, .tgz, .zip).
        path: where the file goes, or the folder that the archive's files go to.
        members: of an archive: a regular expression of its files; group ``to`` is their path in the folder.
        sha256: digest of what the URL gives, if known.
    """

    url: str
    path: str
    members: str = ""
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A data set that can be fetched.

    Attributes:
        title: what it is.
        licence: of the data.
        names: what can be asked for, in words.
        items: what to fetch for a name and a release.
        all: the names that stand for everything; empty if each must be named.
    """

    title: str
    licence: str
    names: str
    items: Callable[[str, str], Sequence[Item]]
    all: Sequence[str] = ()


@cache
def checksums() -> dict[str, str]:
    """SHA-256, by their paths in the output folder, of files whose homes do not publish any."""
    lines = (files("pixel_m4") / "assets" / "checksums.sha256").read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def _ud(name: str, release: str) -> list[Item]:
    folder = f"ud-treebanks-v{release}"
    if name == "all":
        if release not in UD_RELEASES:
            raise UserError(f"no archive of UD {release} is known; there are {', '.join(UD_RELEASES)}")
        handle, digest = UD_RELEASES[release]
        members = r"[^/]+/(?P<to>UD_[^/]+/[^/]+\.(conllu|txt|md))"
        return [Item(url=f"{_LINDAT}/{handle}/{folder}.tgz", path=folder, members=members, sha256=digest)]
    url = f"{_GITHUB}/UniversalDependencies/UD_{name}/archive/refs/tags/r{release}.tar.gz"
    members = r"[^/]+/(?P<to>[^/]+-ud-[^/]+\.conllu|LICENSE\.txt|README\.(md|txt))"
    return [Item(url=url, path=f"{folder}/UD_{name}", members=members)]


def _sib200(name: str, release: str) -> list[Item]:
    home = f"{_RAW}/dadelani/sib-200/{_SIB_COMMIT}/data/annotated/{name}"
    paths = [f"sib200/{name}/{split}.tsv" for split in ("train", "dev", "test")]
    return [_file(f"{home}/{Path(path).name}", path) for path in paths]


def _masakhaner(name: str, release: str) -> list[Item]:
    home = f"{_RAW}/masakhane-io/masakhane-ner/main/data/{name}"
    paths = [f"masakhaner/{name}/{split}.txt" for split in ("train", "dev", "test")]
    return [_file(f"{home}/{Path(path).name}", path) for path in paths]


def _uner(name: str, release: str) -> list[Item]:
    members = r"[^/]+/(?P<to>[^/]+\.iob2|LICENSE\.txt|README\.md)"
    return [_archive(f"UniversalNER/UNER_{name}", f"uner/UNER_{name}", members)]


def _hiner(name: str, release: str) -> list[Item]:
    members = rf"[^/]+/data/{name}/(?P<to>[^/]+\.conll)"
    return [_archive("cfiltnlp/HiNER", f"hiner/{name}", members, _HINER_COMMIT)]


def _klue(name: str, release: str) -> list[Item]:
    home = f"{_RAW}/KLUE-benchmark/KLUE/{_KLUE_COMMITS.get(name, 'main')}/klue_benchmark/klue-{name}-v1.1"
    names = [f"klue-{name}-v1.1_{split}.tsv" for split in ("train", "dev")]
    return [_file(f"{home}/{file}", f"klue/{name}/{file}") for file in names]


def _linspector(name: str, release: str) -> list[Item]:
    members = rf"[^/]+/intrinsic/data/(?P<to>[^/]+/{re.escape(name)}/(train|dev|test)\.txt)"
    return [_archive("UKPLab/linspector", "linspector", members, _LINSPECTOR_COMMIT)]


def _xquad(name: str, release: str) -> list[Item]:
    file = f"xquad.{name}.json"
    return [_file(f"{_RAW}/google-deepmind/xquad/{_XQUAD_COMMIT}/{file}", f"xquad/{file}")]


def _naamapadam(name: str, release: str) -> list[Item]:
    url = f"https://huggingface.co/datasets/ai4bharat/naamapadam/resolve/main/data/{name}_IndicNER_v1.0.zip"
    return [Item(url=url, path=f"naamapadam/{name}", members=rf"(.*/)?{name}_(?P<to>(train|val|test)\.json)")]


def _file(url: str, path: str) -> Item:
    return Item(url=url, path=path, sha256=checksums().get(path))


def _archive(repository: str, path: str, members: str, commit: str = "HEAD") -> Item:
    return Item(url=f"{_GITHUB}/{repository}/archive/{commit}.tar.gz", path=path, members=members)


SOURCES: dict[str, Source] = {
    "ud": Source(
        title="Universal Dependencies: parsing and POS",
        licence="by treebank (LICENSE.txt); several are non-commercial",
        names="treebanks, such as Tamil-TTB Vietnamese-VTB; all: the release archive (about 600 MB)",
        items=_ud,
    ),
    "sib200": Source(
        title="SIB-200: topic classification",
        licence="CC BY-SA 4.0",
        names="languages as FLORES-200 writes them, such as eng_Latn hin_Deva; 205 in all",
        items=_sib200,
    ),
    "masakhaner": Source(
        title="MasakhaNER 1.0: named entities",
        licence="CC BY-NC 4.0: non-commercial",
        names="amh hau ibo kin lug luo pcm swa wol yor, or all",
        items=_masakhaner,
        all=("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor"),
    ),
    "uner": Source(
        title="Universal NER: named entities",
        licence="CC BY-SA 4.0 (most PUD sets 3.0, Tagalog-Ugnayan CC BY-NC-SA 4.0)",
        names="treebanks, such as English-EWT Serbian-SET Chinese-GSD",
        items=_uner,
    ),
    "hiner": Source(
        title="HiNER: Hindi named entities",
        licence="CC BY-SA 4.0",
        names="collapsed original, or all",
        items=_hiner,
        all=("collapsed", "original"),
    ),
    "naamapadam": Source(
        title="Naamapadam: named entities in Indian languages",
        licence="CC0 1.0",
        names="as bn gu hi kn ml mr or pa ta te, or all",
        items=_naamapadam,
        all=("as", "bn", "gu", "hi", "kn", "ml", "mr", "or", "pa", "ta", "te"),
    ),
    "klue": Source(
        title="KLUE: Korean named entities and dependencies",
        licence="CC BY-SA 4.0",
        names="ner dp, or all",
        items=_klue,
        all=("ner", "dp"),
    ),
    "linspector": Source(
        title="LINSPECTOR: word-level probing",
        licence="Apache-2.0 (code); derived from UniMorph and pseudo-words",
        names="languages, such as arabic armenian modern-greek russian turkish",
        items=_linspector,
    ),
    "xquad": Source(
        title="XQuAD: question answering (one split)",
        licence="CC BY-SA 4.0",
        names="ar de el en es hi ro ru th tr vi zh, or all",
        items=_xquad,
        all=("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"),
    ),
}
