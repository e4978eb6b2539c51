"""How many threads compute, and how they wait; decided before torch is loaded, which looks only once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path, PurePosixPath

THREADS = "OMP_NUM_THREADS"
SPINS = "1000"
"""How often a waiting thread of GNU's OpenMP looks before it sleeps: some microseconds."""
_WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}

_set_here: set[str] = set()


def settle(environ: MutableMapping[str, str] | None = None) -> None:
    """Choose the number of OpenMP threads and let them wait passively, unless the environment says otherwise.

    Threads that wait for each other take no processor time: on a machine that does other work, too, waiting
    actively (OpenMP's default) makes two threads slower than one.  Sleeping at once does so on an idle
    machine, hence :data:`SPINS`.  ``OMP_WAIT_POLICY`` is obeyed by GNU's OpenMP, which torch brings on Linux,
    and by LLVM's and Intel's on other systems.  The number is
    :func:`processors`, divided among the processes of ``torchrun`` on this machine.

    ``OMP_NUM_THREADS``, ``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT`` and ``KMP_BLOCKTIME`` win if they are set.
    Does nothing once torch is loaded.

    Args:
        environ: where to write the choice; default ``os.environ``.
    """
    if "torch" in sys.modules:
        return
    environ = os.environ if environ is None else environ
    if not _WAITING & environ.keys():
        environ["OMP_WAIT_POLICY"] = "PASSIVE"
        environ["GOMP_SPINCOUNT"] = SPINS
    count = processors()
    if THREADS not in environ and count is not None:
        environ[THREADS] = str(max(1, count // processes_here(environ)))
        _set_here.add(THREADS)


def outlive_forks() -> None:
    """Let a process that is forked from this one compute with one thread: the others do not come with it.

    It would wait for them for ever. Does nothing where processes are not forked (Windows).
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_compute_alone)


def _compute_alone() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def wanted(environ: Mapping[str, str] | None = None) -> str | None:
    """The ``OMP_NUM_THREADS`` that the user has set; None if :func:`settle` or nobody has.

    Args:
        environ: the environment; default ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    return None if THREADS in _set_here else environ.get(THREADS)


def share(jobs: int, environ: Mapping[str, str] | None = None) -> str | None:
    """``OMP_NUM_THREADS`` for each of some programs that are to run at the same time.

    Args:
        jobs: how many.
        environ: the environment; default ``os.environ``.

    Returns:
        What the user has set, else a share of the processors; None if their number is not known.
    """
    count = processors() or os.cpu_count()
    return wanted(environ) or (None if count is None else str(max(1, count // jobs)))


def processors(root: Path = Path("/")) -> int | None:
    """Cores that this process may use: by its affinity and by the quotas of its cgroups.

    Two hardware threads of a core count once: they share its arithmetic.

    Args:
        root: where ``proc`` and ``sys`` lie.

    Returns:
        None where the system does not tell (it is no Linux); at least 1 otherwise.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    count = len(_cores(allowed, root))
    limit = quota(root)
    return count if limit is None else max(1, min(count, int(limit)))


def quota(root: Path = Path("/")) -> float | None:
    """Processors that the cgroups of this process get, versions 1 and 2; None: as many as there are.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    limits = []
    for controllers, group in _groups(root / "proc" / "self" / "cgroup"):
        if controllers == {""}:
            mounts, read = ["", "unified"], _read_v2
        elif "cpu" in controllers:
            mounts, read = ["cpu", "cpu,cpuacct", "cpuacct,cpu"], _read_v1
        else:
            continue
        for mount in mounts:
            place = root / "sys" / "fs" / "cgroup" / mount
            # A group has no more than those above it.  In a container its own may be the root of the mount.
            for parent in [group, *group.parents]:
                limit = read(place / str(parent).lstrip("/"))
                if limit is not None:
                    limits.append(limit)
    return min(limits, default=None)


def _groups(file: Path) -> Iterator[tuple[set[str], PurePosixPath]]:
    """Controllers and path of each line such as ``4:cpu,cpuacct:/docker/abc``, or ``0::/user.slice``."""
    for line in _text(file).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if path.startswith("/"):
            yield set(controllers.split(",")), PurePosixPath(path)


def _read_v2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()  # "max 100000" or "150000 100000"
    return _ratio(*words) if len(words) == 2 else None


def _read_v1(folder: Path) -> float | None:
    return _ratio(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _ratio(limit: str, period: str) -> float | None:
    try:
        found = int(limit), int(period)
    except ValueError:
        return None
    return found[0] / found[1] if min(found) > 0 else None


def _cores(allowed: Iterable[int], root: Path) -> set[str]:
    """The cores of some logical processors, each by the list of its hardware threads."""
    place = root / "sys" / "devices" / "system" / "cpu"
    return {
        _text(place / f"cpu{number}" / "topology" / "thread_siblings_list").strip() or str(number)
        for number in allowed
    }


def processes_here(environ: Mapping[str, str] | None = None) -> int:
    """How many processes of this training run on this machine, as ``torchrun`` tells; 1 without it.

    Args:
        environ: the environment; default ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    try:
        return max(1, int(environ.get("LOCAL_WORLD_SIZE", "1")))
    except ValueError:
        return 1


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
