"""Against a server on this machine, which can be told to misbehave."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from pixel_m4.download import DownloadError, download

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(server):  # type: ignore[no-untyped-def]
    """The server of ``conftest.py``, with a file."""
    server.content["/file"] = CONTENT
    return server


def test_whole_file(served, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = tmp_path / "new" / "file"
    digest = download(
        f"{served.url}/file", path, sha256=DIGEST, report=lambda *numbers: seen.append(numbers), wait=0
    )
    assert (digest, path.read_bytes()) == (DIGEST, CONTENT)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_goes_on_where_the_connection_broke(served, tmp_path: Path) -> None:
    served.cuts = [100_000, 50_000]
    download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, wait=0)
    assert served.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_goes_on_from_an_earlier_call(served, tmp_path: Path) -> None:
    served.cuts = [100_000]
    with pytest.raises(DownloadError, match="the connection broke after 100,000 of 512,000 bytes"):
        download(f"{served.url}/file", tmp_path / "file", retries=0)
    assert not (tmp_path / "file").exists()
    download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, retries=0)
    assert served.ranges == [None, "bytes=100000-"]


def test_starts_anew_when_the_file_has_changed(served, tmp_path: Path) -> None:
    served.cuts = [100_000]
    with pytest.raises(DownloadError):
        download(f"{served.url}/file", tmp_path / "file", retries=0)
    served.content["/file"] = CONTENT[::-1]
    download(f"{served.url}/file", tmp_path / "file", retries=0)
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_starts_anew_without_etag(served, tmp_path: Path) -> None:
    served.tags, served.cuts = False, [100_000]
    download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, wait=0)
    assert served.ranges == [None, None]


def test_a_part_that_is_too_long_is_dropped(served, tmp_path: Path) -> None:
    served.cuts = [100_000]
    with pytest.raises(DownloadError):
        download(f"{served.url}/file", tmp_path / "file", retries=0)
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, retries=1, wait=0)


def test_busy_servers_are_asked_again(served, tmp_path: Path) -> None:
    served.busy = 2
    download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, retries=2, wait=0)
    served.busy = 2
    with pytest.raises(DownloadError, match="cannot reach 127"):
        download(f"{served.url}/file", tmp_path / "file", retries=1, wait=0)


def test_wrong_digest(served, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"SHA-256 is {DIGEST}, expected 0000"):
        download(f"{served.url}/file", tmp_path / "file", sha256="0000", wait=0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_asked_for_once(served, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/none: the server says 404 Not Found") as caught:
        download(f"{served.url}/none", tmp_path / "file", retries=3, wait=100)
    assert caught.value.status == 404


def test_no_network(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DownloadError, match=rf"cannot reach 127\.0\.0\.1:{port} .*refused"):
        download(f"http://127.0.0.1:{port}/file", tmp_path / "file", retries=1, wait=0)


def test_no_name_server_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot reach nowhere\.invalid"):
        download("http://nowhere.invalid/file", tmp_path / "file", retries=3, wait=100)
