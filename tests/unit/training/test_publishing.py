"""Uploads, up to the calls that would leave this machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard_data import model_index_to_eval_results
from huggingface_hub.utils import filter_repo_objects
from transformers import TrainingArguments

from pixel_m4 import PixelConfig, PixelModel, PixelProcessor
from pixel_m4.cli.main import main
from pixel_m4.render import TextRenderer
from pixel_m4.training.publishing import check_hub, published_files

LINE = "1\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"


class Hub:
    """What stands for the hub: keeps what it is asked to."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        self.commits: list[list[str]] = []
        self.refuses = False

    def create_repo(self, _: HfApi, repo_id: str, **options: Any) -> Any:
        if self.refuses:
            response: Any = SimpleNamespace(headers={}, request=None, status_code=403)
            raise HfHubHTTPError("403 Forbidden\n\nYou have no right to write here.", response=response)
        self.made.append({"repo_id": repo_id, **options})
        return SimpleNamespace(repo_id=repo_id if "/" in repo_id else f"me/{repo_id}")

    def upload_folder(self, _: HfApi, *, folder_path: Path, allow_patterns: list[str], **options: Any) -> Any:
        every = [path.relative_to(folder_path).as_posix() for path in Path(folder_path).rglob("*")]
        files = sorted(filter_repo_objects(every, allow_patterns=allow_patterns))
        card = (Path(folder_path) / "README.md").read_text(encoding="utf-8")
        self.uploads.append({"files": files, "card": card, **options})
        return SimpleNamespace(commit_url=f"https://hub/{options['repo_id']}/commit/1")

    def create_commit(self, _: HfApi, *, repo_id: str, operations: list[Any], **options: Any) -> Any:
        self.commits.append(sorted(operation.path_in_repo for operation in operations))
        return SimpleNamespace(commit_url="https://hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    for name in ("create_repo", "upload_folder", "create_commit"):
        call = getattr(hub, name)
        monkeypatch.setattr(HfApi, name, lambda api, *args, _call=call, **kwargs: _call(api, *args, **kwargs))
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 30)
    return hub


def command(folder: Path, *options: str) -> list[str]:
    data = folder / "UD_Tamil-TTB"
    data.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        (data / f"ta_ttb-ud-{split}.conllu").write_text(LINE * 4, encoding="utf-8")
    small = ["--config_name", "nano", "--max_seq_length", "16", "--max_steps", "1", "--report_to", "none"]
    places = ["--data_dir", str(data), "--output_dir", str(folder / "run"), "--disable_tqdm", "true"]
    return ["finetune", "pos", *places, *small, *options]


def test_a_run_uploads_its_model_renderer_and_card_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    options = ["--push_to_hub", "true", "--hub_model_id", "me/tagger", "--hub_private_repo", "true"]
    options += ["--save_steps", "1", "--eval_steps", "1", "--hub_revision", "trial"]
    assert main(command(tmp_path, *options)) == 0
    assert (tmp_path / "run" / "run.json").exists()
    assert {"repo_id": "me/tagger", "private": True}.items() <= hub.made[0].items()
    (upload,) = hub.uploads
    assert upload["files"] == [
        *("README.md", "all_results.json", "config.json", "model.safetensors", "text_renderer_config.json"),
    ]
    assert (upload["repo_id"], upload["revision"]) == ("me/tagger", "trial")
    card = ModelCard(upload["card"])
    assert card.data.pipeline_tag == "token-classification"
    assert card.data.library_name == "pixel-m4"
    assert (card.data.base_model, card.data.datasets) == (None, None)
    name, results = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert name == "tagger"
    found = {(one.task_type, one.dataset_name, one.dataset_split, one.metric_type) for one in results}
    assert ("token-classification", "UD_Tamil-TTB", "test", "accuracy") in found
    assert 'pixel_m4.load("me/tagger")' in upload["card"]


def test_an_upload_that_is_refused_is_told_before_training(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuses = True
    assert main(command(tmp_path, "--push_to_hub", "true", "--hub_model_id", "other/tagger")) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "push_to_hub" in line]
    assert "no repository other/tagger on the hub that can be written" in line
    assert "no right to write here" in line
    assert not list((tmp_path / "run").glob("model*"))


def test_settings_of_an_upload_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))

    def settings(**options: Any) -> TrainingArguments:
        return TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True, **options)

    with pytest.raises(ValueError, match="--hub_model_id is for uploads: write --push_to_hub true"):
        check_hub(settings(hub_model_id="me/x"))
    with pytest.raises(ValueError, match="without --do_train there is none"):
        check_hub(settings(push_to_hub=True))
    with pytest.raises(ValueError, match="needs a login: `hf auth login`"):
        check_hub(settings(push_to_hub=True, do_train=True))
    check_hub(settings(push_to_hub=True, do_train=True, hub_token="hf_" + "b" * 30))
    check_hub(settings())


def test_fonts_of_a_folder_are_uploaded_logs_and_predictions_are_not(tmp_path: Path) -> None:
    wanted = ["My[wght].ttf", "README.md", "config.json", "fallback_fonts/a.otf", "model.safetensors"]
    others = [
        "run.json",
        "test_predictions.conllu",
        "checkpoint-1/model.safetensors",
        "tensorboard/x",
        "a.log",
    ]
    for file in (*wanted, *others):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert published_files(tmp_path) == wanted


def test_models_and_processors_have_the_upload_of_transformers(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelCard, "load", lambda *args, **kwargs: ModelCard("---\ntags:\n- pixel\n---\n"))
    PixelModel(PixelConfig.named("nano", max_seq_length=16)).push_to_hub("me/model")
    PixelProcessor(TextRenderer(max_seq_length=16)).push_to_hub("me/model")
    assert hub.commits == [
        ["README.md", "config.json", "model.safetensors"],
        ["README.md", "text_renderer_config.json"],
    ]
