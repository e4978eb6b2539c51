"""Files from the web: resumed where a connection broke, checked, and never half there under their name."""

from __future__ import annotations

import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixel_m4.render.fonts import sha256 as digest_of

_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without a byte
_MAX_BYTES = 64 << 30

_KEPT = "what has arrived is kept, and the next try goes on from there"

Report = Callable[[int, int | None], None]
"""Told of bytes that are there and bytes that there will be (None: unknown)."""


class DownloadError(OSError):
    """A file could not be fetched; the message says what to do.

    Attributes:
        status: what the server answered (HTTP), if it did.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    retries: int = 4,
    wait: float = 1.0,
    max_bytes: int = _MAX_BYTES,
    report: Report | None = None,
) -> str:
    """Fetch a file.

    What has arrived is kept in ``PATH.part``, from one call to the next.  It is continued only if the server
    says that the file is still the same (its ETag, kept in ``PATH.part.etag``).

    Args:
        url: where it is: https, or http for a mirror that somebody names; nothing leads from https to http.
        path: where it goes; folders are made.
        sha256: its digest, if known.
        retries: further attempts after broken connections and busy servers.
        wait: seconds before the first further attempt; doubled each time.
        max_bytes: a longer file is refused.
        report: is told of progress.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: the server cannot be reached, does not have the file, or sends another one, or one of
            unknown or too great length.
    """
    if urlsplit(url).scheme not in ("https", "http"):
        raise DownloadError(f"{url}: only https can be fetched from")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    etag = path.with_name(f"{path.name}.part.etag")
    for attempt in range(retries + 1):
        try:
            _attempt(url, part, etag, report, max_bytes, known=sha256 is not None)
            break
        except DownloadError:
            part.unlink(missing_ok=True)
            etag.unlink(missing_ok=True)
            raise
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what is here does not fit what is there
                part.unlink(missing_ok=True)
            elif error.code != 429 and error.code < 500:
                raise DownloadError(
                    f"{url}: the server says {error.code} {error.reason}", error.code
                ) from error
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        reason = getattr(failure, "reason", None) or failure or type(failure).__name__
        if attempt == retries or isinstance(reason, socket.gaierror):  # no name server: no network
            raise DownloadError(f"cannot reach {urlsplit(url).netloc} ({reason}); {_KEPT}") from failure
        time.sleep(wait * 2**attempt)
    digest = digest_of(part)
    if sha256 is not None and digest != sha256:
        part.unlink()
        etag.unlink(missing_ok=True)
        raise DownloadError(f"{url}: SHA-256 is {digest}, expected {sha256}; the file was changed or damaged")
    os.replace(part, path)
    etag.unlink(missing_ok=True)
    return digest


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """No redirect from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SafeRedirects)


def _attempt(url: str, part: Path, etag: Path, report: Report | None, max_bytes: int, *, known: bool) -> None:
    version = etag.read_text(encoding="utf-8") if etag.is_file() else ""
    there = part.stat().st_size if part.is_file() and version else 0
    request = urllib.request.Request(url, headers={"User-Agent": "pixel-m4", "Accept-Encoding": "identity"})
    if there:
        request.add_header("Range", f"bytes={there}-")
        request.add_header("If-Range", version)
    with _OPENER.open(request, timeout=_TIMEOUT) as response:
        if response.status != 206:
            there = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
            raise http.client.HTTPException(f"asked for bytes from {there}, got another range")
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise DownloadError(f"{url}: the server sends the file as {coding}, not as it is")
        if response.headers.get_content_type() == "text/html" and not known:
            raise DownloadError(
                f"{url}: the server sends a web page, not the file; is there a page to log in to in between?"
            )
        tag = response.headers.get("ETag") or ""
        if tag and not tag.startswith("W/"):  # weak ones do not promise the same bytes
            etag.write_text(tag, encoding="utf-8")
        else:
            etag.unlink(missing_ok=True)
        length = response.headers.get("Content-Length")
        total = there + int(length) if length is not None else None
        if total is None and not getattr(response, "chunked", False) and not known:
            raise DownloadError(
                f"{url}: the server does not tell how long the file is, nor is its digest known"
            )
        if total is not None and total > max_bytes:
            raise DownloadError(f"{url}: the file has {total:,} bytes, more than the limit of {max_bytes:,}")
        with part.open("ab" if there else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                there += len(chunk)
                if there > max_bytes:
                    raise DownloadError(f"{url}: the file is longer than the limit of {max_bytes:,} bytes")
                if report is not None:
                    report(there, total)
    if total is not None and there < total:
        raise http.client.HTTPException(f"the connection broke after {there:,} of {total:,} bytes")
