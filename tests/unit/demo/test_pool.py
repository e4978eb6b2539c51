"""Clients take turns, the queue is bounded, and what nobody waits for is not begun."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import torch

from pixel_m4.demo.pool import Full, Pool


def run(test: Callable[[Pool], object], threads: int = 1, most: int = 10, most_of_client: int = 6) -> object:
    async def main() -> object:
        pool = Pool(threads, most, most_of_client)
        try:
            return await test(pool)  # type: ignore[misc]
        finally:
            pool.close()

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_clients_take_turns() -> None:
    order: list[str] = []
    begin = threading.Event()

    async def test(pool: Pool) -> None:
        works = [
            *pool.submit("many", [begin.wait, *(lambda i=i: order.append(f"many{i}") for i in range(4))])
        ]
        works += pool.submit("one", [lambda: order.append("one")])
        works += pool.submit("two", [lambda i=i: order.append(f"two{i}") for i in range(2)])
        begin.set()
        await asyncio.gather(*works)

    run(test)
    assert order == ["many0", "one", "two0", "many1", "two1", "many2", "many3"]


def test_as_many_run_at_once_as_there_are_threads() -> None:
    barrier = threading.Barrier(3)

    async def test(pool: Pool) -> list[int]:
        return await asyncio.gather(*pool.submit("a", [lambda: barrier.wait(10)] * 3))

    assert sorted(run(test, threads=3)) == [0, 1, 2]  # type: ignore[call-overload]


def test_each_thread_computes_with_one_thread_of_torch() -> None:
    async def test(pool: Pool) -> list[int]:
        return await asyncio.gather(*pool.submit("a", [torch.get_num_threads] * 2))

    assert run(test, threads=2) == [1, 1]


@pytest.mark.parametrize(
    ("clients", "full"),
    [(["a"] * 7, False), (["a"] * 8, True), ([*"abcdefghijk"], False), ([*"abcdefghijkl"], True)],
)
def test_the_queue_is_bounded_for_a_client_and_for_all(clients: list[str], full: bool) -> None:
    begin = threading.Event()

    async def test(pool: Pool) -> None:
        futures = []
        try:
            for client in clients:  # one of them runs, and does not wait
                futures += pool.submit(client, [begin.wait])
        finally:
            begin.set()
            await asyncio.gather(*futures)

    if full:
        with pytest.raises(Full):
            run(test)
    else:
        run(test)


def test_of_a_batch_that_does_not_fit_nothing_waits() -> None:
    begin = threading.Event()

    async def test(pool: Pool) -> int:
        first = pool.submit("a", [begin.wait])
        with pytest.raises(Full):
            pool.submit("a", [begin.wait] * 7)
        waiting = pool.waiting
        begin.set()
        await asyncio.gather(*first)
        return waiting

    assert run(test) == 0


def test_what_nobody_waits_for_is_not_begun() -> None:
    begun: list[int] = []
    begin = threading.Event()

    async def test(pool: Pool) -> None:
        first, second, third = pool.submit(
            "a", [lambda: begin.wait(10), lambda: begun.append(2), lambda: begun.append(3)]
        )
        second.cancel()
        begin.set()
        await asyncio.gather(first, third)

    run(test)
    assert begun == [3]


def test_errors_come_to_who_waits_and_the_next_work_goes_on() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def test(pool: Pool) -> list[object]:
        return await asyncio.gather(*pool.submit("a", [fail, lambda: 1]), return_exceptions=True)

    error, one = run(test)  # type: ignore[misc]
    assert isinstance(error, ValueError)
    assert one == 1
