from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pixel_m4.model.text_config import TextConfig, read_config
from pixel_m4.subwords.tokenizer import SubwordTokenizer, open_tokenizer
from pixel_m4.tasks.spans import answer_patches, span_characters

SENTENCES = [
    "The cat sleeps on the mat .",
    "A dog barks at the moon !",
    "Hà Nội là thủ đô của Việt Nam",
    "мама мыла раму",
]
# Emoji, marks without letters, unknown letters, full-width forms, a zero-width space, a control character.
ODD = [
    "😀",
    "👩‍👩‍👧",
    "e\u0301",
    "\u0301",
    "漢字",
    "ＡＢ",
    "\u200b",
    "\ufeff",
    "\x07",
    "[SEP]",
    "</s>",
    "don't",
    "cat",
]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_encoder: Callable[..., Path],
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return save_encoder(folder, 20 * SENTENCES, request.param, max_position_embeddings=130)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> SubwordTokenizer:
    return open_tokenizer(folder, read_config(folder))


def sentencepiece() -> PreTrainedTokenizerFast:
    """As XLM-R: unigrams, a sign for the space before a word, two separators in a pair."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(20 * SENTENCES, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def test_a_text_is_cut_as_by_its_own_tokenizer(folder: Path, tokenizer: SubwordTokenizer) -> None:
    theirs = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer.batch(SENTENCES)
    for row, mask, sentence in zip(batch["input_ids"], batch["attention_mask"], SENTENCES, strict=True):
        # Words are cut as inside of a text: RoBERTa's first one, too.
        expected = theirs(f" {sentence}" if "roberta" in str(folder) else sentence)["input_ids"]
        assert row[: len(expected)].tolist() == expected
        assert (row[len(expected) :] == theirs.pad_token_id).all()
        assert mask.sum() == len(expected) - 1
    assert (batch["input_ids"].shape[1], batch["attention_mask"].shape[1]) == (
        batch.num_text_patches.max() + 2,
        batch.num_text_patches.max() + 1,
    )


def test_pairs_are_framed_as_by_their_own_tokenizer(folder: Path, tokenizer: SubwordTokenizer) -> None:
    theirs = AutoTokenizer.from_pretrained(folder)
    pair = ("The cat", "a dog barks")
    space = " " if "roberta" in str(folder) else ""
    expected = theirs(space + pair[0], space + pair[1])
    batch = tokenizer.batch([pair], return_tensors="pt")
    assert batch["input_ids"][0].tolist() == expected["input_ids"]
    assert ("token_type_ids" in batch) == ("token_type_ids" in expected)
    if "token_type_ids" in expected:
        assert batch["token_type_ids"][0].tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("kind", ["of a folder", "sentencepiece"])
def test_words_begin_where_they_are_said_to(tokenizer: SubwordTokenizer, kind: str) -> None:
    if kind == "sentencepiece":
        tokenizer = SubwordTokenizer(sentencepiece())
    widths = tokenizer.measure(ODD)
    assert min(widths) >= 1
    batch = tokenizer.batch([ODD, ["cat"]])
    assert batch.word_starts[0].tolist() == [0, *np.cumsum(widths)]
    assert batch.word_starts[1].tolist() == [0, *tokenizer.measure(["cat"]), *[-100] * (len(ODD) - 1)]
    assert batch.num_text_patches.tolist() == [sum(widths), *tokenizer.measure(["cat"])]
    for word, start, stop in zip(ODD, batch.word_starts[0], batch.word_starts[0][1:], strict=False):
        alone = tokenizer.batch([[word]])["input_ids"][0, 1:-1]
        assert batch["input_ids"][0, 1 + start : 1 + stop].tolist() == alone.tolist()
    assert [len(row) for row in tokenizer.measure_texts(["a cat", "", "moon"])] == [2, 0, 1]


def test_text_is_never_a_special_token(tokenizer: SubwordTokenizer) -> None:
    special = set(tokenizer.tokenizer.all_special_ids) - {tokenizer.tokenizer.unk_token_id}
    for text in ("[SEP]", "[MASK]", "</s>", "<mask>", "<pad>"):
        assert not special & set(tokenizer.batch([text])["input_ids"][0, 1:-1].tolist())


def test_what_it_makes_nothing_of_is_unknown(tmp_path: Path, save_encoder: Callable[..., Path]) -> None:
    folder = save_encoder(tmp_path, 20 * SENTENCES)
    bert = open_tokenizer(folder, read_config(folder))
    unknown = bert.tokenizer.unk_token_id
    assert bert.batch([["\x07", "cat"]])["input_ids"][0, 1] == unknown
    assert bert.offsets(["\x07", "cat"]).spans[:2].tolist() == [[0, 1], [2, 5]]


@pytest.mark.parametrize("kind", ["of a folder", "sentencepiece"])
def test_answers_go_to_sub_words_and_back(tokenizer: SubwordTokenizer, kind: str) -> None:
    if kind == "sentencepiece":
        tokenizer = SubwordTokenizer(sentencepiece())
    context = "  The  cat (e\u0301te\u0301) 😀😀 漢字 sleeps\non the mat ."
    offsets = tokenizer.offsets(("The cat ?", context))
    ids = tokenizer.batch([("The cat ?", context)])["input_ids"][0]
    assert len(offsets.spans) == len(ids) - 1
    assert offsets.text_of_patch[-1] == -1
    for answer in ("cat", "e\u0301te\u0301", "😀😀", "漢字", "sleeps\non the mat", "The"):
        start = context.index(answer)
        found = answer_patches(offsets, start, start + len(answer))
        assert found is not None
        first, last = found
        assert (offsets.text_of_patch[first : last + 1] == 1).all()
        begin, end = span_characters(offsets, first, last, context)
        assert begin <= start  # a sub-word may hold more than the answer
        assert end >= start + len(answer)
        if tokenizer.measure([answer])[0] > 1 or answer in ("cat", "The"):
            assert context[begin:end].strip("()") == answer
    texts = ("The cat ?", context)
    for place, token in enumerate(tokenizer.tokenizer.convert_ids_to_tokens(ids[1:-1])):
        letters = token.removeprefix("##").lstrip("Ġ▁")
        if letters.isascii() and letters and offsets.text_of_patch[place] >= 0 and "[" not in letters:
            begin, end = offsets.spans[place]
            assert letters in ("<unk>", texts[offsets.text_of_patch[place]][begin:end])
    for char, places in enumerate(offsets.patches[1]):  # all characters of words are somewhere
        assert (places[0] < 0) == context[char].isspace()


def test_offsets_of_words_that_were_given_as_a_list(tokenizer: SubwordTokenizer) -> None:
    words = ["The", "cat sleeps", "on"]
    offsets, widths = tokenizer.offsets(words), tokenizer.measure(words)
    assert offsets.word_of_patch.tolist() == [0] * widths[0] + [1] * widths[1] + [2] * widths[2] + [-1]
    assert offsets.spans[widths[0], 0] == 4


def test_what_does_not_fit_is_cut_off(folder: Path) -> None:
    tokenizer = open_tokenizer(folder, read_config(folder), max_seq_length=10)
    text = " ".join(["moon"] * 30)
    batch = tokenizer.batch([text, ("cat", text), (text, "cat")])
    assert batch["input_ids"].shape == (3, 10)
    assert (batch["input_ids"][:, -1] == tokenizer.batch(["cat"])["input_ids"][0, -1]).all()
    assert batch.word_starts.max() == 8
    offsets = tokenizer.offsets(("cat", text))
    assert len(offsets.spans) == 9
    assert answer_patches(offsets, len(text) - 4, len(text)) is None
    assert answer_patches(offsets, 0, 4) is not None
    assert (tokenizer.capacity, tokenizer.between) == (8, 2 if "roberta" in str(folder) else 1)


def test_it_can_be_pickled_and_saved(tokenizer: SubwordTokenizer, tmp_path: Path, folder: Path) -> None:
    again = pickle.loads(pickle.dumps(tokenizer))
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    saved = open_tokenizer(tmp_path, read_config(tmp_path))
    for other in (again, saved):
        assert other.digest == tokenizer.digest
        assert (
            other.batch(SENTENCES)["input_ids"].tolist() == tokenizer.batch(SENTENCES)["input_ids"].tolist()
        )


def test_truncation_and_padding_of_its_file_have_no_effect(folder: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(folder)
    theirs.backend_tokenizer.enable_truncation(4)
    theirs.backend_tokenizer.enable_padding(length=40)
    plain, bent = SubwordTokenizer(AutoTokenizer.from_pretrained(folder)), SubwordTokenizer(theirs)
    assert bent.batch(SENTENCES)["input_ids"].tolist() == plain.batch(SENTENCES)["input_ids"].tolist()


def test_bad_tokenizers_are_refused(tmp_path: Path, folder: Path) -> None:
    config = read_config(folder)
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer \(tokenizer\.json"):
        open_tokenizer(tmp_path, config)
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ValueError, match=f"the tokenizer of {tmp_path} cannot be read"):
        open_tokenizer(tmp_path, config)
    bare = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(ValueError, match="puts no single token such as"):
        SubwordTokenizer(PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="[UNK]"))
    few = TextConfig({**config.encoder_config.to_dict(), "vocab_size": 50})
    with pytest.raises(ValueError, match=r"its tokenizer knows .* sub-words and its model 50"):
        open_tokenizer(folder, few)
    with pytest.raises(ValueError, match=r"--font_file x\.ttf is for pixel models"):
        open_tokenizer(folder, config, renderer=None, font_file="x.ttf")
    room = 130 if config.encoder_config.model_type == "bert" else 128  # RoBERTa never uses two of its rows
    assert open_tokenizer(folder, config, max_seq_length=room).max_seq_length == room
    with pytest.raises(ValueError, match=f"max_seq_length 131: the model has positions for {room} sub-words"):
        open_tokenizer(folder, config, max_seq_length=131)

    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="Slow is a slow tokenizer"):
        SubwordTokenizer(Slow())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_seq_length must be at least"):
        open_tokenizer(folder, config, max_seq_length=4)


def test_bad_texts_are_named(tokenizer: SubwordTokenizer) -> None:
    with pytest.raises(TypeError, match=r"texts\[1\]"):
        tokenizer.batch(["a", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="return_tensors must be"):
        tokenizer.batch(["a"], return_tensors="tf")
