from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixel_m4.console import threads
from pixel_m4.console.threads import processors, quota, settle, share

V1 = "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n"
V2 = "0::/kubepods/pod1/abc\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v1(group: str, limit: int, mount: str = "cpu") -> dict[str, str]:
    place = f"sys/fs/cgroup/{mount}/{group}"
    return {f"{place}/cpu.cfs_quota_us": f"{limit}\n", f"{place}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/kubepods/pod1/abc/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/kubepods/pod1/abc/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/kubepods/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/kubepods/pod1/abc/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000\n",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        # A container that sees the path of its host, but has its own group as the root.
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": V1, **v1("docker/abc", -1)}, None),
        ({"proc/self/cgroup": V1, **v1("docker/abc", 250000)}, 2.5),
        ({"proc/self/cgroup": V1, **v1("docker/abc", 250000, "cpu,cpuacct")}, 2.5),
        ({"proc/self/cgroup": V1, **v1("", 100000), **v1("docker/abc", -1)}, 1),
        ({"proc/self/cgroup": V1 + "0::/\n", **v1("docker/abc", 600000)}, 6),
        ({"proc/self/cgroup": "nonsense\n::\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, None),
    ],
)
def test_quota_of_made_up_cgroups(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    assert quota(write(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("allowed", "limit", "expected"),
    [
        (range(8), None, 4),  # 4 cores of 2 hardware threads
        ({0, 1}, None, 2),
        ({0, 4}, None, 1),
        (range(8), "250000 100000", 2),
        (range(8), "50000 100000", 1),
        ({0}, "400000 100000", 1),
        ({17}, None, 1),  # nothing is known of its core
    ],
)
def test_processors(
    tmp_path: Path, allowed: set[int], limit: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}\n"
        for n in range(8)
    }
    if limit is not None:
        files |= {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": limit}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    assert processors(write(tmp_path, files)) == expected
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors(tmp_path) is None


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 4)
    monkeypatch.setattr(threads, "_set_here", set())
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.usefixtures("four_cores")
def test_what_the_user_says_wins() -> None:
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
    for before, chosen in (
        ({}, {**passive, "OMP_NUM_THREADS": "4"}),
        ({"OMP_NUM_THREADS": "7"}, passive),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_NUM_THREADS": "4"}),
        ({"GOMP_SPINCOUNT": "9"}, {"OMP_NUM_THREADS": "4"}),
        ({"LOCAL_WORLD_SIZE": "3"}, {**passive, "OMP_NUM_THREADS": "1"}),
        ({"LOCAL_WORLD_SIZE": "2"}, {**passive, "OMP_NUM_THREADS": "2"}),
        ({"LOCAL_WORLD_SIZE": "16"}, {**passive, "OMP_NUM_THREADS": "1"}),
    ):
        environ = dict(before)
        settle(environ)
        assert environ == {**before, **chosen}


@pytest.mark.usefixtures("four_cores")
def test_programs_side_by_side_share_the_cores() -> None:
    assert share(2, {}) == "2"
    assert share(8, {}) == "1"
    assert share(2, {"OMP_NUM_THREADS": "3"}) == "3"
    environ: dict[str, str] = {}
    settle(environ)  # what was chosen for this process alone is not the user's word
    assert environ["OMP_NUM_THREADS"] == "4"
    assert share(2, environ) == "2"


def test_nothing_is_set_once_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", pytest)
    environ: dict[str, str] = {}
    settle(environ)
    assert environ == {}


def test_commands_settle_threads_before_torch_is_loaded() -> None:
    code = (
        "import os, sys\nfrom pixel_m4.cli import main as cli\n"
        "cli.info.run = lambda arguments: print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], "
        "os.environ['OMP_NUM_THREADS'])\n"
        "sys.exit(cli.main(['info', 'pixel-m4-tiny']))"
    )
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP", "KMP"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    expected = "False PASSIVE " + str(processors()) if processors() else "False PASSIVE"
    assert done.stdout.startswith(expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_computes() -> None:
    """It waited for ever for threads that only its parent had."""
    code = """
import os, sys, torch, pixel_m4.model
a = torch.randn(600, 600)
for _ in range(3): a @ a
child = os.fork()
if child == 0:
    (a @ a).tanh().sum()
    os._exit(7 if torch.get_num_threads() == 1 else 8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["7", "2"]
