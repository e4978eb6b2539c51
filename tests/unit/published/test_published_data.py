"""The published scripts of data and of figures write what the training scripts read."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.analysis.attacks import ATTACKS, attack
from pixel_m4.fetch.run import fetch
from pixel_m4.formats.conllu import read_conllu
from pixel_m4.formats.tables import read_table
from pixel_m4.published import data, flags, run
from pixel_m4.tasks.ner import NER

CONLLU = "# text = Little birds sing.\n" + "".join(
    f"{number}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_\n"
    for number, (word, tag) in enumerate(
        [("Little", "ADJ"), ("birds", "NOUN"), ("singing", "VERB"), (".", "PUNCT")], 1
    )
)


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_said", set())


def treebank(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split in data.SPLITS:
        (folder / f"en_ewt-ud-{split}.conllu").write_text(f"{CONLLU}\n" * 20, encoding="utf-8")


def test_attacked_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    treebank(tmp_path / data.TREEBANK)
    argv = ["--attack=inner-swap", f"--path_to_data_dir={tmp_path}", "--cpu_count=40"]
    assert run.main("preprocess_pos.py", argv) == 0
    assert "--cpu_count: one process does it" in capsys.readouterr().err
    clean = read_conllu(tmp_path / data.TREEBANK / "en_ewt-ud-test.conllu", trees=False)
    words = [word for sentence in clean for word in sentence.words]
    shares = []
    for severity in data.SEVERITIES:
        folder = tmp_path / "robustness" / "pos" / f"inner-swap{severity}"
        assert sorted(file.name for file in folder.iterdir()) == [
            f"en_ewt-ud-{split}.conllu" for split in ("dev", "test", "train")
        ]
        found = read_conllu(folder / "en_ewt-ud-test.conllu", trees=False)
        assert [s.upos for s in found] == [s.upos for s in clean]
        changed = [word for sentence in found for word in sentence.words]
        assert changed == attack(words, "inner_swap", severity / 100, 42)
        shares.append(sum(a != b for a, b in zip(words, changed, strict=True)))
    assert 0 < shares[0] < shares[1] < shares[2]
    assert run.main("preprocess_pos.py", argv) == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["preprocess_pos.py", "preprocess_snli.py"])
def test_attacks_that_are_not_here(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [f"--path_to_data_dir={tmp_path}", "--attack"]
    assert run.main(name, [*argv, "visual"]) == 1
    said = capsys.readouterr().err
    assert "there is no attack 'visual' here" in said
    assert all(each.replace("_", "-") in said for each in ATTACKS)
    assert run.main(name, [*argv, "truncate"]) == 1
    assert "--path_to_data_dir names the folder that holds it" in capsys.readouterr().err


def test_attacked_pairs(tmp_path: Path) -> None:
    (tmp_path / data.SNLI).mkdir()
    rows = [
        "gold_label\tannotator\tsentence1\tsentence2",
        'neutral\ta\tA person outdoors.\tSomebody "reads".',
        "-\ta\tNobody knows.\tNothing.",
        "entailment\ta\tChildren smiling.\tThere are children.",
    ]
    for split in data.SPLITS:
        (tmp_path / data.SNLI / f"snli_1.0_{split}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    argv = ["--attack=truncate", f"--path_to_data_dir={tmp_path}"]
    assert run.main("preprocess_snli.py", argv) == 0
    table = read_table(tmp_path / "robustness" / "snli" / "truncate80" / "snli_1.0_dev.txt")
    assert table.columns == ["label", "premise_org", "hypothesis_org", "premise", "hypothesis"]
    assert [row[0] for row in table.rows] == ["neutral", "entailment"]
    assert table.rows[0][1:3] == ["A person outdoors.", 'Somebody "reads".']
    assert table.rows[1][1:3] != table.rows[1][3:]
    assert all(len(new) <= len(old) for row in table.rows for old, new in zip(row[1:3], row[3:], strict=True))


def test_universal_entities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "raw", tmp_path / "made"
    source.mkdir()
    for split in data.SPLITS:
        text = f"# sent_id = {split}\n1\tIn\tO\t-\t-\n2\tRome\tB-LOC\t-\t-\n\n"
        (source / f"en_x-ud-{split}.iob2").write_text(text, encoding="utf-8")
    argv = ["--input_path", str(source), "--output_path", str(target)]
    assert run.main("preprocess_uner.py", argv) == 0
    assert (target / "dev.txt").read_text(encoding="utf-8") == "In O\nRome B-LOC\n\n"
    assert run.main("preprocess_uner.py", argv) == 1
    assert "train.txt is there already" in capsys.readouterr().err
    assert run.main("preprocess_uner.py", argv[:2]) == 1
    assert "flags are needed: --output_path" in capsys.readouterr().err


def test_korean_entities_lie_in_the_folder_itself(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pixel_m4.fetch import homes

    monkeypatch.setattr(homes, "checksums", dict)
    monkeypatch.setattr("pixel_m4.fetch.run.checksums", dict)
    monkeypatch.setattr(data, "fetch", functools.partial(fetch, mirror=server.url, retries=0))
    text = "## klue-ner-v1_train_00000\t<a:LC>\n서\tB-LC\n울\tI-LC\n\n"
    for item in homes.SOURCES["klue"].items("ner", ""):
        server.content["/" + item.url.partition("://")[2]] = text.encode()
    argv = ["--save-dir", str(tmp_path / "klue")]
    assert run.main("save_klue_ner_to_disk.py", argv) == 0
    assert sorted(file.name for file in (tmp_path / "klue").iterdir()) == [
        "klue-ner-v1.1_dev.tsv",
        "klue-ner-v1.1_train.tsv",
    ]
    from pixel_m4 import TextRenderer

    assert NER(TextRenderer()).read(tmp_path / "klue", "train")[0].tags == ("B-LC", "I-LC")
    assert run.main("save_klue_ner_to_disk.py", argv) == 1
    assert "holds something already" in capsys.readouterr().err
    assert run.main("save_klue_ner_to_disk.py", [*argv, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("name", "source", "parts"),
    [
        ("save_sib_to_disk.py", "sib200", data.TOPICS),
        ("save_naamapadam_to_disk.py", "naamapadam", data.ENTITIES),
    ],
)  # fmt: skip
def test_a_folder_a_language(
    name: str, source: str, parts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetched(which: str, names: list[str], folder: Path) -> None:
        assert which == source
        asked.extend(names)
        for part in names:
            (folder / which / part).mkdir(parents=True)
            (folder / which / part / "train.tsv").write_text(part, encoding="utf-8")

    monkeypatch.setattr(data, "fetch", fetched)
    (tmp_path / parts[0]).mkdir()
    assert run.main(name, ["--save-dir", str(tmp_path)]) == 0
    assert asked == list(parts[1:])  # the first is there
    assert (tmp_path / parts[1] / "train.tsv").read_text(encoding="utf-8") == parts[1]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(parts)
    assert run.main(name, ["--save-dir", str(tmp_path)]) == 0
    assert len(asked) == len(parts) - 1


def test_fonts(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    names = [
        "fonts/NotoSansAdlam/hinted/ttf/NotoSansAdlam-Regular.ttf",
        "fonts/NotoSansAdlam/hinted/ttf/NotoSansAdlam-Bold.ttf",
        "fonts/NotoSerifAdlam/hinted/ttf/NotoSerifAdlam-Regular.ttf",
    ]
    listed = {"adlam": {"families": {"Noto Sans Adlam": {"files": {"hinted": names}}}}, "x": {"families": {}}}
    server.content["/noto.json"] = json.dumps(listed).encode()
    server.content[f"/{names[0]}"] = server.content["/emoji.ttf"] = b"font"
    monkeypatch.setattr(data, "FONT_LIST", f"{server.url}/noto.json")
    monkeypatch.setattr(data, "FONTS", (f"{server.url}/emoji.ttf",))
    assert run.main("download_fallback_fonts.py", [str(tmp_path / "fonts")]) == 0
    there = sorted(file.name for file in (tmp_path / "fonts").iterdir())
    assert there == ["NotoSansAdlam-Regular.ttf", "emoji.ttf"]
    server.content["/noto.json"] = b"[]"
    assert run.main("download_fallback_fonts.py", [str(tmp_path / "fonts")]) == 1
    assert "is no list of fonts as it was" in capsys.readouterr().err


def test_the_list_of_fonts_names_secure_homes() -> None:
    assert all(url.startswith("https://") for url in (data.FONT_LIST, *data.FONTS))
    assert len([url for url in data.FONTS if "CJK" in url]) == 5


# Figures


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def test_figure_of_probing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    assert run.main("plot_linspector.py", [f"--results-dir={tmp_path}"]) == 1
    assert "holds no probing.csv; run the analysis first" in capsys.readouterr().err
    for model in ("pixel-m4", "pixel-base-bigrams"):
        rows = [
            {"task": "Case", "language": "russian", "representation": kind, "layer": layer, "test": 0.5}
            for kind, layers in (("trained", (0, 1, 2)), ("mean patch", ("",)))
            for layer in layers
        ]
        write(tmp_path / model / "probing.csv", rows)
    assert run.main("plot_linspector.py", [f"--results-dir={tmp_path}"]) == 0
    assert (tmp_path / "linspector.png").stat().st_size > 1000


def test_figure_of_retrieval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    rows = [
        {"weights": "trained", "layer": layer, "source": a, "target": b, "recall@5": 0.1, "recall@1": 0.0}
        for layer in (0, 1)
        for a, b in (("en", "hi"), ("hi", "en"))
    ]
    write(tmp_path / "pixel-m4" / "retrieval.csv", rows)
    argv = [f"--results-dir={tmp_path}", "--K"]
    assert run.main("plot_retrieval.py", [*argv, "5"]) == 0
    assert (tmp_path / "retrieval-pixel-m4.svg").is_file()
    assert run.main("plot_retrieval.py", [*argv, "7"]) == 1
    assert "has no column recall@7; it has" in capsys.readouterr().err
    assert run.main("plot_retrieval.py", [f"--results-dir={tmp_path}", "--model-id=x/other"]) == 1
    assert "has no results of other" in capsys.readouterr().err


def test_figures_of_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [f"--results-dir={tmp_path}"]
    assert run.main("plot_tsne.py", argv) == 1
    assert "has no map; run run_tsne.py" in capsys.readouterr().err
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "map.html").touch()
    assert run.main("plot_tsne.py", argv) == 0
    assert "map.html: drawn by run_tsne.py" in capsys.readouterr().out
