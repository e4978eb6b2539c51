"""Names of shipped checkpoints stand for folders of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.shipped import SHIPPED, find_shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_name_is_a_folder(name: str) -> None:
    assert (Path(find_shipped(name)) / "config.json").is_file()
    assert find_shipped(Path(name)) == find_shipped(name)


def test_other_names_stay(tmp_path: Path) -> None:
    for name in ("base", "team/pixel-m4", tmp_path, None):
        assert find_shipped(name) is name


def test_a_folder_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(SHIPPED[0]).mkdir()
    assert find_shipped(SHIPPED[0]) == SHIPPED[0]
