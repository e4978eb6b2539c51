from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixel_m4.homes import SOURCES, UD_RELEASES


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
