from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.corpus.corpora import TextStream, local_sources
from pixel_m4.corpus.pretraining import Masking
from pixel_m4.pretrain import checks as pretrain_checks
from pixel_m4.pretrain.arguments import PretrainTrainingArguments
from pixel_m4.pretrain.checks import check_position, check_text, layout_of, stream_states
from pixel_m4.render import TextRenderer

RENDERER = TextRenderer(max_seq_length=36)
ROW = json.dumps({"text": "a cat reads pixels near the river"})


def stream(folder: Path, **options: Any) -> TextStream:
    return TextStream(local_sources(folder), RENDERER, **options)


def write(folder: Path, *rows: str, name: str = "en/a.jsonl") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(rows))
    return file


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW] * 500 + ['{"text": 5}'], r"a\.jsonl, line 501: no text in the field 'text', but 5"),
        ([ROW] * 500 + ['{"body": "x"}'], r"a\.jsonl, line 501: no text .* fields there: 'body'"),
        ([ROW] * 500 + [ROW[:-4]], r"a\.jsonl, line 501: not valid JSON"),
        (['{"text": null}', '{"text": ""}'], "no text for en: the corpus is empty"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_before_training(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    write(tmp_path, *rows)
    with pytest.raises(ValueError, match=message):
        check_text(stream(tmp_path), 1, {})


def test_damage_and_small_corpora(tmp_path: Path) -> None:
    whole = gzip.compress(b"some words of text\n" * 5000)
    (tmp_path / "en.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"en\.txt\.gz: truncated or damaged after line"):
        check_text(stream(tmp_path), 1, {})
    (tmp_path / "en.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    check_text(stream(tmp_path), 2, {})
    with pytest.raises(
        ValueError, match="share 3 of 4 is empty; give more documents, or fewer ranks or workers"
    ):
        check_text(stream(tmp_path), 4, {})
    check_text(stream(tmp_path, exhausted="drop"), 4, {})  # such a share ends at once


def test_rows_without_text_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *[ROW, '{"text": null}', ""] * 20)
    check_text(stream(tmp_path), 1, {})
    assert "en: 20 rows without text" in caplog.text
    monkeypatch.setattr(pretrain_checks, "SECONDS", 0.0)  # no time: the beginning is looked at all the same
    write(tmp_path, ROW, ROW, '{"text": 5}')
    check_text(stream(tmp_path), 1, {})
    write(tmp_path, '{"text": 5}', ROW)
    with pytest.raises(ValueError, match="line 1"):
        check_text(stream(tmp_path), 1, {})


def test_a_position_is_checked_before_a_model_is_made(tmp_path: Path) -> None:
    write(tmp_path, *[ROW] * 50)
    training = PretrainTrainingArguments(output_dir=str(tmp_path / "out"), max_steps=3)
    first = stream(tmp_path)
    next(iter(first))
    checkpoint = tmp_path / "checkpoint-1"
    checkpoint.mkdir()
    state: dict[str, Any] = {
        "layout": layout_of(training),
        "throughput": {},
        "loader": {"worker_0": {"dataset_state": first.state_dict()}},
        "masking": {"kind": "span", "ratio": 0.25, "max_span": 6},
    }
    file = checkpoint / "stream_0.json"
    file.write_text(json.dumps(state))
    assert len(list(stream_states(state))) == 1
    check_position(checkpoint, training, stream(tmp_path), Masking())
    with pytest.raises(ValueError, match=r"checkpoint-1: the saved position .*seed 0, not 1"):
        check_position(checkpoint, training, stream(tmp_path, seed=1), Masking())
    with pytest.raises(ValueError, match="go on with the same --masking, --mask_ratio"):
        check_position(checkpoint, training, stream(tmp_path), Masking(ratio=0.3))
    write(tmp_path, *[ROW] * 49, ROW.replace("cat", "dog"))
    with pytest.raises(ValueError, match="text of en"):
        check_position(checkpoint, training, stream(tmp_path), Masking())
    for damage in ("{", "[]", json.dumps({"layout": {}}), json.dumps({**state, "layout": {"processes": 2}})):
        file.write_text(damage)
        with pytest.raises(ValueError, match=r"does not hold a position|divided in another way"):
            check_position(checkpoint, training, stream(tmp_path), Masking())
