"""Against a server on this machine, which can be told to misbehave."""

from __future__ import annotations

import hashlib
import socket
import urllib.request
from email.message import Message
from pathlib import Path

import pytest

from pixel_m4.fetch.download import DownloadError, _SafeRedirects, download

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


def test_files_that_are_too_long(served, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="has 512,000 bytes, more than the limit of 511,999"):
        download(f"{served.url}/file", tmp_path / "file", max_bytes=511_999, wait=100)
    served.lengths = False
    with pytest.raises(DownloadError, match="is longer than the limit of 511,999"):
        download(f"{served.url}/file", tmp_path / "file", max_bytes=511_999, sha256=DIGEST, wait=100)
    assert list(tmp_path.iterdir()) == []
    download(f"{served.url}/file", tmp_path / "file", max_bytes=512_000, sha256=DIGEST)


def test_what_cannot_be_known_to_be_whole(served, tmp_path: Path) -> None:
    served.lengths = False
    served.cuts = [1000]
    with pytest.raises(DownloadError, match=r"SHA-256 is .* expected"):
        download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, wait=100)
    with pytest.raises(DownloadError, match="does not tell how long the file is"):
        download(f"{served.url}/file", tmp_path / "file", wait=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Encoding": "gzip"}, "sends the file as gzip"),
        ({"Content-Type": "text/html; charset=utf-8"}, "sends a web page, not the file"),
    ],
)
def test_what_is_not_the_file(served, tmp_path: Path, headers: dict[str, str], message: str) -> None:
    served.headers = headers
    with pytest.raises(DownloadError, match=message):
        download(f"{served.url}/file", tmp_path / "file", wait=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://h/x", "/etc/hostname", "data:text/plain,x"])
def test_only_the_web_is_fetched_from(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="only https can be fetched from"):
        download(url, tmp_path / "file", wait=100)


def test_redirects_stay_with_https() -> None:
    handler = _SafeRedirects()
    request = urllib.request.Request("https://a/x")
    for place in ("http://a/x", "ftp://a/x", "file:///etc/hostname"):
        with pytest.raises(DownloadError, match="which is not https"):
            handler.redirect_request(request, None, 302, "", Message(), place)
    assert handler.redirect_request(request, None, 302, "", Message(), "https://b/x") is not None
