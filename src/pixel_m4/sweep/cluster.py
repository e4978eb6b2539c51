"""Runs of a sweep on a Ray cluster: each in a slot of its own, on any of its machines.

A run is an actor of Ray that starts the same process as on one machine, and waits for it.  Ray ends the
actors of a sweep that is gone, however it ended, and the process ends with its actor.  All machines see the
output folder and the data under the same names; each says so before the first run begins.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.console.threads import THREADS, wanted
from pixel_m4.sweep import engines
from pixel_m4.sweep.engines import Child, Engine, Lost, own_environment
from pixel_m4.version import __version__

_CPUS = 4  # of a run without a GPU
_ANSWER = 300.0  # seconds for a machine to say what it sees; Ray starts a process there
_REACH = 10.0  # seconds for a cluster to take a connection
_HEAR = 10.0  # seconds for a run to hear that it is to stop; one that has no room yet hears nothing


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """What a sweep takes of which cluster.

    Args:
        ray_address: of the cluster; ``local``: one that is started here and ends with the sweep; default: the
            one that ``RAY_ADDRESS`` names, else the one that this machine belongs to, else ``local``.
        cpus_per_run: default: the share of the machine that belongs to a GPU; without GPUs 4, or all of the
            smallest machine.
        gpus_per_run: 0 to 1; default 1 if the cluster has GPUs.

    Raises:
        ValueError: a number is not possible.
    """

    ray_address: str | None = None
    cpus_per_run: int | None = None
    gpus_per_run: float | None = None

    def __post_init__(self) -> None:
        if self.cpus_per_run is not None and self.cpus_per_run < 1:
            raise UserError(f"--cpus_per_run must be at least 1, got {self.cpus_per_run}")
        if self.gpus_per_run is not None and not 0 <= self.gpus_per_run <= 1:
            raise UserError(
                f"--gpus_per_run must be 0 to 1, got {self.gpus_per_run:g}: a run trains on one GPU"
            )


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of a cluster.

    Attributes:
        id: Ray's.
        name: its host name and address.
        cpus: of the whole machine.
        gpus: of the whole machine.
    """

    id: str
    name: str
    cpus: float
    gpus: float

    @staticmethod
    def of(entry: Mapping[str, Any]) -> Node:
        """The machine of an entry of ``ray.nodes()``."""
        name, address, has = entry["NodeName"], entry["NodeManagerAddress"], entry["Resources"]
        return Node(
            id=entry["NodeID"],
            name=address if name == address else f"{name} ({address})",
            cpus=has.get("CPU", 0.0),
            gpus=has.get("GPU", 0.0),
        )

    def room(self, cpus: int, gpus: float) -> int:
        """How many runs there is room for."""
        by_cpus = floor(self.cpus / cpus)
        return min(by_cpus, floor(self.gpus / gpus + 1e-6)) if gpus else by_cpus


def share_out(options: ClusterOptions, nodes: Sequence[Node]) -> tuple[int, float]:
    """CPUs and GPUs of a run.

    Raises:
        ValueError: no machine has room for a run.
    """
    gpus = options.gpus_per_run
    if gpus is None:
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    cpus = options.cpus_per_run
    if cpus is None and gpus:
        shares = [node.cpus / node.gpus * gpus for node in nodes if node.gpus]
        cpus = max(1, floor(min(shares, default=1)))
    elif cpus is None:
        cpus = max(1, min([_CPUS, *(floor(node.cpus) for node in nodes if node.cpus >= 1)]))
    if not any(node.room(cpus, gpus) for node in nodes):
        there = "; ".join(f"{node.name}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes)
        raise UserError(
            f"no machine of the cluster has room for a run with {cpus} CPUs and {gpus:g} GPUs ({there}): "
            "give smaller --cpus_per_run and --gpus_per_run"
        )
    return cpus, gpus


def what_is_missing(marker: Path, text: str, files: Sequence[Path], version: str) -> str | None:
    """What this machine lacks for runs; None if nothing.

    Args:
        marker: file in the output folder that holds ``text``.
        text: what it holds.
        files: files and folders that runs read.
        version: of pixel-m4, on the machine of the sweep.
    """
    if __version__ != version:
        return f"has pixel-m4 {__version__}, not {version}"
    try:
        seen = marker.read_text(encoding="utf-8") == text
    except OSError:
        seen = False
    if not seen:
        return f"does not see the folder {marker.parent}, or another one of that name"
    for file in files:
        if not file.exists():
            return f"does not see {file}"
    return None


@contextmanager
def on_ray(
    options: ClusterOptions, jobs: int | None, output_dir: Path, files: Sequence[Path]
) -> Iterator[Engine]:
    """A Ray cluster whose machines see all that runs need; one that was started for this ends with it.

    Args:
        options: which cluster, and what a run takes of it.
        jobs: runs at the same time; default: as many as there is room for.
        output_dir: of the sweep; it exists.
        files: what runs read.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ValueError: no cluster answers, there is no room for a run, or a machine lacks something; the message
            names it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ModuleNotFoundError("--engine ray needs Ray: pip install 'pixel-m4[ray]'") from error
    _connect(ray, options.ray_address)
    try:
        nodes = [Node.of(entry) for entry in ray.nodes() if entry["Alive"]]
        cpus, gpus = share_out(options, nodes)
        used = [node for node in nodes if node.room(cpus, gpus)]
        _check_nodes(ray, used, output_dir, files)
        slots = jobs or sum(node.room(cpus, gpus) for node in used)
        yield _Ray(ray, slots, cpus, gpus)
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Join a cluster, or start one.

    Raises:
        ValueError: none answers.
    """
    named = address or os.environ.get("RAY_ADDRESS") or "the address that `ray start` left on this machine"
    other = "--ray_address HOST:PORT names another, --ray_address local starts one on this machine"
    host, _, port = named.rpartition(":")
    if host and port.isdigit() and "//" not in host:  # Ray would try for minutes
        try:
            socket.create_connection((host, int(port)), _REACH).close()
        except OSError as error:
            raise UserError(f"no Ray cluster at {named}: {error}; {other}") from error
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:  # the dashboard is that of a cluster that is started here
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"no Ray cluster at {named}: {first}; {other}") from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there, which ends without a word


def _check_nodes(ray: Any, nodes: Sequence[Node], output_dir: Path, files: Sequence[Path]) -> None:
    """Let every machine say whether it sees what runs need.

    Raises:
        ValueError: one does not; names it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    text = uuid.uuid4().hex
    marker = output_dir.absolute() / f".seen-{text}"  # a new name, which no machine remembers as missing
    marker.write_text(text, encoding="utf-8")
    needed = [Path.cwd(), *(file.absolute() for file in files)]
    ask = ray.remote(what_is_missing)
    try:
        answers = []
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
            there = ask.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            answers.append(there.remote(marker, text, needed, __version__))
        for node, answer in zip(nodes, answers, strict=True):
            try:
                lack = ray.get(answer, timeout=_ANSWER)
            except (ray.exceptions.RayError, ImportError) as error:
                first = str(error).strip().rpartition("\n")[2] or type(error).__name__
                raise UserError(
                    f"the machine {node.name} of the cluster cannot run pixel-m4 ({first}): install it "
                    "there, the same version, for the Python that Ray runs on"
                ) from error
            if lack is not None:
                raise UserError(
                    f"the machine {node.name} of the cluster {lack}: --output_dir, the data and the "
                    "folder that the sweep is started in must be on a file system that all machines see "
                    "under one name"
                )
    finally:
        marker.unlink(missing_ok=True)


class _Slot:
    """What starts a run on one of the machines; Ray calls its methods in threads side by side."""

    def __init__(self) -> None:
        self._child = Child()

    def where(self) -> str:
        return socket.gethostname()

    def run(
        self, words: Sequence[str], log: Path, folder: Path, environ: Mapping[str, str], gpu: bool
    ) -> int:
        own = {**own_environment(), **environ}
        if not gpu:
            own["CUDA_VISIBLE_DEVICES"] = ""
        return self._child.run(words, log, own, folder)

    def stop(self) -> None:
        self._child.stop()


class _Ray:
    """The engine; an actor a run, so that its room is free again when it ends."""

    def __init__(self, ray: Any, slots: int, cpus: int, gpus: float) -> None:
        self.slots = slots
        self._ray = ray
        self._gpu = gpus > 0
        self._environ = {THREADS: wanted() or str(cpus)}
        self._slot = ray.remote(_Slot).options(
            num_cpus=cpus, num_gpus=gpus, max_concurrency=2, max_restarts=0, max_task_retries=0
        )
        self._actors: set[Any] = set()
        self._stopped = False

    def run(self, words: Sequence[str], log: Path) -> int:
        """Fine-tune on some machine; the exit code."""
        ray, actor, place = self._ray, self._slot.remote(), "its machine"
        self._actors.add(actor)
        try:
            if self._stopped:  # also if it is set from here on: the actor has been added
                return -1
            place = f"the machine {ray.get(actor.where.remote())}"
            paths = log.absolute(), Path.cwd()
            return ray.get(actor.run.remote([*engines.CHILD, *words], *paths, self._environ, self._gpu))
        except ray.exceptions.RayTaskError:
            raise  # such as a log that cannot be written
        except ray.exceptions.RayError as error:
            if self._stopped:
                return -1
            first = str(error).strip().partition("\n")[0]
            raise Lost(f"{place} was lost ({first})") from error
        finally:
            self._actors.discard(actor)
            ray.kill(actor)

    def stop(self) -> None:
        """Ask all runs to stop; those that wait for room are given up."""
        self._stopped = True
        asked = {actor.stop.remote(): actor for actor in list(self._actors)}
        if asked:
            _, waiting = self._ray.wait(list(asked), num_returns=len(asked), timeout=_HEAR)
            for answer in waiting:
                self._ray.kill(asked[answer])
