from __future__ import annotations

import os
import signal
import time

import pytest

from pixel_m4.cli.main import _how
from pixel_m4.console import stopping as module
from pixel_m4.console.stopping import Stopped, Stopping


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(0.01)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_work_stops_at_once_if_nobody_is_patient(signum: int, code: int) -> None:
    before = signal.getsignal(signum)
    with Stopping().listening(), pytest.raises(Stopped) as stop:
        send(signum)
    assert stop.value.exit_code == code
    assert signal.getsignal(signum) is before


def test_a_patient_one_is_asked_and_a_second_wish_stops_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stopping = Stopping()
    with stopping.listening(), stopping.patient():
        send(signal.SIGINT)
        assert stopping.asked == signal.SIGINT
        send(signal.SIGTERM)  # a launcher passes the same wish on
        assert "after this step" in capfd.readouterr().err
        monkeypatch.setattr(module, "_ONE_SIGNAL", 0.0)
        with pytest.raises(Stopped):
            send(signal.SIGINT)


def test_a_worker_leaves_it_to_the_main_process(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Stopping()
    with stopping.listening():
        monkeypatch.setattr(stopping, "_process", -1)  # as after a fork
        for signum in (signal.SIGINT, signal.SIGTERM):
            send(signum)
        assert stopping.asked is None
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # the second one ends it


def test_the_command_that_goes_on_deletes_nothing_and_tells_no_secret() -> None:
    words = ["finetune", "pos", "--overwrite_output_dir", "true", "--seed", "1", "--hub_token", "hf_abc"]
    assert _how(words).startswith("pixel-m4 finetune pos --seed 1 --hub_token ")
    assert "hf_abc" not in _how(words)
    assert _how(["pretrain", "--overwrite_output_dir", "--bf16"]) == "pixel-m4 pretrain --bf16"
    assert _how(["pretrain", "--overwrite-output-dir=true", "x y"]) == "pixel-m4 pretrain 'x y'"
