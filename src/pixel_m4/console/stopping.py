"""Ctrl-C and SIGTERM: work ends cleanly, at a moment that loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_SIGNAL = 1.0  # seconds: terminals and launchers pass one wish on several times


class Stopped(KeyboardInterrupt):
    """The user has stopped the command, by Ctrl-C or SIGTERM.

    Args:
        signum: the signal.
        message: what there is to say about it.
    """

    def __init__(self, signum: int = signal.SIGINT, message: str = "") -> None:
        super().__init__(message)
        self.signum = int(signum)
        self.message = message

    @property
    def exit_code(self) -> int:
        """As a shell counts it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class Stopping:
    """Hears the wish to stop; ends work at once, or waits for a good moment while somebody is patient.

    Attributes:
        asked: the signal that was heard in a patient moment; None: none.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._patient = False
        self._process = os.getpid()
        self._heard = float("-inf")

    @contextmanager
    def listening(self) -> Iterator[Stopping]:
        """Handle signals while this lasts; only a program's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            if before[number] is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._hear)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Somebody looks at ``asked`` now and then and will stop; a second wish stops at once."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def _hear(self, signum: int, frame: Any) -> None:
        if os.getpid() != self._process:  # a loader's worker: it works until the main process has stopped
            signal.signal(signum, signal.SIG_IGN if signum == signal.SIGINT else signal.SIG_DFL)
            return
        now, before = time.monotonic(), self._heard
        self._heard = now
        if now - before < _ONE_SIGNAL:
            return
        if not self._patient or self.asked is not None:
            raise Stopped(signum)
        self.asked = signum
        text = "pixel-m4: stopping after this step; Ctrl-C again stops at once\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
