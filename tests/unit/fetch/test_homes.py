from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixel_m4.fetch.homes import SOURCES, UD_RELEASES, checksums


@pytest.mark.parametrize("name", SOURCES)
def test_items_lie_in_the_output_folder_and_have_a_home(name: str) -> None:
    source = SOURCES[name]
    for part in source.all or ("Some-Name",):
        for item in source.items(part, "2.10"):
            assert item.url.startswith("https://")
            assert not Path(item.path).is_absolute()
            assert bool(item.members) == item.url.endswith((".tar.gz", ".tgz", ".zip"))


def test_digests() -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for _, digest in UD_RELEASES.values())
    items = SOURCES["sib200"].items("hin_Deva", "")
    assert all(re.fullmatch("[0-9a-f]{64}", item.sha256 or "") for item in items)
    assert [item.sha256 for item in SOURCES["sib200"].items("xyz_Abcd", "")] == [None] * 3


@pytest.mark.parametrize("name", ["hiner", "klue", "xquad", "sib200", "linspector"])
def test_homes_that_are_pinned(name: str) -> None:
    for part in SOURCES[name].all or ("Some-Name",):
        for item in SOURCES[name].items(part, ""):
            assert re.search("/[0-9a-f]{40}[/.]", item.url)


def test_what_is_not_pinned_has_digests() -> None:
    """As far as they are known; all files of MasakhaNER."""
    for part in SOURCES["masakhaner"].all:
        assert all(item.sha256 for item in SOURCES["masakhaner"].items(part, ""))
    known = checksums()
    assert {f"uner/UNER_English-EWT/en_ewt-ud-{split}.iob2" for split in ("dev", "test")} <= set(known)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in known.values())
