"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The models of the tests are so small that threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with specs, goldens and real data beside the checkout; tests skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("PIXEL_M4_SHARED", default))
    if not path.is_dir():
        pytest.skip(f"needs the shared data folder; looked for {path} (set PIXEL_M4_SHARED to its place)")
    return path


@pytest.fixture(scope="session")
def save_parser() -> Callable[..., Path]:
    """Saves a tiny parser with random weights and its renderer; takes the folder and options of parsing."""

    def save(folder: Path, **options: Any) -> Path:
        import torch

        from pixel_m4 import PixelConfig, PixelForBiaffineParsing, TextRenderer
        from pixel_m4.tasks.parsing import Parsing, ParsingOptions

        task = Parsing(TextRenderer(max_seq_length=49), options=ParsingOptions(**options))
        config = PixelConfig.named("nano", max_seq_length=49)
        task.configure(config)
        torch.manual_seed(0)
        PixelForBiaffineParsing(config).save_pretrained(folder)
        task.renderer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def save_encoder() -> Callable[..., Path]:
    """Saves a tiny BERT or RoBERTa with random weights, and a tokenizer that is trained on texts here."""

    def save(folder: Path, texts: list[str], kind: str = "bert", **sizes: Any) -> Path:
        import torch
        from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
        from transformers import (
            BertConfig,
            BertForMaskedLM,
            BertTokenizer,
            RobertaConfig,
            RobertaForMaskedLM,
            RobertaTokenizer,
        )

        folder.mkdir(parents=True, exist_ok=True)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **sizes}
        sizes = {"intermediate_size": 64, "max_position_embeddings": 66, **sizes}
        torch.manual_seed(0)
        if kind == "bert":
            pieces = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
            pieces.train_from_iterator(texts, vocab_size=300, show_progress=False)
            tokenizer = BertTokenizer(vocab=pieces.get_vocab(), do_lower_case=False, strip_accents=False)
            model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes))
        else:
            special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
            pairs = ByteLevelBPETokenizer()
            pairs.train_from_iterator(texts, vocab_size=400, special_tokens=special, show_progress=False)
            pairs.save_model(str(folder))
            tokenizer = RobertaTokenizer.from_pretrained(folder)
            numbers = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
            model = RobertaForMaskedLM(RobertaConfig(vocab_size=len(tokenizer), **numbers, **sizes))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


# A program that is started in the background ignores Ctrl-C, and so do all that it starts; here it is sent.
signal.signal(signal.SIGINT, signal.default_int_handler)
