from __future__ import annotations

from pathlib import Path

import pytest
from torchdata.stateful_dataloader import StatefulDataLoader

from pixel_m4.corpus.corpora import TextStream, local_sources
from pixel_m4.corpus.progress import progress
from pixel_m4.render import TextRenderer


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize(("workers", "shuffle"), [(0, 0), (2, 0), (0, 3)])
def test_passes_are_counted_in_all_workers(tmp_path: Path, workers: int, shuffle: int) -> None:
    for language, lines in (("en", 12), ("uk", 400)):
        text = "\n".join(f"{language} reads {number}" for number in range(lines))
        (tmp_path / f"{language}.txt").write_text(text)
    stream = TextStream(local_sources(tmp_path), TextRenderer(max_seq_length=36), shuffle=shuffle)
    loader = StatefulDataLoader(stream, batch_size=2, num_workers=workers, collate_fn=list)
    for _, blocks in zip(range(30), loader, strict=False):
        assert len(blocks) == 2
    found = progress(loader.state_dict())
    assert found["passes_en"] >= 2
    assert found["passes_uk"] <= 1


def test_dropped_blocks_are_told_once_there_are_some() -> None:
    share = {"epoch": 0, "done": True, "dropped": 5}
    stream = {"shares": 1, "languages": {"en": share, "uk": {"epoch": 2, "block": 1, "done": False}}}
    found = progress({"a": {"b": stream, "c": 3}, "d": None})
    assert found == {"passes_en": 1, "passes_uk": 2, "dropped_patches_en": 5}
    assert progress({}) == {}


@pytest.mark.parametrize("shuffle", [0, 2])
def test_rows_without_text_are_counted(tmp_path: Path, shuffle: int) -> None:
    (tmp_path / "en").mkdir()
    for part in range(2):
        rows = ['{"text": "a cat reads pixels"}', '{"text": null}', '{"text": ""}'] * 4
        (tmp_path / "en" / f"{part}.jsonl").write_text("\n".join(rows))
    for exhausted in ("repeat", "drop"):
        sources = local_sources(tmp_path, interleaved=shuffle > 0)
        stream = TextStream(sources, TextRenderer(max_seq_length=36), exhausted=exhausted, shuffle=shuffle)
        for _ in zip(range(30), stream, strict=False):
            pass
        assert progress({"loader": stream.state_dict()})["rows_without_text_en"] == 16
