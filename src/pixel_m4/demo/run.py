"""The command `demo`: a web server on this machine."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging as transformers_logging

from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.console.threads import processors

MODELS = ("pixel-m4-ud", "pixel-m4-tiny")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_ANY = ("0.0.0.0", "::", "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server runs; see `pixel-m4 demo --help`."""

    models: Sequence[str] = MODELS
    host: str = "127.0.0.1"
    port: int = 7860
    allow_hosts: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()
    behind_proxy: bool = False
    sentences: Path | None = None
    threads: int | None = None
    device: str | None = None

    def check(self) -> None:
        """Tell what is wrong before models are opened.

        Raises:
            UserError: A number is out of range, or the port is taken.
        """
        if not 0 <= self.port <= 65535:
            raise UserError(f"--port must be from 0 to 65535, got {self.port}")
        if self.threads is not None and self.threads < 1:
            raise UserError(f"--threads must be at least 1, got {self.threads}")

    @property
    def allowed_hosts(self) -> list[str]:
        """Names that the Host header may have."""
        own = [] if self.host in _ANY else [f"[{self.host}]" if ":" in self.host else self.host]
        return list(dict.fromkeys([*_LOCAL, *own, *self.allow_hosts]))


def demo(settings: Settings) -> None:
    """Serve the page until it is stopped.

    Raises:
        ValueError: A setting, a model or the file of sentences is no good, or a library is not there.
        OSError: A model or a file cannot be read, or the port is taken.
    """
    settings.check()
    try:
        import uvicorn

        from pixel_m4.demo.app import create_app
    except ModuleNotFoundError as error:
        raise UserError(f"the demo needs {error.name}: pip install 'pixel-m4[demo]'") from error
    from pixel_m4.demo.models import Models
    from pixel_m4.demo.schemas import LONGEST
    from pixel_m4.demo.sentences import read_sentences

    listening = listen(settings.host, settings.port)
    sentences = read_sentences(settings.sentences, LONGEST)
    transformers_logging.disable_progress_bar()
    logging.getLogger("pixel_m4.formats").setLevel(logging.ERROR)  # hints for the terminal
    app = create_app(
        Models(settings.models, settings.device),
        sentences,
        allowed_hosts=settings.allowed_hosts,
        threads=settings.threads or processors() or 1,
        frame_ancestors=settings.frame_ancestors,
    )
    shown = settings.host if settings.host not in _ANY else "localhost"
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"
    plain_console(stderr=True).print(f"{address}   (Ctrl-C ends it)")
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips="*" if settings.behind_proxy else None,
            limit_concurrency=256,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=3,
            ws="none",
        )
    )
    server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        UserError: The address is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only where the protocol is named.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise UserError(
            f"cannot listen at --host {host} --port {port}: {error.strerror}; choose another --port"
        ) from error
    return found
