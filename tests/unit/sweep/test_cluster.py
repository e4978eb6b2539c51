"""Sweeps on Ray: what needs no cluster, and, slow, clusters of several machines in processes of this one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from rich.console import Console
from test_sweep import Place

from pixel_m4.console.errors import UserError
from pixel_m4.sweep import engines
from pixel_m4.sweep.cluster import ClusterOptions, Node, share_out, what_is_missing
from pixel_m4.sweep.engines import Lost
from pixel_m4.sweep.grid import read_sweep
from pixel_m4.sweep.pool import Pool
from pixel_m4.training.saving import seal
from pixel_m4.version import __version__


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setattr(engines, "CHILD", [str(place.child)])
    return place


def node(name: str, cpus: float, gpus: float = 0) -> Node:
    resources = {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})
    address = {"NodeName": name, "NodeManagerAddress": "10.0.0.1", "NodeID": name}
    return Node.of({**address, "Resources": resources})


@pytest.mark.parametrize(
    ("options", "nodes", "expected"),
    [
        ({}, [node("a", 8), node("b", 16)], (4, 0)),
        ({}, [node("a", 0), node("b", 2)], (2, 0)),  # a: the head of a cluster, which computes nothing
        ({}, [node("a", 64, 8), node("b", 32, 8), node("c", 128)], (4, 1)),
        ({"gpus_per_run": 0.5}, [node("a", 64, 8)], (4, 0.5)),
        ({"gpus_per_run": 0}, [node("a", 64, 8)], (4, 0)),
        ({"cpus_per_run": 3}, [node("a", 2), node("b", 3)], (3, 0)),
    ],
)
def test_what_a_run_gets(options: dict[str, Any], nodes: Sequence[Node], expected: tuple[int, float]) -> None:
    assert share_out(ClusterOptions(**options), nodes) == expected


def test_room_of_a_machine() -> None:
    assert [node("a", 64, 8).room(4, gpus) for gpus in (0, 0.1, 0.5, 1)] == [16, 16, 16, 8]
    assert [node("a", 8, 8).room(4, 1), node("a", 3).room(4, 0), node("a", 8).room(4, 1)] == [2, 0, 0]


def test_a_run_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(UserError, match=r"5 CPUs and 0 GPUs \(a \(10.0.0.1\): 4 CPUs, 0 GPUs"):
        share_out(ClusterOptions(cpus_per_run=5), [node("a", 4)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--engine ray --cpus_per_run 0", "--cpus_per_run must be at least 1, got 0"),
        ("--engine ray --gpus_per_run 2", "--gpus_per_run must be 0 to 1, got 2"),
        ("--cpus_per_run 2", "--cpus_per_run 2 is for --engine ray"),
        ("--ray_address local", "--ray_address local is for --engine ray"),
    ],
)
def test_wrong_options(place: Place, capsys: pytest.CaptureFixture[str], options: str, message: str) -> None:
    assert place.run(*options.split()) == 1
    assert message in capsys.readouterr().err
    assert not place.output.exists()


def test_without_ray(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert place.run("--engine", "ray") == 1
    assert "--engine ray needs Ray: pip install 'pixel-m4[ray]'" in capsys.readouterr().err


def test_what_a_machine_lacks(tmp_path: Path) -> None:
    marker, data = tmp_path / ".seen", tmp_path / "data"
    data.touch()
    asked = (marker, "1", [data], __version__)
    assert what_is_missing(*asked) == f"does not see the folder {tmp_path}, or another one of that name"
    marker.write_text("2")
    assert "another one of that name" in (what_is_missing(*asked) or "")
    marker.write_text("1")
    assert what_is_missing(*asked) is None
    assert what_is_missing(marker, "1", [data, tmp_path / "UD"], __version__) == f"does not see {tmp_path}/UD"
    assert what_is_missing(marker, "1", [data], "0.0") == f"has pixel-m4 {__version__}, not 0.0"


def test_files_that_runs_read(place: Place, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.touch()
    sweep = {"task": "pos", "data_dir": str(place.data), "config": str(recipe), "seed": [0, 1]}
    sweep |= {"config_name": "nano", "renderer": "words"}
    place.file.write_text(yaml.safe_dump(sweep))
    assert set(read_sweep(place.file).files) == {place.data, recipe}


class Fragile:
    """An engine whose machine is lost the first ``times`` that each run is tried, with a checkpoint left."""

    slots = 2

    def __init__(self, times: int) -> None:
        self.times = times
        self.tried: dict[str, list[list[str]]] = {}

    def run(self, words: Sequence[str], log: Path) -> int:
        tried = self.tried.setdefault(str(log), [])
        tried.append(list(words))
        if len(tried) <= self.times:
            checkpoint = log.parent / "checkpoint-5"
            checkpoint.mkdir(exist_ok=True)
            (checkpoint / "trainer_state.json").write_text('{"best_model_checkpoint": null}')
            (checkpoint / "optimizer.pt").touch()
            seal(checkpoint)
            raise Lost("the machine a was lost")
        (log.parent / "all_results.json").write_text('{"test_las": 50, "eval_las": 50}')
        return 0

    def stop(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(("times", "resume"), [(1, True), (1, False), (2, False)])
def test_a_run_whose_machine_is_lost_is_tried_once_more(
    place: Place, capsys: pytest.CaptureFixture[str], times: int, resume: bool
) -> None:
    engine = Fragile(times)
    runs = read_sweep(place.file).runs
    pool = Pool(runs, place.output, Console(width=1000), engine, resume)
    assert len(pool.run()) == (0 if times == 1 else len(runs))
    assert [len(tried) for tried in engine.tried.values()] == [2] * 4
    for log, (first, second) in engine.tried.items():
        goes_on = ["--resume_from_checkpoint", str(Path(log).parent / "checkpoint-5")] if resume else []
        assert second == first + goes_on
    shown = capsys.readouterr().out
    assert shown.count("the machine a was lost; once more") == 4
    assert shown.count("FAILED (the machine a was lost; 2 times)") == (0 if times == 1 else 4)


# ---- with Ray ----


def wait(ready: Callable[[], object], alive: Callable[[], bool] = lambda: True) -> None:
    while not ready():
        assert alive()
        time.sleep(0.05)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two machines with two CPUs each, beside a head that computes nothing."""
    pytest.importorskip("ray", reason="needs Ray: install pixel-m4[ray]")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "2")
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.machines = [made.add_node(num_cpus=2, num_gpus=0) for _ in range(2)]
    yield made
    made.shutdown()


def sweep(place: Place, address: str, *options: str) -> subprocess.Popen[str]:
    """A sweep in a process of its own."""
    script = (
        "import sys; from pixel_m4.sweep import engines; from pixel_m4.cli.main import main; "
        f"engines.CHILD = [{str(place.child)!r}]; sys.exit(main())"
    )
    words = ["sweep", str(place.file), "--output_dir", str(place.output), "--engine", "ray"]
    command = [sys.executable, "-c", script, *words, "--ray_address", address, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def children(place: Place) -> list[psutil.Process]:
    """Runs that are at work, whoever started them."""
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if str(place.child) in (each.info["cmdline"] or [])]


@pytest.mark.slow
def test_a_sweep_on_a_cluster(place: Place, cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--engine", "ray", "--ray_address", cluster.address, "--cpus_per_run", "1"]
    before = signal.getsignal(signal.SIGTERM)
    assert place.run(*words) == 0
    assert signal.getsignal(signal.SIGTERM) == before
    assert len(place.starts) == len(place.finished) == 4
    assert {line.split()[1] for line in place.starts} == {os.environ.get("OMP_NUM_THREADS", "1")}
    shown = capsys.readouterr().out
    assert "4 runs, 0 finished before, 4 at a time" in shown
    tables = [(place.output / name).read_text() for name in ("table.md", "table.csv", "table.tex")]
    before_again = place.finished
    assert place.run(*words) == 0
    assert (len(place.starts), place.finished) == (4, before_again)
    shutil.rmtree(place.output)
    assert place.run() == 0  # on this machine
    assert tables == [(place.output / name).read_text() for name in ("table.md", "table.csv", "table.tex")]
    assert not list(place.output.glob(".seen-*"))


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_ends_leaves_no_run_behind(place: Place, cluster: Any, signum: int) -> None:
    (place.data / "hold").touch()  # seed 1 does not end
    process = sweep(place, cluster.address)
    wait(lambda: (len(place.starts), len(place.finished)) == (4, 2), lambda: process.poll() is None)
    process.send_signal(signum)
    shown, _ = process.communicate(timeout=120)
    wait(lambda: not children(place))
    if signum != signal.SIGKILL:
        assert process.returncode == 128 + signum, shown
        assert "--resume_runs" in shown
        assert "Traceback" not in shown
        stopped = [log.read_text() for log in place.output.rglob("log.txt") if "seed=1" in str(log)]
        assert all("asked to stop" in log for log in stopped)
    (place.data / "hold").unlink()
    before, starts = place.finished, len(place.starts)
    process = sweep(place, cluster.address)
    shown, _ = process.communicate()
    assert process.returncode == 0, shown
    assert before.items() <= place.finished.items()
    assert (len(place.finished), len(place.starts)) == (4, starts + 2)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_a_machine_is_lost(place: Place, cluster: Any, stopped: bool) -> None:
    """Its run waits for room; it is done on a new machine, or given up when the sweep is stopped."""
    (place.data / "hold").touch()
    process = sweep(place, cluster.address)
    wait(lambda: (len(place.starts), len(place.finished)) == (4, 2), lambda: process.poll() is None)
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    assert process.stdout is not None
    line = next(line for line in process.stdout if "once more" in line)
    assert "seed=1: the machine " in line
    if stopped:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 130
        wait(lambda: not children(place))
        return
    cluster.add_node(num_cpus=2, num_gpus=0)
    wait(lambda: len(place.starts) == 5, lambda: process.poll() is None)
    (place.data / "hold").unlink()
    shown, _ = process.communicate()
    assert process.returncode == 0, shown
    assert (len(place.finished), len(place.starts)) == (4, 5)


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_folder(place: Place, cluster: Any, tmp_path: Path) -> None:
    """A machine in whose view of the file system another folder lies over the output folder."""
    place.output.mkdir()
    ray = f"{sys.executable} -m ray.scripts.scripts start --address {cluster.address} --num-cpus 2 --block"
    hidden = f"mount -t tmpfs none {place.output} && exec {ray}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to mount (root)")
    blind = subprocess.Popen(["unshare", "-m", "sh", "-c", hidden], stdout=subprocess.DEVNULL)
    try:
        shown = ""
        for _ in range(100):  # until the cluster knows it
            process = sweep(place, cluster.address)
            shown, _ = process.communicate()
            if process.returncode:
                break
            shutil.rmtree(place.output / "parsing")
        assert f"does not see the folder {place.output}, or another one of that name" in shown
        assert "pixel-m4: the machine " in shown
        assert "Traceback" not in shown
    finally:
        for each in [*psutil.Process(blind.pid).children(recursive=True), blind]:
            each.kill()
        blind.wait()


def test_no_cluster_answers(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))  # it is not asked
    assert place.run("--engine", "ray", "--ray_address", "127.0.0.1:1") == 1
    assert "no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    assert place.run("--engine", "ray") == 1
    assert "no Ray cluster at 127.0.0.1:2" in capsys.readouterr().err
    assert not place.starts


@pytest.mark.slow
def test_a_cluster_of_its_own(place: Place) -> None:
    """It is started for the sweep, without a dashboard, and ends with it."""
    pytest.importorskip("ray", reason="needs Ray: install pixel-m4[ray]")
    (place.data / "hold").touch()
    process = sweep(place, "local")
    wait(lambda: any("seed=1" in line for line in place.starts), lambda: process.poll() is None)
    started = {
        each: " ".join(each.cmdline()) for each in psutil.Process(process.pid).children(recursive=True)
    }
    names = " ".join(started.values())
    assert "raylet" in names
    assert "dashboard.py" not in names or "--disable-frontend" in names
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # Its agents look for the others now and then only; what computes is gone at once.
    watched = [each for each, name in started.items() if "gent" not in name]
    assert len(watched) >= 3
    psutil.wait_procs(watched)
    assert not children(place)
