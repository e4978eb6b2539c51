from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.corpus.corpora import TextStream
from pixel_m4.corpus.heldout import first_blocks, is_held_out, without_held_out
from pixel_m4.corpus.sources import Source, local_sources
from pixel_m4.render import TextRenderer


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "en").mkdir()
    documents = [f"document {number}\nits second line {number}\nand its third\n" for number in range(200)]
    (tmp_path / "en" / "a.txt").write_text("\n".join(documents))
    return local_sources(tmp_path)["en"]


def test_sides_are_apart_and_whole(source: Source) -> None:
    training, held_out = (side["en"] for side in without_held_out({"en": source}, 0.2))
    everything = list(source.open(0, 1))
    kept, out = list(training.open(0, 1)), list(held_out.open(0, 1))
    assert sorted(kept + out) == sorted(everything)
    assert not {part.document for part in kept} & {part.document for part in out}
    assert 20 < len({part.document for part in out}) < 60
    assert all(is_held_out(part.text, 0.2) for part in out if part.text.startswith("document"))


def test_shares_and_orders_agree(source: Source) -> None:
    training = without_held_out({"en": source}, 0.2)[0]["en"]
    shares = [part for share in range(3) for part in training.open(share, 3)]
    assert sorted(shares) == sorted(training.open(0, 1))


def test_positions_go_on_within_documents(source: Source) -> None:
    for side in without_held_out({"en": source}, 0.2):
        parts = list(side["en"].open(0, 1))
        for cut in (0, 1, 2, 3, 10, len(parts)):
            reader = side["en"].open(0, 1)
            found = iter(reader)
            first = [next(found) for _ in range(cut)]
            assert first + list(side["en"].open(0, 1, reader.position())) == parts


def test_blocks_for_evaluation(source: Source) -> None:
    renderer = TextRenderer(max_seq_length=64)
    training, held_out = without_held_out({"en": source}, 0.2)
    options = {"count": 5, "max_seq_length": 64, "min_patches": 23}
    blocks = first_blocks("en", held_out["en"], renderer, **options)
    assert len(blocks) == 5
    trained = TextStream(training, renderer, exhausted="stop", min_patches=1)
    texts = {line for block in trained for text in block.texts for line in text.split("document ")}
    assert all("document" in text for block in blocks[:1] for text in block.texts)
    assert (
        not {line for block in blocks for text in block.texts for line in text.split("document ")[1:-1]}
        & texts
    )
    with pytest.raises(ValueError, match="raise --validation_share"):
        first_blocks("en", without_held_out({"en": source}, 1e-9)[1]["en"], renderer, **options)
