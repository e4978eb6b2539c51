"""Names of shipped checkpoints stand for folders of the package."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from pixel_m4 import embed, load, shipped
from pixel_m4.checkpoint import Checkpoint
from pixel_m4.cli.main import main
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForTokenClassification,
)
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import PRETRAINED, SHIPPED, find_model, find_shipped, is_hub_name


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_name_is_a_folder(name: str) -> None:
    assert (Path(find_shipped(name)) / "config.json").is_file()
    assert find_shipped(Path(name)) == find_shipped(name)


def test_other_names_stay(tmp_path: Path) -> None:
    for name in ("base", "team/pixel-m4", tmp_path, None):
        assert find_shipped(name) is name


def test_a_folder_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(SHIPPED[0]).mkdir()
    assert find_shipped(SHIPPED[0]) == SHIPPED[0]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_checkpoint_loads_by_its_name(name: str) -> None:
    model_class = PixelForPreTraining if name in PRETRAINED else PixelForBiaffineParsing
    model, info = model_class.from_pretrained(name, output_loading_info=True)
    assert not any(info.values()), info
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}  # can be trained
    assert Checkpoint.open(name).dtypes == ("float16",)
    assert Checkpoint.open(name).size <= 16_000_000
    assert (Path(find_shipped(name)) / "README.md").is_file()


def test_shipped_weights_are_small() -> None:
    assert sum(Checkpoint.open(name).size for name in SHIPPED) <= 24_000_000


@pytest.mark.parametrize(
    "text", ["My cat loves oatmeal, and so do I.", "Моя кішка любить вівсянку.", "我的猫喜欢燕麦片。"]
)
def test_the_shipped_model_knows_text_from_noise(text: str) -> None:
    """It predicts hidden patches of text better than those of the same patches in another order."""
    model = PixelForPreTraining.from_pretrained(SHIPPED[0]).eval()
    renderer = TextRenderer.from_pretrained(SHIPPED[0])
    assert renderer.max_seq_length == model.config.max_seq_length
    pixels = torch.from_numpy(renderer(text).pixel_values)[None]
    patches = renderer(text).num_text_patches
    pixels = pixels[..., : 16 * patches]
    order = torch.randperm(patches, generator=torch.Generator().manual_seed(0))
    shuffled = pixels.unflatten(2, (patches, 16))[:, :, order].flatten(2)
    losses = []
    for strip, places in ((pixels, torch.arange(patches)), (shuffled, order.argsort())):
        total = 0.0
        for place in places.tolist():
            mask = torch.zeros(1, patches)
            mask[0, place] = 1
            with torch.no_grad():
                total += model(strip, patch_mask=mask, mask_ratio=0.5 / patches).loss.item()
        losses.append(total)
    assert losses[0] < losses[1]


# Names that stand for no folder


@pytest.mark.parametrize(
    "name",
    [
        "runs/nosuch", "outputs/x", "runs/nosuch/checkpoint-5",
        "./typo", "../typo", "~/typo-of-a-model", "/typo/model", "here/typo",
        "typo", "typo/", "with space/model", "", "a//b", "Team-PIXEL/pixel-base/",
    ],
)  # fmt: skip
def test_what_looks_like_a_path_is_never_asked_for_at_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("pixel_m4.shipped._ask_hub", lambda *_: pytest.fail("asked"))
    with pytest.raises(FileNotFoundError, match="there is no model folder") as caught:
        find_model(name)
    assert repr(name) in str(caught.value)
    with pytest.raises(FileNotFoundError, match="there is no model folder"):
        find_model(Path("owner/name"))  # a path is a path


def test_names_nearby_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "parser").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="is 'runs/parser' meant"):
        find_model("runs/praser")
    with pytest.raises(FileNotFoundError, match="is 'pixel-m4-tiny' meant"):
        find_model("pixel-m4-tin")
    (tmp_path / "runs" / "parser" / "config.json").touch()
    with pytest.raises(NotADirectoryError, match="is a file; give the model's folder, such as 'runs/parser'"):
        find_model("runs/parser/config.json")


def test_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find_model("owner/name") == "owner/name"
    assert find_model("~/owner/name") == str(tmp_path / "owner" / "name")
    assert find_model(tmp_path / "owner") == str(tmp_path / "owner")
    assert find_model(SHIPPED[0]) == find_shipped(SHIPPED[0])
    assert not is_hub_name("owner/name")
    assert not is_hub_name("owner/other")
    assert is_hub_name("team/name")


def test_a_hub_that_is_not_there_costs_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Any
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("pixel_m4.shipped.HUB_SECONDS", 0.3)
    silent = socket.create_server(("127.0.0.1", 0))  # takes the connection and never answers
    with silent:
        for port in (silent.getsockname()[1], 1):  # nobody listens on port 1
            url = f"http://127.0.0.1:{port}"
            monkeypatch.setattr(
                constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/{revision}/{filename}"
            )
            start = time.monotonic()
            with pytest.raises(
                OSError, match="there is no folder 'team/x' here, and the hub cannot be reached"
            ):
                find_model("team/x")
            assert time.monotonic() - start < 2
    snapshot = tmp_path / "models--team--x" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--team--x" / "refs").mkdir()
    (tmp_path / "models--team--x" / "refs" / "main").write_text("abc")
    assert find_model("team/x") == find_model("team/x", local_files_only=True) == str(snapshot)
    with pytest.raises(FileNotFoundError, match="no earlier download"):
        find_model("team/y", local_files_only=True)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/{revision}/{filename}"
    )
    with pytest.raises(FileNotFoundError, match="no folder 'team/y' here, and no such model on the hub"):
        find_model("team/y")
    server.content["/team/there/main/config.json"] = b"{}"
    assert find_model("team/there") == "team/there"


def test_auto_classes_know_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder, and what looks like a path is never asked for at the hub."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    PixelConfig.named("nano").save_pretrained(tmp_path / "m")
    assert AutoConfig.from_pretrained("~/m").hidden_size == 48
    assert AutoConfig.from_pretrained("./m/config.json").hidden_size == 48
    for name in ("~/none", "./none", str(tmp_path / "none"), "here/none"):
        for auto in (AutoConfig, AutoModel, AutoModelForTokenClassification):
            with pytest.raises(FileNotFoundError, match=f"there is no model folder {name!r}"):
                auto.from_pretrained(name)


SIMPLE = """The old man reads a book . / DET ADJ NOUN VERB DET NOUN PUNCT / 4
Die Frau liest ein Buch . / DET NOUN VERB DET NOUN PUNCT / 3
El niño come una manzana . / DET NOUN VERB DET NOUN PUNCT / 3
Le chat dort . / DET NOUN VERB PUNCT / 3
Η γάτα κοιμάται . / DET NOUN VERB PUNCT / 3
Мальчик читает книгу . / NOUN VERB NOUN PUNCT / 2"""


def test_the_shipped_parser_reads_simple_sentences() -> None:
    """Tags and roots that anybody can check; most of them must be right, not all."""
    words, tags, roots = zip(*(line.split(" / ") for line in SIMPLE.splitlines()), strict=True)
    parsed = [each.tree for each in load("pixel-m4-ud").predict(words)]
    assert [" ".join(tree.words) for tree in parsed] == list(words)
    right = [
        a == b
        for tree, gold in zip(parsed, tags, strict=True)
        for a, b in zip(tree.upos, gold.split(), strict=True)
    ]
    assert sum(right) >= 0.75 * len(right)
    found = [tree.heads.index(0) + 1 for tree in parsed]
    assert sum(a == int(b) for a, b in zip(found, roots, strict=True)) >= 4


def test_text_models_may_be_named_without_their_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def answers(name: str, *_: Any) -> None:
        asked.append(name)

    monkeypatch.setattr(shipped, "_ask_hub", answers)
    monkeypatch.setattr(shipped, "_reached", set())
    assert is_hub_name("xlm-roberta-base")
    assert find_model("xlm-roberta-base") == "FacebookAI/xlm-roberta-base" == asked[0]
    (tmp_path / "xlm-roberta-base").mkdir()  # a folder of the user's comes first
    assert not is_hub_name("xlm-roberta-base")
    assert find_model("xlm-roberta-base") == "xlm-roberta-base"
    with pytest.raises(FileNotFoundError, match="there is no model folder 'bert-of-mine'"):
        find_model("bert-of-mine")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub cannot be reached; two revisions of a tagger are in its cache, the second as main."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--team--tagger"
    commits = {"v1": "1" * 40, "main": "2" * 40}
    for (name, commit), labels in zip(commits.items(), (["A", "B"], ["C", "D", "E"]), strict=True):
        snapshot = repository / "snapshots" / commit
        names = dict(enumerate(labels))
        config = PixelConfig.named("nano", max_seq_length=16, id2label=names, task="pos")
        PixelForTokenClassification(config).save_pretrained(snapshot)
        TextRenderer(max_seq_length=16).save_pretrained(snapshot)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(commit)
    return tmp_path


def test_a_revision_of_a_model_is_opened_wherever_it_is_named(
    cached: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, revision in (("team/tagger@v1", None), ("team/tagger", "v1"), ("team/tagger", "1" * 40)):
        assert load(name, revision=revision).labels == ["A", "B"]
        assert Checkpoint.open(name, revision=revision).labels == ["A", "B"]
    assert load("team/tagger").labels == ["C", "D", "E"]
    assert PixelForTokenClassification.from_pretrained("team/tagger@v1").config.num_labels == 2
    assert embed(["a"], "team/tagger", revision="v1").shape == (1, 48)
    text = tmp_path / "text.txt"
    text.write_text("one two\n", encoding="utf-8")
    for command, labels in (
        (["predict", "team/tagger", str(text), "--model_revision", "v1"], "AB"),
        (["predict", "team/tagger", str(text)], "CDE"),
    ):
        assert main(command) == 0
        rows = [row.split("\t") for row in capsys.readouterr().out.splitlines() if row[:1].isdigit()]
        assert {row[3] for row in rows} <= set(labels)
    assert main(["info", "team/tagger", "--model-revision", "v1"]) == 0
    assert "2: A, B" in capsys.readouterr().out


def test_revisions_that_are_wrong_are_told(cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        OSError, match="revision 'v9' of team/tagger is not among earlier downloads, and the hub"
    ):
        load("team/tagger", revision="v9")
    with pytest.raises(
        ValueError, match=r"revision 'v1' is for names on the hub \(owner/name\), not for pixel"
    ):
        load("pixel-m4-ud", revision="v1")
    with pytest.raises(ValueError, match="team/tagger@v1 and revision v2 name two revisions"):
        load("team/tagger@v1", revision="v2")
    with pytest.raises(ValueError, match="revision 'a b' can be none"):
        load("team/tagger", revision="a b")
    assert main(["predict", "pixel-m4-ud", "--model_revision", "v1"]) == 1
    assert "--model_revision 'v1' is for names on the hub" in capsys.readouterr().err


def test_fine_tuning_starts_from_a_revision() -> None:
    arguments = FinetuneArguments(model_name_or_path="team/tagger", model_revision="v1")
    assert arguments.model_name_or_path == "team/tagger@v1"
    assert replace(arguments, split_seed=1).model_name_or_path == "team/tagger@v1"
    with pytest.raises(ValueError, match="--model_revision is for the checkpoint"):
        FinetuneArguments(config_name="nano", model_revision="v1")
