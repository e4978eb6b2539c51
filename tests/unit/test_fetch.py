"""Whole fetches, against a server on this machine that stands for the homes of the data sets."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from pixel_m4.cli import main
from pixel_m4.download import DownloadError
from pixel_m4.fetch import fetch
from pixel_m4.homes import SOURCES

SIB = "/raw.githubusercontent.com/dadelani/sib-200/e7a172159963fd28c65f1ea53a0cea931bd08719/data/annotated"


def tarball(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_of_a_treebank(server, tmp_path: Path) -> None:
    members = {
        "UD_Tamil-TTB-r2.10/ta_ttb-ud-train.conllu": b"1",
        "UD_Tamil-TTB-r2.10/ta_ttb-ud-test.conllu": b"2",
        "UD_Tamil-TTB-r2.10/LICENSE.txt": b"licence",
        "UD_Tamil-TTB-r2.10/not-to-release/x-ud-train.conllu": b"3",
        "UD_Tamil-TTB-r2.10/stats.xml": b"4",
    }
    url = "/github.com/UniversalDependencies/UD_Tamil-TTB/archive/refs/tags/r2.10.tar.gz"
    server.content[url] = tarball(members)
    server.cuts = [60]
    arguments = ["data", "fetch", "ud", "Tamil-TTB", "--output_dir", str(tmp_path), "--mirror", server.url]
    assert main(arguments) == 0
    folder = "ud-treebanks-v2.10/UD_Tamil-TTB"
    files = ["LICENSE.txt", "ta_ttb-ud-test.conllu", "ta_ttb-ud-train.conllu"]
    assert names(tmp_path) == ["fetched.json", *(f"{folder}/{file}" for file in files)]
    (entry,) = json.loads((tmp_path / "fetched.json").read_text()).values()
    assert entry["url"] == f"https:/{url}"
    assert entry["files"] == [f"{folder}/{file}" for file in files]
    asked = len(server.ranges)
    assert main(arguments) == 0
    assert len(server.ranges) == asked
    (tmp_path / folder / files[1]).unlink()
    assert main(arguments) == 0
    assert len(server.ranges) == asked + 1


def test_one_archive_serves_several_names(server, tmp_path: Path) -> None:
    members = {
        f"linspector-x/intrinsic/data/{task}/{language}/{split}.txt": b"word\tlabel\n"
        for task in ("Case", "POS")
        for language in ("arabic", "russian", "turkish")
        for split in ("train", "dev", "test")
    }
    commit = "4ba2ce8e3f336c88f3c1b6fec6bfd66b87e400f0"
    server.content[f"/github.com/UKPLab/linspector/archive/{commit}.tar.gz"] = tarball(members)
    fetch("linspector", ["arabic", "turkish"], tmp_path, mirror=server.url)
    assert len(server.ranges) == 1
    assert names(tmp_path / "linspector")[:4] == [
        "Case/arabic/dev.txt",
        "Case/arabic/test.txt",
        "Case/arabic/train.txt",
        "Case/turkish/dev.txt",
    ]
    assert len(names(tmp_path / "linspector")) == 12
    with pytest.raises(ValueError, match="holds no file for linspector"):
        fetch("linspector", ["klingon"], tmp_path, mirror=server.url)


def test_zip_archives(server, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        for split in ("train", "val", "test"):
            zipped.writestr(f"hi_{split}.json", '{"words": ["a"], "ner": ["O"]}\n')
        zipped.writestr("readme.txt", "")
    home = "/huggingface.co/datasets/ai4bharat/naamapadam/resolve/main/data"
    server.content[f"{home}/hi_IndicNER_v1.0.zip"] = stream.getvalue()
    fetch("naamapadam", ["hi"], tmp_path, mirror=server.url)
    assert names(tmp_path / "naamapadam") == ["hi/test.json", "hi/train.json", "hi/val.json"]


def test_pinned_files_are_checked(server, tmp_path: Path, shared: Path) -> None:
    for split in ("train", "dev", "test"):
        file = shared / "data" / "sib200" / "kir_Cyrl" / f"{split}.tsv"
        server.content[f"{SIB}/kir_Cyrl/{split}.tsv"] = file.read_bytes()
    fetch("sib200", ["kir_Cyrl"], tmp_path, mirror=server.url)
    assert names(tmp_path / "sib200") == [f"kir_Cyrl/{split}.tsv" for split in ("dev", "test", "train")]
    server.content[f"{SIB}/kir_Cyrl/test.tsv"] += b"!"
    (tmp_path / "sib200" / "kir_Cyrl" / "test.tsv").unlink()
    with pytest.raises(DownloadError, match=r"test\.tsv: SHA-256 is .* expected") as caught:
        fetch("sib200", ["kir_Cyrl"], tmp_path, mirror=server.url)
    assert "without a network" not in str(caught.value)


def test_a_release_archive_is_checked(server, tmp_path: Path) -> None:
    url = "/lindat.mff.cuni.cz/repository/xmlui/bitstream/handle/11234/1-4758/ud-treebanks-v2.10.tgz"
    server.content[url] = tarball({"ud-treebanks-v2.10/UD_X-Y/x_y-ud-train.conllu": b"1"})
    with pytest.raises(DownloadError, match="expected f6deca6ab803"):
        fetch("ud", ["all"], tmp_path, mirror=server.url)
    with pytest.raises(ValueError, match=r"no archive of UD 1\.0 is known; there are 2\.10"):
        fetch("ud", ["all"], tmp_path, release="1.0", mirror=server.url)


def test_damaged_and_hostile_archives(server, tmp_path: Path) -> None:
    url = "/github.com/UniversalNER/UNER_X-Y/archive/HEAD.tar.gz"
    whole = tarball({"UNER_X-Y/x-ud-train.iob2": b"word" * 1000, "../../evil.iob2": b"!"})
    server.content[url] = whole[:-20]
    with pytest.raises(ValueError, match="no whole archive"):
        fetch("uner", ["X-Y"], tmp_path / "data", mirror=server.url)
    server.content[url] = whole
    fetch("uner", ["X-Y"], tmp_path / "data", mirror=server.url)
    assert names(tmp_path) == ["data/fetched.json", "data/uner/UNER_X-Y/x-ud-train.iob2"]


def test_messages(server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404 Not Found; is 'Klingon-X' a name of ud"):
        fetch("ud", ["Klingon-X"], tmp_path, mirror=server.url)
    with pytest.raises(DownloadError, match=r"cannot reach nowhere\.invalid.*copy the folder .*klue"):
        fetch("klue", ["ner"], tmp_path, mirror="http://nowhere.invalid")
    with pytest.raises(ValueError, match="no data set 'glue'; there are ud, sib200"):
        fetch("glue", [], tmp_path)
    with pytest.raises(ValueError, match="say what of ud is wanted: treebanks"):
        fetch("ud", [], tmp_path)
    with pytest.raises(ValueError, match="masakhaner has no 'deu'; it has amh hau"):
        fetch("masakhaner", ["deu"], tmp_path)
    with pytest.raises(ValueError, match=r"ud has no '\.\./x'"):
        fetch("ud", ["../x"], tmp_path)
    (tmp_path / "fetched.json").write_text("{")
    with pytest.raises(ValueError, match=r"fetched\.json is damaged"):
        fetch("klue", ["ner"], tmp_path, mirror=server.url)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SOURCES)
