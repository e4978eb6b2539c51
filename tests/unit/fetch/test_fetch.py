"""Whole fetches, against a server on this machine that stands for the homes of the data sets."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from pixel_m4.cli.main import main
from pixel_m4.fetch.download import DownloadError
from pixel_m4.fetch.homes import SOURCES, checksums
from pixel_m4.fetch.run import fetch
from pixel_m4.render.fonts import sha256

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
    evil = {"../../evil.iob2": b"!", f"{tmp_path}/evil.iob2": b"!"}
    whole = tarball({"UNER_X-Y/x-ud-train.iob2": b"word" * 1000, **evil})
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


UNER = "/github.com/UniversalNER/UNER_X-Y/archive/HEAD.tar.gz"


def hostile(kind: str) -> bytes:
    """A tar archive with a good file, and a bad one."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in ("U/x-ud-dev.iob2", "U/x-ud-train.iob2"):
            entry = tarfile.TarInfo(name)
            if name.endswith("train.iob2") and kind in ("symlink", "hardlink", "device", "fifo"):
                types = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
                entry.type = types.get(kind, tarfile.FIFOTYPE)
                entry.linkname = "/etc/hostname"
                tar.addfile(entry)
                continue
            if kind == "up" and name.endswith("train.iob2"):
                entry.name = "../x-ud-train.iob2"
            if kind == "backslash" and name.endswith("train.iob2"):
                entry.name = "U/..\\x-ud-train.iob2"
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"data"))
            if kind == "twice":
                tar.addfile(entry, io.BytesIO(b"atad"))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "device", "fifo", "up", "backslash", "twice"])
def test_hostile_archives_are_refused_as_a_whole(server, tmp_path: Path, kind: str) -> None:
    server.content[UNER] = hostile(kind)
    with pytest.raises(ValueError, match="a link, a device, there twice, or leads outside"):
        fetch("uner", ["X-Y"], tmp_path / "data", mirror=server.url)
    assert names(tmp_path) == []


def test_links_in_zip_archives(server, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        zipped.writestr("hi_train.json", "{}")
        link = zipfile.ZipInfo("hi_test.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/hostname")
    home = "/huggingface.co/datasets/ai4bharat/naamapadam/resolve/main/data"
    server.content[f"{home}/hi_IndicNER_v1.0.zip"] = stream.getvalue()
    with pytest.raises(ValueError, match=r"hi_test\.json', which is a link"):
        fetch("naamapadam", ["hi"], tmp_path, mirror=server.url)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["hi_train.json", "other.bin"])
def test_bombs(server, tmp_path: Path, name: str) -> None:
    """Also in files that nobody asked for: they must be unpacked to pass over them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("hi_dev.json", "{}")
        zipped.writestr(name, bytes(17 << 20))
    home = "/huggingface.co/datasets/ai4bharat/naamapadam/resolve/main/data"
    server.content[f"{home}/hi_IndicNER_v1.0.zip"] = stream.getvalue()
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"1", f"U/{name}": bytes(17 << 20)})
    for data_set, part in (("naamapadam", "hi"), ("uner", "X-Y")):
        with pytest.raises(ValueError, match=r"unpacks to more than .* nothing of it was kept"):
            fetch(data_set, [part], tmp_path, mirror=server.url)
    assert names(tmp_path) == []


def test_too_many_files(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixel_m4.fetch.run.MAX_MEMBERS", 50)
    server.content[UNER] = tarball({f"U/{i}.iob2": b"1" for i in range(51)})
    with pytest.raises(ValueError, match="more than 50 files"):
        fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert names(tmp_path) == []


def test_what_is_first_fetched_is_trusted_and_another_file_is_not(server, tmp_path: Path) -> None:
    klue = next(iter(SOURCES["klue"].items("ner", ""))).url.removeprefix("https:/")
    dev = klue.replace("train", "dev")
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"1", "U/README.md": b"2"})
    fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    file = tmp_path / "uner" / "UNER_X-Y" / "x-ud-dev.iob2"
    file.unlink()
    server.content[UNER] = tarball({"U/README.md": b"2", "U/x-ud-dev.iob2": b"1"})  # other bytes, same files
    fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    file.unlink()
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"!", "U/README.md": b"2"})
    with pytest.raises(DownloadError, match=r"dev\.iob2 is another file than the first .*delete its entry"):
        fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert not file.exists()
    server.content[UNER] = tarball({"U/README.md": b"2"})
    with pytest.raises(DownloadError, match=r"no longer holds uner/UNER_X-Y/x-ud-dev\.iob2"):
        fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"!", "U/README.md": b"2"})
    (tmp_path / "fetched.json").unlink()  # the user accepts it
    fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert file.read_bytes() == b"!"
    # A plain file: its digest is known for dev, and not for train.
    server.content[klue], server.content[dev] = b"train", b"dev"
    with pytest.raises(DownloadError, match=r"ner-v1\.1_dev\.tsv: SHA-256 is .* expected"):
        fetch("klue", ["ner"], tmp_path, mirror=server.url)
    (tmp_path / "klue" / "ner" / "klue-ner-v1.1_train.tsv").unlink()
    server.content[klue] = b"niart"
    with pytest.raises(DownloadError, match=r"train\.tsv is another file than the first time"):
        fetch("klue", ["ner"], tmp_path, mirror=server.url)


def test_files_of_the_user_are_not_overwritten(server, tmp_path: Path) -> None:
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"1", "U/x-ud-test.iob2": b"2"})
    folder = tmp_path / "uner" / "UNER_X-Y"
    folder.mkdir(parents=True)
    mine = folder / "x-ud-test.iob2"
    mine.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"x-ud-test\.iob2 is there already, and is not what would"):
        fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert {path.name for path in folder.iterdir()} == {mine.name}
    assert mine.read_bytes() == b"mine"
    mine.write_bytes(b"2")  # the same file, put there by hand
    fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert len(list(folder.iterdir())) == 2
    sib = f"{SIB}/xxx_Latn/train.tsv"
    server.content |= {sib.replace("train", split): b"text" for split in ("train", "dev", "test")}
    mine = tmp_path / "sib200" / "xxx_Latn" / "dev.tsv"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"dev\.tsv is there already"):
        fetch("sib200", ["xxx_Latn"], tmp_path, mirror=server.url)
    assert mine.read_bytes() == b"mine"


def test_digests_of_real_files(shared: Path) -> None:
    found = {path: digest for path, digest in checksums().items() if not path.startswith("sib200/")}
    for path, digest in found.items():
        if path.startswith(("masakhaner/", "uner/")):
            assert sha256(shared / "data" / path) == digest, path
    sets = Counter(path.split("/")[0] for path in found)
    assert sets == {"masakhaner": 30, "uner": 26, "hiner": 2, "klue": 2, "xquad": 9}


def test_a_known_digest_of_a_file_in_an_archive(server, tmp_path: Path, monkeypatch) -> None:
    """The archive's own digest is not known, so that only its files can be compared."""
    path = "uner/UNER_X-Y/x-ud-dev.iob2"
    known = hashlib.sha256(b"right").hexdigest()
    monkeypatch.setattr("pixel_m4.fetch.run.checksums", lambda: {path: known})
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"wrong"})
    with pytest.raises(DownloadError, match=rf"SHA-256 of {path} is .* expected {known}"):
        fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert not (tmp_path / path).exists()
    server.content[UNER] = tarball({"U/x-ud-dev.iob2": b"right"})
    fetch("uner", ["X-Y"], tmp_path, mirror=server.url)
    assert (tmp_path / path).read_bytes() == b"right"
