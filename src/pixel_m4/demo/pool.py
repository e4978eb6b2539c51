"""Work off the event loop: a few threads, and a bounded queue in which clients take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch


class Full(Exception):
    """The queue has no room for more work, of this client or at all."""


class _Job(NamedTuple):
    future: asyncio.Future[Any]
    work: Callable[[], Any]


class Pool:
    """Run work in threads; each client in turn gets one piece done, so that none stalls the others.

    A piece of work cannot be interrupted, so callers keep pieces short. One that nobody waits for any more is
    not begun.

    Args:
        threads: Pieces that run at the same time; each computes with one thread of torch.
        most: Pieces that may wait.
        most_of_client: Pieces of one client that may wait.
    """

    def __init__(self, threads: int, most: int, most_of_client: int) -> None:
        self.most = most
        self.most_of_client = most_of_client
        self._free = threads
        # In the order of their turns; no queue is empty.
        self._queues: dict[str, deque[_Job]] = {}
        self._executor = ThreadPoolExecutor(threads, "demo", initializer=torch.set_num_threads, initargs=(1,))

    @property
    def waiting(self) -> int:
        """How many pieces wait."""
        return sum(map(len, self._queues.values()))

    def submit(self, client: str, works: list[Callable[[], Any]]) -> list[asyncio.Future[Any]]:
        """Put work into the queue; all of it, or none.

        Args:
            client: Who waits for it.
            works: The pieces.

        Returns:
            The result of each

        Raises:
            Full: There is no room.
        """
        own = len(self._queues.get(client, ()))
        if own + len(works) > self.most_of_client or self.waiting + len(works) > self.most:
            raise Full
        loop = asyncio.get_running_loop()
        jobs = [_Job(loop.create_future(), work) for work in works]
        if jobs:
            self._queues.setdefault(client, deque()).extend(jobs)
        self._start()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Begin nothing more; what runs comes to its end."""
        self._queues.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        while self._free and self._queues:
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            job = queue.popleft()
            if queue:
                self._queues[client] = queue  # at the end: the others come first
            if job.future.done():
                continue
            self._free -= 1
            running = asyncio.get_running_loop().run_in_executor(self._executor, job.work)
            running.add_done_callback(lambda done, job=job: self._finish(job, done))  # type: ignore[misc]

    def _finish(self, job: _Job, done: asyncio.Future[Any]) -> None:
        self._free += 1
        error = None if done.cancelled() else done.exception()
        if not job.future.done():
            if done.cancelled():
                job.future.cancel()
            elif error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(done.result())
        self._start()
