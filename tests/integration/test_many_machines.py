"""Two machines, as two launchers on one: what they train, and what comes of it when a process is lost."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from test_finetuning_runs import make_treebank
from test_pretraining_runs import make_corpus
from test_two_processes import OPTIONS, begin, finish, results, wait_for, weights

from pixel_m4.training.saving import whole_checkpoints

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "configs" / "slurm-pretrain.sbatch"
PRETRAIN = shlex.split(
    """
    --config_name nano --max_seq_length 64 --total_batch_size 8 --per_device_train_batch_size 2
    --learning_rate 1e-3 --validation_blocks 0 --picture_steps 0 --disable_tqdm true --report_to none
    --use_cpu true --max_steps 24 --save_steps 6 --optim muon
    """
)


@pytest.fixture(autouse=True)
def new_meeting_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/clusters.md says: otherwise processes look for the addresses of those of an earlier start."""
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"))
    return ["pretrain", "--data_dir", str(corpus), *PRETRAIN]


@pytest.fixture(scope="module")
def whole(pretraining: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of one machine train, undisturbed."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    finish(begin([*pretraining, "--output_dir", str(output)]))
    return output


def begin_on_two_machines(words: list[str], *options: str) -> list[subprocess.Popen[str]]:
    """Two launchers that meet at a free port, with a process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    meet = f"--rdzv_backend c10d --rdzv_endpoint {endpoint} --local_addr 127.0.0.1"
    launch = f"--nnodes 2 --nproc_per_node 1 {meet} {' '.join(options)}"
    return [begin(words, launch) for _ in range(2)]


def kill_rank(launcher: subprocess.Popen[str], rank: int) -> bool:
    """Kill a process of a training that this launcher has started, as a machine's failure would."""
    for process in psutil.Process(launcher.pid).children():
        if process.environ().get("RANK") == str(rank):
            process.send_signal(signal.SIGKILL)
            return True
    return False


def test_two_machines_train_what_one_does(pretraining: list[str], whole: Path, tmp_path: Path) -> None:
    for launcher in begin_on_two_machines([*pretraining, "--output_dir", str(tmp_path / "two")]):
        finish(launcher)
    assert weights(tmp_path / "two") == weights(whole)
    assert results(tmp_path / "two")["train_loss"] == results(whole)["train_loss"]


def test_pretraining_survives_the_loss_of_a_process(
    pretraining: list[str], whole: Path, tmp_path: Path
) -> None:
    """It was to start anew in the folder of an earlier run: what that has written is no way to go on."""
    output = tmp_path / "lost"
    shutil.copytree(whole, output)
    words = [*pretraining, "--output_dir", str(output), "--seed", "7", "--overwrite_output_dir"]
    # Both machines count the loss: on one a process was killed, on the other it failed when that was gone.
    launchers = begin_on_two_machines(words, "--max_restarts", "3")
    while (output / "checkpoint-24").exists():  # of the earlier run
        assert all(launcher.poll() is None for launcher in launchers)
    wait_for(launchers[0], output / "checkpoint-6")
    assert any(kill_rank(launcher, 1) for launcher in launchers)
    said = "".join(map(finish, launchers))
    assert "torchrun has started this run again: it goes on from" in said
    undisturbed = tmp_path / "undisturbed"
    finish(begin([*pretraining, "--seed", "7", "--output_dir", str(undisturbed)]))
    assert weights(output) == weights(undisturbed) != weights(whole)


@pytest.mark.parametrize("rank", [0, 1])
def test_fine_tuning_survives_the_loss_of_a_process(tmp_path: Path, rank: int) -> None:
    treebank = make_treebank(tmp_path / "ud", {"train": 40, "dev": 7, "test": 9})
    words = ["finetune", "parsing", "--data_dir", str(treebank), *OPTIONS, "--overwrite_output_dir"]
    undisturbed, output = tmp_path / "undisturbed", tmp_path / "lost"
    finish(begin([*words, "--output_dir", str(undisturbed)]))
    launch = "--standalone --nproc_per_node 2 --max_restarts 1"
    launcher = begin([*words, "--output_dir", str(output)], launch)
    wait_for(launcher, output / "checkpoint-4")
    assert kill_rank(launcher, rank)
    assert "torchrun has started this run again: it goes on from" in finish(launcher)
    assert weights(output) == weights(undisturbed)
    assert results(output) == pytest.approx(results(undisturbed))


SLURM = {
    "scontrol": """
        if [ "$1" = requeue ]; then echo "$2" >> "$REQUEUED"; else printf '%s\\n' 127.0.0.1 127.0.0.1; fi
    """,
    "srun": """
        while [ "${1#--}" != "$1" ]; do shift; done
        for node in $(seq 0 $((SLURM_JOB_NUM_NODES - 1))); do
            SLURM_NODEID=$node SLURM_PROCID=$node "$@" &
            tasks="${tasks-} $!"
        done
        trap 'kill -TERM $tasks' TERM
        code=0
        for task in $tasks; do
            wait $task || code=$?
            wait $task || code=$?
        done
        exit $code
    """,
    "torchrun": 'exec "$PYTHON" -m torch.distributed.run --local_addr 127.0.0.1 "$@"',
}
"""Stand-ins: they start and signal tasks as Slurm does, on one machine."""


def test_a_slurm_job_goes_on_in_the_next_one(
    pretraining: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script as it is: its time is over in the middle, it asks for a next job, and ends in that."""
    for name, text in SLURM.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        file.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RDZV_PORT", str(free.getsockname()[1]))
    monkeypatch.delenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[1-2]"}
    for name, value in {**job, "PYTHON": sys.executable, "REQUEUED": str(tmp_path / "requeued")}.items():
        monkeypatch.setenv(name, value)
    output = tmp_path / "job"
    command = ["bash", str(SCRIPT), *pretraining[1:], "--output_dir", str(output), "--overwrite_output_dir"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process: subprocess.Popen[str] = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    wait_for(process, output / "checkpoint-6")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode != 0
    assert (tmp_path / "requeued").read_text() == "77\n", said
    assert {path.name for path in whole_checkpoints(output)} < {
        "checkpoint-6",
        "checkpoint-10",
        "checkpoint-20",
    }
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    assert "Slurm has started this run again: it goes on from" in finish(process)
    assert (tmp_path / "requeued").read_text() == "77\n"
    assert weights(output) == weights(whole)
