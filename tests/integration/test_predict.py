"""The commands `predict` and `evaluate` on a saved model, whose weights are random."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixel_m4 import PixelForBiaffineParsing, TextRenderer
from pixel_m4.cli.main import main
from pixel_m4.formats.conllu import read_conllu
from pixel_m4.tasks.parsing import Parsing

TEXT = "The cat sleeps .\nКішка спить .\n\nनमस्ते दुनिया\n"


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory, save_parser: Callable[..., Path]) -> Path:
    return save_parser(tmp_path_factory.mktemp("models") / "parser")


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    sentence = "1\tcats\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tsleep\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"
    (folder / "xx_y-ud-test.conllu").write_text(sentence * 5, encoding="utf-8")
    return folder


def test_file_to_file(parser: Path, tmp_path: Path) -> None:
    text, output = tmp_path / "text.txt.gz", tmp_path / "new" / "out.conllu"
    text.write_bytes(gzip.compress(TEXT.encode()))
    assert main(["predict", str(parser), str(text), "--output", str(output)]) == 0
    parsed = read_conllu(output)
    assert [sentence.words for sentence in parsed] == [
        ("The", "cat", "sleeps", "."),
        ("Кішка", "спить", "."),
        ("नमस्ते", "दुनिया"),
    ]
    again = tmp_path / "again.conllu"  # its own format goes in again
    assert main(["predict", str(parser), str(output), "--output", str(again), "--bf16"]) == 0
    assert [sentence.words for sentence in read_conllu(again)] == [sentence.words for sentence in parsed]


def test_pipe(parser: Path) -> None:
    command = [sys.executable, "-m", "pixel_m4.cli", "predict", str(parser)]
    done = subprocess.run(command, input=TEXT.encode(), capture_output=True, check=True)
    out = done.stdout.decode()
    assert out.count("# text = ") == 3
    assert out.endswith("\n\n")
    assert not done.stderr


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_output_is_compressed_whole_and_never_overwritten_unasked(
    parser: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, output = tmp_path / "text.txt", tmp_path / f"out.conllu{suffix}"
    text.write_text(TEXT, encoding="utf-8")
    assert main(["predict", str(parser), str(text), "--output", str(output)]) == 0
    whole = output.read_bytes()
    assert b"sent_id" not in whole
    assert len(read_conllu(output)) == 3
    again = ["predict", str(parser), str(output), "--output", str(output)]
    assert "is the file that is read" in fails(capsys, *again)
    assert "is the file that is read" in fails(capsys, *again, "--overwrite")
    command = ["predict", str(parser), str(text), "--output", str(output)]
    assert "is there already; --overwrite replaces it" in fails(capsys, *command)
    assert output.read_bytes() == whole
    text.write_text("1\tcat\t_\t_\t_\t_\t_\t_\t_\t_\n\n2\tx\n", encoding="utf-8")
    assert "text.txt:3" in fails(capsys, *command, "--overwrite")
    assert output.read_bytes() == whole
    assert main([*command, "--overwrite", "--skip_bad_rows"]) == 0
    assert len(read_conllu(output)) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([output.name, "text.txt"])


def test_raw_text_gives_valid_conllu_and_tokens_stay(parser: Path, tmp_path: Path) -> None:
    from udtools import Validator

    text = tmp_path / "text.txt"
    text.write_text("Ada lives in Turin.\nThe cat [b] sleeps [/x] …\n", encoding="utf-8")
    for form, words in (("auto", 5), ("text", 5), ("tokens", 4)):
        output = tmp_path / f"{form}.conllu"
        command = ["predict", str(parser), str(text), "--output", str(output), "--input_format", form]
        assert main(command) == 0
        assert len(read_conllu(output)[0].words) == words
        validator = Validator(lang="ud", level=2)
        with output.open(encoding="utf-8") as stream:
            state = validator.validate_file_handle(stream)
        validator.validate_end(state)
        assert state.passed()


def test_conllu_goes_through_unchanged(parser: Path, treebank: Path, tmp_path: Path) -> None:
    rows = ["# sent_id = x/1", "# text = du", "1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_"]
    rows += [f"{i}\t{word}\tL\tADP\tX\tA=b\t_\t_\t_\tm=1" for i, word in ((1, "de"), (2, "le"))]
    file, output = tmp_path / "in.conllu", tmp_path / "out.conllu"
    file.write_text("\n".join(rows) + "\n\n", encoding="utf-8")
    assert main(["predict", str(parser), str(file), "--output", str(output)]) == 0
    written = output.read_text(encoding="utf-8").splitlines()
    assert written[:3] == rows[:3]
    assert [line.split("\t")[:6] for line in written[3:5]] == [row.split("\t")[:6] for row in rows[3:]]


def test_results_of_an_evaluation_are_not_overwritten_unasked(
    parser: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = treebank / "[b] [/x]"  # which no markup is
    folder.mkdir(parents=True)
    (folder / "x-ud-test.conllu").write_bytes((treebank / "xx_y-ud-test.conllu").read_bytes())
    command = ["evaluate", str(parser), "--data_dir", str(folder), "--output_dir", str(tmp_path)]
    assert main(command) == 0
    assert "[b][/x]" in "".join(capsys.readouterr().out.split())  # wherever lines are broken
    assert "is there already; --overwrite replaces it" in fails(capsys, *command)
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.slow
def test_a_closed_pipe_is_quiet(parser: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pixel_m4.cli.main",
        "predict",
        str(parser),
        "--per_device_eval_batch_size",
        "1",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"word " * 40 + b"\n")
        process.stdin.write((b"a b c\n") * 300)
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write((b"a b c\n") * 300)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_evaluate(parser: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores"
    assert main(["evaluate", str(parser), "--data_dir", str(treebank), "--output_dir", str(out)]) == 0
    table = capsys.readouterr().out
    assert "las_mst" in table
    results = json.loads((out / "eval_results.json").read_text())
    task, model = (
        Parsing(TextRenderer.from_pretrained(parser)),
        PixelForBiaffineParsing.from_pretrained(parser),
    )
    gold = task.read(treebank, "test")
    assert results["eval_uas"] == task.score(gold, task.annotate(model, gold))["uas"]
    again = ["evaluate", str(parser), "--data_dir", str(treebank), "--output_dir", str(out)]
    (out / "eval_results.json").unlink()
    assert "test_predictions.conllu is there already; --overwrite replaces it" in fails(capsys, *again)
    assert results["eval_examples"] == len(read_conllu(out / "test_predictions.conllu")) == 5
    file = treebank / "xx_y-ud-test.conllu"
    assert main(["evaluate", str(parser), "--file", str(file)]) == 0
    assert f"{results['eval_uas']:.2f}" in capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 1
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_bad_input(parser: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--data_dir" in fails(capsys, "evaluate", str(parser))
    assert "has no 'dev' split" in fails(
        capsys, "evaluate", str(parser), "--data_dir", str(treebank), "--split", "dev"
    )
    assert "whose own results would be lost" in fails(
        capsys, "evaluate", str(parser), "--data_dir", str(treebank), "--output_dir", str(parser)
    )
    assert "at least 1, got 0" in fails(
        capsys, "predict", str(parser), "x", "--per_device_eval_batch_size", "0"
    )
    assert "none.txt" in fails(capsys, "predict", str(parser), "none.txt")
    latin, broken = tmp_path / "latin.txt", tmp_path / "broken.gz"
    latin.write_bytes("Grüße\n".encode("latin-1"))
    broken.write_bytes(b"no gzip")
    target = tmp_path / "target.conllu"
    assert "latin.txt:1: byte 0xfc is not UTF-8" in fails(
        capsys, "predict", str(parser), str(latin), "--output", str(target)
    )
    assert not target.exists()
    assert "broken.gz: does not decompress" in fails(capsys, "predict", str(parser), str(broken))
    assert str(tmp_path / "none") in fails(capsys, "predict", str(tmp_path / "none"), str(latin))
    with pytest.raises(SystemExit):
        main(["evaluate", str(parser), "--data_dir", str(treebank), "--taste", "1"])
    assert "--taste" in capsys.readouterr().err


def test_standard_input_that_holds_nothing(
    parser: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "<stdin>: holds no text" in fails(capsys, "predict", str(parser), "-")
