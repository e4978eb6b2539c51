"""Break the code on purpose, one fault at a time, and see whether the quick tests notice.

Each mutation is a small fault that somebody might make. It is written into a copy of the package outside
of the checkout; then the tests named beside it run there, without the shared data, until one fails. One
that no test sees has survived, and is a hole in the tests. `tests/unit/test_mutants.py` holds the list true
to the code.

    python tests/mutants.py                 # all: a table, and exit code 1 if one survives
    python tests/mutants.py --list          # what there is
    python tests/mutants.py hinting-off     # only these

Every mutation has a process of its own, forked from one that has loaded the libraries but not the package.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("src", "tests", "configs", "pyproject.toml", "constraints.txt", "README.md", "docs")
TIME_LIMIT = 600  # seconds for the tests of one mutation; a fault may also be an endless loop
LIBRARIES = (
    "numpy",
    "torch",
    "transformers",
    "pytest",
    "hypothesis",
    "freetype",
    "uharfbuzz",
    "sklearn.metrics",
)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A fault.

    Attributes:
        name: what is wrong, in a word or two.
        file: below ``src/pixel_m4``.
        old: text that occurs there exactly once.
        new: what stands there instead.
        tests: files below ``tests``, or tests in them, that should notice; the likeliest first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class Outcome(NamedTuple):
    """What came of a run of tests.

    Attributes:
        code: pytest's exit code; -1 if the process ended otherwise, and -2 if it took too long.
        failed: the first test that failed; empty if none did.
        seconds: how long it took.
    """

    code: int
    failed: str
    seconds: float


DIGESTS = "golden/test_rendering_digests.py"
TINY = "golden/test_tiny_model.py"


def _mutations() -> Iterable[Mutation]:
    for row in (
        *_RENDER,
        *_MODEL,
        *_DATA,
        *_TASKS,
        *_TRAIN,
        *_ANALYSIS,
        *_FILES,
        *_TEXT,
        *_ECOSYSTEM,
        *_MANY_MACHINES,
    ):
        name, file, old, new, *tests = row
        yield Mutation(name=name, file=file, old=old, new=new, tests=tuple(tests))


_RENDER = (
    (
        "hinting-off",
        "render/glyphs.py",
        "_LOAD_FLAGS = freetype.FT_LOAD_TARGET_LIGHT |",
        "_LOAD_FLAGS = freetype.FT_LOAD_NO_HINTING |",
        DIGESTS,
    ),
    (
        "text-a-pixel-right",
        "render/atlas.py",
        "placed.append((pen + ink.left, ink))",
        "placed.append((pen + ink.left + 1, ink))",
        DIGESTS,
    ),
    (
        "text-a-pixel-down",
        "render/glyphs.py",
        "self.height / 2 - 2 + self.ascender",
        "self.height / 2 - 1 + self.ascender",
        DIGESTS,
    ),
    (
        "dpi",
        "render/renderer.py",
        "pixel_size = self.font_size * self.dpi / 72",
        "pixel_size = self.font_size * self.dpi / 73",
        DIGESTS,
    ),
    ("font-size", "render/renderer.py", "font_size: float = 8,", "font_size: float = 8.2,", DIGESTS),
    ("ink-does-not-spill", "render/layout.py", "if 0 <= cell < end:", "if False:", DIGESTS),
    (
        "ink-does-not-spill-in-words",
        "render/atlas.py",
        "if not any(unit.spill for unit in units):",
        "if True:",
        DIGESTS,
    ),
    (
        "no-black-patch",
        "render/layout.py",
        "ids = np.append(ids, np.int32(BLACK))",
        "ids = np.append(ids, np.int32(WHITE))",
        DIGESTS,
    ),
    (
        "black-patch-is-padding",
        "render/renderer.py",
        "<= block.num_text_patches[:, None]",
        "< block.num_text_patches[:, None]",
        DIGESTS,
    ),
    (
        "word-starts-one-too-far",
        "render/layout.py",
        "cut = cut.plus(self._cut(words, rtl, drawn, starts))",
        "cut, starts = cut.plus(self._cut(words, rtl, drawn, starts)), [start + 1 for start in starts]",
        DIGESTS,
    ),
    (
        "bidi-base-direction",
        "render/itemize.py",
        'base = int((strong != "L") if rtl is None else rtl)',
        "base = int(bool(rtl))",
        DIGESTS,
        "unit/render/test_strategies.py",
    ),
    (
        "bidi-runs-not-turned",
        "render/itemize.py",
        "order[first:last] = order[first:last][::-1]",
        "order[first:last] = order[first:last]",
        DIGESTS,
    ),
    (
        "right-to-left-needs-all-samples",
        "render/strategies.py",
        'in ("R", "AL") for char in samples) >= 2',
        'in ("R", "AL") for char in samples) >= 3',
        "unit/render/test_strategies.py",
        "unit/render/test_layout.py",
        DIGESTS,
    ),
    (
        "words-of-rtl-not-reversed",
        "render/layout.py",
        "words.reverse()",
        "pass",
        DIGESTS,
    ),
    (
        "pairs-in-other-order",
        "render/layout.py",
        "texts = [(first, text_a_max_length), (second, max_length)]",
        "texts = [(second, max_length), (first, text_a_max_length)]",
        DIGESTS,
    ),
    (
        "channel-order",
        "render/glyphs.py",
        "4)[..., [2, 1, 0, 3]]",
        "4)[..., [0, 1, 2, 3]]",
        DIGESTS,
        "unit/render/test_glyphs.py",
        "unit/render/test_images.py",
    ),
    (
        "no-fallback-font",
        "render/glyphs.py",
        "faces.append(next((face for face in self._faces if face.has(char)), self._faces[0]))",
        "faces.append(self._faces[0])",
        "unit/render/test_glyphs.py",
        "unit/render/test_fonts.py",
    ),
    (
        "truncation-keeps-a-word-more",
        "render/layout.py",
        "last = max(bisect_right(starts, limit, hi=len(drawn)) - 2, 0)",
        "last = max(bisect_right(starts, limit, hi=len(drawn)) - 1, 0)",
        "unit/render/test_layout.py",
        "unit/render/test_renderer.py",
        DIGESTS,
    ),
    (
        "offsets-end-early",
        "render/offsets.py",
        "np.maximum(-(-columns[:, 1] // size), first + 1)",
        "np.maximum(columns[:, 1] // size, first + 1)",
        "unit/render/test_offsets.py",
    ),
    (
        "ink-wraps-around",
        "render/stamps.py",
        "np.minimum(strip, 255, out=strip)",
        "strip",
        DIGESTS,
        "unit/render/test_stamps.py",
    ),
    (
        "ink-of-short-runs-wraps-around",
        "render/glyphs.py",
        "part[..., 3] += np.minimum(pixels, 255 - part[..., 3])",
        "part[..., 3] += pixels",
        DIGESTS,
        "unit/render/test_glyphs.py",
    ),
    (
        "runs-of-a-batch-add-up",
        "render/bulklines.py",
        "runs[:, _TURN] == 1",
        "runs[:, _TURN] == 2",
        "unit/render/test_bulklines.py",
    ),
    (
        "lines-counted-into-each-other",
        "render/bulklines.py",
        "same[start[1:] - 1] = False",
        "pass",
        "unit/render/test_bulklines.py",
    ),
    (
        "far-ink-in-bulk",
        "render/bulklines.py",
        "(lowest < -self._size) | (highest > (patches[of_line] + 1) * self._size)",
        "(lowest < -self._size)",
        "unit/render/test_bulklines.py",
    ),
    (
        "three-code-points-a-unit",
        "render/strategies.py",
        "return (word[i : i + 2] for i in range(0, len(word), 2))",
        "return (word[i : i + 3] for i in range(0, len(word), 3))",
        DIGESTS,
    ),
    (
        "windows-without-stride",
        "render/windows.py",
        "while shared < stride and",
        "while shared < 0 and",
        "unit/render/test_windows.py",
    ),
)

_MODEL = (
    (
        "positions-interpolated-otherwise",
        "model/positions.py",
        'mode="bicubic"',
        'mode="bilinear"',
        TINY,
        "unit/model/test_vit.py",
        "unit/model/test_model_loading.py",
    ),
    (
        "positions-scaled-otherwise",
        "model/positions.py",
        "scale = (1.1 / side, (max_seq_length + 0.1) / side)",
        "scale = (1.0 / side, max_seq_length / side)",
        TINY,
        "unit/model/test_vit.py",
        "unit/model/test_model_loading.py",
    ),
    ("positions-shifted", "model/positions.py", "table[:, 1 : 1 + patches]", "table[:, :patches]", TINY),
    ("decoder-norm-epsilon", "model/mae.py", "width, eps=1e-5\n", "width, eps=1e-12\n", TINY),
    (
        "layer-norm-epsilon",
        "model/layers.py",
        "self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)",
        "self.layernorm_before = nn.LayerNorm(width)",
        TINY,
        "unit/model/test_vit.py",
    ),
    (
        "last-norm-epsilon",
        "model/vit.py",
        "nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)",
        "nn.LayerNorm(config.hidden_size)",
        TINY,
        "unit/model/test_vit.py",
    ),
    (
        "pooler-without-tanh",
        "model/vit.py",
        "return torch.tanh(self.dense(states[:, 0]))",
        "return self.dense(states[:, 0])",
        TINY,
    ),
    (
        "pooler-without-norm",
        "model/heads.py",
        "nn.LayerNorm(config.hidden_size, eps=1e-12) if config.pooler_add_layer_norm else nn.Identity()",
        "nn.Identity()",
        TINY,
        "unit/model/test_heads.py",
    ),
    (
        "pooler-counts-padding",
        "model/heads.py",
        "attended.sum(1).clamp(min=1)",
        "attended.shape[1]",
        TINY,
        "unit/model/test_heads.py",
    ),
    (
        "no-dropout",
        "model/layers.py",
        "states = states + self.dropout(attended)",
        "states = states + attended",
        TINY,
    ),
    (
        "dropout-of-embeddings-in-pretraining",
        "model/vit.py",
        "config.hidden_dropout_prob if embedding_dropout else 0.0",
        "config.hidden_dropout_prob",
        TINY,
    ),
    (
        "no-dropout-of-attention",
        "model/layers.py",
        "dropout = self.dropout if self.training else 0.0",
        "dropout = 0.0",
        TINY,
    ),
    (
        "attention-dropout-does-not-rescale",
        "model/attention.py",
        "v = v * growth  # fewer",
        "v = v * 1.0  # fewer",
        "unit/model/test_attention.py",
        TINY,
    ),
    (
        "activation",
        "model/layers.py",
        "self.activation = ACT2FN[config.hidden_act]",
        'self.activation = ACT2FN["gelu_new"]',
        TINY,
    ),
    (
        "attention-scale",
        "model/layers.py",
        "scores = query @ key.mT * query.shape[-1] ** -0.5",
        "scores = query @ key.mT * query.shape[1] ** -0.5",
        TINY,
    ),
    (
        "padding-is-attended",
        "model/layers.py",
        "return F.pad(attended, (1, 0), value=True)[:, None, None, :]",
        "return None",
        TINY,
    ),
    (
        "patch-column-by-column",
        "model/inputs.py",
        "return patches.transpose(1, 2).flatten(2)",
        "return patches.transpose(1, 2).transpose(2, 3).flatten(2)",
        TINY,
    ),
    (
        "targets-not-normed",
        "model/objectives.py",
        "return standardise(targets) if config.norm_pix_loss and targets.shape[1] else targets",
        "return targets",
        TINY,
    ),
    (
        "biased-variance-of-targets",
        "model/objectives.py",
        "variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)",
        "variance, mean = torch.var_mean(patches, dim=-1, keepdim=True, correction=0)",
        TINY,
        "unit/model/test_mae.py",
    ),
    (
        "loss-over-padding-too",
        "model/objectives.py",
        "return errors.sum() / counted.sum().clamp(min=1)",
        "return errors.mean()",
        TINY,
    ),
    (
        "mask-not-followed",
        "model/masks.py",
        "order = hide.to(torch.uint8).argsort(dim=1, stable=True)",
        "order = hide.to(torch.uint8).argsort(dim=1, stable=True, descending=True)",
        TINY,
    ),
    (
        "absent-heads-do-not-compete",
        "model/heads.py",
        "places = self.config.max_patches if self.config.padding_competes else None",
        "places = None",
        TINY,
        "unit/model/test_heads.py",
    ),
    (
        "answers-start-and-end-swapped",
        "model/heads.py",
        "start_scores, end_scores = self.qa_outputs",
        "end_scores, start_scores = self.qa_outputs",
        TINY,
    ),
    ("no-answer-is-the-first-patch", "model/heads.py", "roll(-1, dims=1)", "roll(0, dims=1)", TINY),
    (
        "word-with-a-patch-of-the-next",
        "model/words.py",
        "(patch < torch.maximum(stop, start + 1))",
        "(patch <= torch.maximum(stop, start + 1))",
        TINY,
        "unit/model/test_words.py",
    ),
    (
        "words-without-positions",
        "model/words.py",
        "rotation=rotation)",
        "rotation=None)",
        TINY,
        "unit/model/test_words.py",
    ),
    (
        "last-patch-of-the-next-word",
        "model/words.py",
        "last = (word_starts[:, 1:] - 1).maximum(first)",
        "last = word_starts[:, 1:].clamp(max=states.shape[1] - 1).maximum(first)",
        "unit/model/test_words.py",
    ),
    (
        "relation-without-bias",
        "model/heads.py",
        "config.num_labels, bias_x=True, bias_y=True)",
        "config.num_labels, bias_x=True, bias_y=False)",
        TINY,
    ),
)

_DATA = (
    (
        "worker-not-in-mask-seed",
        "corpus/pretraining.py",
        "self._rank * worker.num_workers + worker.id",
        "self._rank * worker.num_workers",
        "unit/corpus/test_pretraining.py",
        "unit/corpus/test_masking.py",
    ),
    (
        "rank-not-in-mask-seed",
        "corpus/pretraining.py",
        "share = self._rank if worker is None",
        "share = 0 if worker is None",
        "unit/corpus/test_pretraining.py",
    ),
    (
        "block-number-not-in-mask-seed",
        "corpus/pretraining.py",
        "[self._seed, share, number]",
        "[self._seed, share, 0]",
        "unit/corpus/test_pretraining.py",
    ),
    (
        "seed-not-in-mask-seed",
        "corpus/pretraining.py",
        "[self._seed, share, number]",
        "[0, share, number]",
        "unit/corpus/test_pretraining.py",
    ),
    (
        "span-lengths",
        "corpus/masking.py",
        "CUMULATIVE_WEIGHTS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)",
        "CUMULATIVE_WEIGHTS = (0.2, 0.4, 0.6, 0.8, 0.8, 1.0)",
        "unit/corpus/test_masking.py",
    ),
    (
        "all-workers-read-one-share",
        "corpus/corpora.py",
        "self.rank * workers + (worker.id if worker else 0)",
        "self.rank * workers",
        "unit/corpus/test_corpora.py",
        "unit/corpus/test_resumption.py",
    ),
    (
        "all-ranks-read-one-share",
        "corpus/sources.py",
        "[self.files[i] for i in dealt[share]]",
        "[self.files[i] for i in dealt[0]]",
        "unit/corpus/test_sources.py",
        "unit/corpus/test_corpora.py",
    ),
    (
        "blocks-not-counted",
        "corpus/corpora.py",
        "position.number += 1",
        "position.number += 2",
        "unit/corpus/test_corpora.py",
    ),
    (
        "dropped-patches-not-told",
        "corpus/packing.py",
        "self.dropped_patches = block.num_patches",
        "self.dropped_patches = 0",
        "unit/corpus/test_text_packing.py",
        "unit/corpus/test_corpora.py",
    ),
    (
        "no-black-patch-between-documents",
        "corpus/packing.py",
        "costs[changes] += 1",
        "costs[changes] += 0",
        "unit/corpus/test_text_packing.py",
    ),
    (
        "short-last-block-stays",
        "corpus/packing.py",
        "block is not None and block.num_patches < self._min",
        "False",
        "unit/corpus/test_text_packing.py",
    ),
    (
        "held-out-share",
        "corpus/heldout.py",
        "< share * 2**32",
        "< share * 2**31",
        "unit/corpus/test_heldout.py",
    ),
    (
        "held-out-text-is-trained-on",
        "corpus/heldout.py",
        "self._taken = held_out == self._split.held_out",
        "self._taken = True",
        "unit/corpus/test_heldout.py",
    ),
    (
        "mixture-not-weighted",
        "corpus/corpora.py",
        "left -= probabilities[language]\n",
        "left -= sum(probabilities.values()) / len(languages)\n",
        "unit/corpus/test_corpora.py",
    ),
    (
        "state-before-the-first-block",
        "corpus/corpora.py",
        "return dict(self._loaded) if self._loaded else {}",
        "return {}",
        "unit/corpus/test_resumption.py",
        "unit/corpus/test_corpora.py",
    ),
    (
        "every-window-shuffled-alike",
        "corpus/shuffling.py",
        "[*self._key, self._number]",
        "[*self._key]",
        "unit/corpus/test_shuffling.py",
    ),
)

_TASKS = (
    (
        "objects-are-languages",
        "formats/columns.py",
        "number for number in of_texts if first and isinstance(first[number], Mapping)",
        "number for number, cell in enumerate(first) if isinstance(cell, Mapping)",
        "unit/formats/test_columns.py",
    ),
    (
        "headers-are-examples",
        "formats/columns.py",
        "    if alone or (are_fractions(",
        "    if alone and (are_fractions(",
        "unit/formats/test_columns.py",
    ),
    (
        "numbers-are-words",
        "formats/iob.py",
        'if not body or len(body[0]) < 3 or body[0][0] not in ("0", "1"):',
        'if not body or len(body[0]) < 3 or body[0][0] != "1":',
        "unit/formats/test_iob.py",
    ),
    (
        "words-are-sentences",
        "formats/rows.py",
        "        elif parts and self._sentence:",
        "        elif parts and self._sentence < 0:",
        "unit/formats/test_iob.py",
    ),
    (
        "training-data-scored",
        "tasks/base.py",
        "        there.options = self.options.elsewhere(data)",
        "        there.options = self.options",
        "unit/predict/test_annotator.py",
    ),
    (
        "pairs-for-texts",
        "tasks/classification.py",
        "        if wanted is not None and wanted != pairs:",
        "        if wanted is not None and wanted > pairs:",
        "unit/tasks/test_classification.py",
    ),
    (
        "seeds-not-shared",
        "sweep/tables.py",
        "        seeds = shared or settings[labels]",
        "        seeds = settings[labels]",
        "unit/sweep/test_sweep_tables.py",
    ),
    (
        "relations-with-subtypes",
        "formats/conllu.py",
        'return deprel.partition(":")[0]',
        "return deprel",
        "unit/tasks/test_parsing.py",
    ),
    (
        "several-roots",
        "tasks/trees.py",
        "scores[:, 0] -= (high - forbidden) * words + 1",
        "scores[:, 0] -= 0",
        "unit/tasks/test_trees.py",
    ),
    (
        "label-without-its-head-counts",
        "tasks/trees.py",
        "right_both += gold_head == pred_head and gold_rel == pred_rel",
        "right_both += gold_rel == pred_rel",
        "unit/tasks/test_trees.py",
        "unit/tasks/test_parsing.py",
    ),
    (
        "unused-relation-is-chosen",
        "tasks/parsing.py",
        "as_array(outputs.rel_logits[..., 1:].argmax(-1)) + 1",
        "as_array(outputs.rel_logits.argmax(-1))",
        "unit/tasks/test_parsing.py",
    ),
    (
        "answers-with-dropout",
        "model/answering.py",
        "        self.eval()\n",
        "",
        "unit/model/test_answering.py",
    ),
    (
        "exported-options-are-forgotten",
        "tasks/portable.py",
        "options=saved if options is None else options",
        "options=options",
        "unit/predict/test_exported.py",
    ),
    (
        "entity-of-another-type-goes-on",
        "formats/iob.py",
        "'B' if prefix in _BEGINS or kind != inside else 'I'",
        "'B' if prefix in _BEGINS or not inside else 'I'",
        "unit/formats/test_iob.py",
    ),
    (
        "entities-not-ended",
        "formats/iob.py",
        'inside = "" if prefix in "SUEL" else kind',
        "inside = kind",
        "unit/formats/test_iob.py",
    ),
    (
        "articles-count",
        "formats/squad.py",
        '" ".join(_ARTICLES.sub(" ", text).split())',
        '" ".join(text.split())',
        "unit/formats/test_squad.py",
    ),
    (
        "case-counts",
        "formats/squad.py",
        "text = text.lower()",
        "text = str(text)",
        "unit/formats/test_squad.py",
    ),
    (
        "f1-without-repetitions",
        "formats/squad.py",
        "(Counter(predicted) & Counter(gold)).total()",
        "len(set(predicted) & set(gold))",
        "unit/formats/test_squad.py",
    ),
    (
        "copies-in-several-splits",
        "tasks/splits.py",
        'for key in (("group", group), ("text", text)):',
        'for key in (("group", group),):',
        "unit/tasks/test_splits.py",
    ),
    (
        "copies-of-other-case",
        "formats/rows.py",
        ".casefold().split())",
        ".split())",
        "unit/tasks/test_splits.py",
    ),
    (
        "windows-do-not-overlap",
        "tasks/base.py",
        "windows(widths, capacity, capacity // 2)",
        "windows(widths, capacity, 0)",
        "unit/tasks/test_parsing.py",
        "unit/tasks/test_tagging.py",
        "unit/tasks/test_ner.py",
    ),
    (
        "word-at-the-border-of-its-window",
        "tasks/base.py",
        "return max(shown, key=",
        "return min(shown, key=",
        "unit/tasks/test_parsing.py",
        "unit/tasks/test_tagging.py",
    ),
    (
        "rows-without-gold-are-a-class",
        "tasks/classification.py",
        'if text == "-"]',
        'if text == "?"]',
        "unit/tasks/test_classification.py",
        "unit/tasks/test_inputs.py",
    ),
    (
        "answer-one-patch-too-long",
        "tasks/spans.py",
        "int(drawn[:, 1].max()) - 1",
        "int(drawn[:, 1].max())",
        "unit/tasks/test_spans.py",
        "unit/tasks/test_qa.py",
    ),
    (
        "answer-with-the-particle-of-its-word",
        "tasks/spans.py",
        r"\p{Katakana}ー\p{Hangul}",
        r"\p{Katakana}ー",
        "unit/tasks/test_spans.py",
    ),
    (
        "answer-ends-inside-a-word",
        "tasks/spans.py",
        "word.start() < end < word.end()",
        "word.start() < end < start",
        "unit/tasks/test_spans.py",
        "unit/tasks/test_qa.py",
    ),
    (
        "lower-mse-is-worse",
        "tasks/metrics.py",
        '("loss", "mse")',
        '("loss",)',
        "unit/tasks/test_metrics.py",
        "unit/training/test_arguments.py",
        "unit/sweep/test_sweep_tables.py",
    ),
)

_TRAIN = (
    (
        "bfloat16-on-cards-without-it",
        "training/defaults.py",
        "recent = device.capability >= (8, 0)",
        "recent = device.capability >= (7, 0)",
        "unit/training/test_defaults.py",
    ),
    (
        "the-device-tells-what-the-user-wrote",
        "training/defaults.py",
        "for name, value in chosen.items() if not settings.given(name)}",
        "for name, value in chosen.items()}",
        "unit/training/test_defaults.py",
    ),
    (
        "copies-are-waited-for",
        "training/reporting.py",
        "return data.to(self.args.device, non_blocking=True)",
        "return data.to(self.args.device)",
        "unit/training/test_defaults.py",
    ),
    (
        "muon-coefficients",
        "training/optim.py",
        "-4.7750, 2.0315)",
        "-4.7750, 2.1315)",
        "unit/training/test_optim.py",
    ),
    (
        "runs-over-anything",
        "training/runs.py",
        "    if lost:\n",
        "    if lost and not names:\n",
        "unit/training/test_runs.py",
    ),
    (
        "muon-without-nesterov",
        "training/optim.py",
        'update = gradient.lerp(mean, group["momentum"]) if group["nesterov"] else mean',
        "update = mean",
        "unit/training/test_optim.py",
    ),
    (
        "muon-rate-not-adjusted",
        "training/optim.py",
        'rate = group["lr"] * math.sqrt(max(1, rows / columns))',
        'rate = group["lr"]',
        "unit/training/test_optim.py",
    ),
    (
        "biases-decay",
        "training/optim.py",
        '"weight_decay": args.weight_decay if wanted else 0.0',
        '"weight_decay": args.weight_decay',
        "unit/training/test_optim.py",
    ),
    (
        "embeddings-by-muon",
        "training/optim.py",
        "if layer and parameter.ndim == 2 else adamw",
        "if parameter.ndim == 2 else adamw",
        "unit/training/test_optim.py",
    ),
    (
        "order-without-epoch",
        "finetune/trainer.py",
        "generator = self._generator(self._epoch)",
        "generator = self._generator(0)",
        "unit/finetune/test_trainer.py",
    ),
    (
        "order-without-seed",
        "finetune/trainer.py",
        "SeedSequence([self._seed, *numbers])",
        "SeedSequence([0, *numbers])",
        "unit/finetune/test_trainer.py",
    ),
    (
        "order-by-what-happened-before",
        "finetune/trainer.py",
        "torch.randperm(self._count, generator=generator)",
        "torch.randperm(self._count)",
        "unit/finetune/test_trainer.py",
    ),
    (
        "groups-by-their-size",
        "finetune/trainer.py",
        "[len(members) ** power for members in self._members]",
        "[len(members) for members in self._members]",
        "unit/finetune/test_trainer.py",
    ),
    (
        "draws-of-a-group-begin-anew-each-epoch",
        "finetune/trainer.py",
        "first = self._epoch * draws",
        "first = 0",
        "unit/finetune/test_trainer.py",
    ),
    (
        "steps-from-long-to-short",
        "finetune/trainer.py",
        "[*(steps[number] for number in mixed), *steps[len(mixed) :]]",
        "list(steps)",
        "unit/finetune/test_trainer.py",
    ),
    (
        "words-of-a-batch-see-each-other",
        "model/words.py",
        "words, _, _ = run_layers(self.layer, words, pattern, rotation",
        "words, _, _ = run_layers(self.layer, words, None, rotation",
        "unit/model/test_words.py",
    ),
    (
        "kept-patches-are-counted-anew",
        "model/positions.py",
        "return F.pad(keep + 1, (1, 0))",
        "return torch.arange(1 + keep.shape[1], device=device)[None]",
        "unit/model/test_rotary.py",
    ),
    (
        "rotary-places-run-on-from-text-to-text",
        "model/layers.py",
        "places = pattern.unpad(places.expand(len(states), -1))",
        "places = torch.arange(pattern.index.numel())[None]",
        "unit/model/test_rotary.py",
    ),
    (
        "keys-are-not-turned",
        "model/layers.py",
        "query, key = rotate(query, rotation), rotate(key, rotation)",
        "query = rotate(query, rotation)",
        "unit/model/test_rotary.py",
    ),
    (
        "packed-for-nothing-on-a-device",
        "model/layers.py",
        "torch.compiler.is_compiling() or (config.unpad_inputs is None and not readable(mask)):",
        "torch.compiler.is_compiling():",
        "unit/model/test_devices.py",
    ),
    (
        "text-attends-to-padding-on-a-device",
        "model/attention.py",
        "bounds = torch.stack([starts, starts + attended.sum(1)], dim=1).flatten()",
        "bounds = torch.stack([starts, starts], dim=1).flatten()",
        "unit/model/test_attention.py",
        "unit/model/test_devices.py",
    ),
    (
        "scale-of-widened-heads",
        "model/attention.py",
        "longest, longest, scale=size**-0.5)",
        "longest, longest, scale=q.shape[-1] ** -0.5)",
        "unit/model/test_attention.py",
        "unit/model/test_devices.py",
    ),
    (
        "no-dropout-on-a-device",
        "model/layers.py",
        "(attention.training and attention.dropout > 0)",
        "(attention.training and attention.dropout > 1)",
        "unit/model/test_devices.py",
    ),
    (
        "counted-words-are-looked-for-on-a-device",
        "model/heads.py",
        "return values[counted] if readable(counted) else values.flatten(0, 1)",
        "return values[counted]",
        "unit/model/test_devices.py",
    ),
    (
        "nothing-is-checked-before-the-copy",
        "model/checks.py",
        'if device.type != "cpu":',
        'if device.type == "cpu":',
        "unit/model/test_devices.py",
    ),
    (
        "best-checkpoint-is-the-last",
        "training/saving.py",
        "checkpoint.with_name(Path(best).name)",
        "checkpoint",
        "unit/finetune/test_trainer.py",
        "unit/training/test_runs.py",
    ),
    (
        "direction-of-a-metric-not-checked",
        "finetune/arguments.py",
        'check_direction(settings["metric_for_best_model"], settings["greater_is_better"])',
        "pass",
        "unit/training/test_arguments.py",
        "unit/finetune/test_checks.py",
    ),
    (
        "secret-after-an-equals-sign",
        "console/redact.py",
        'if word.startswith("-") and equals and is_secret(option):',
        "if False:",
        "unit/console/test_redact.py",
    ),
    (
        "secret-by-its-form",
        "console/redact.py",
        "return _FORMS.sub(HIDDEN, text)",
        "return text",
        "unit/console/test_redact.py",
    ),
    (
        "sizes-of-a-checkpoint-not-compared",
        "training/saving.py",
        ".stat().st_size == size for",
        ".stat().st_size >= 0 for",
        "unit/training/test_saving.py",
    ),
    (
        "best-checkpoint-is-deleted",
        "training/saving.py",
        "if folder not in kept and step_of(folder) != best:",
        "if folder not in kept:",
        "unit/training/test_saving.py",
    ),
    (
        "foreign-folder-is-taken",
        "training/runs.py",
        "    if not names:\n        return\n",
        "    return\n",
        "unit/training/test_runs.py",
        "unit/finetune/test_checks.py",
    ),
    (
        "other-command-goes-on",
        "training/runs.py",
        "changes = differences(before, record)\n",
        "changes: list[str] = []\n",
        "unit/training/test_runs.py",
    ),
)

_MANY_MACHINES = (
    (
        "lost-machine-not-tried-again",
        "sweep/pool.py",
        "_ATTEMPTS = 2",
        "_ATTEMPTS = 1",
        "unit/sweep/test_cluster.py",
    ),
    (
        "data-of-a-cluster-not-looked-for",
        "sweep/cluster.py",
        "if not file.exists():",
        "if not marker.exists():",
        "unit/sweep/test_cluster.py",
    ),
    (
        "more-runs-than-a-machine-has-gpus",
        "sweep/cluster.py",
        "return min(by_cpus, floor(self.gpus / gpus + 1e-6)) if gpus else by_cpus",
        "return by_cpus",
        "unit/sweep/test_cluster.py",
    ),
    (
        "runs-that-wait-begin-after-ctrl-c",
        "sweep/engines.py",
        "                if self._stopped:\n                    return -1\n",
        "",
        "unit/sweep/test_engines.py",
    ),
    (
        "restart-takes-a-checkpoint-of-an-earlier-run",
        "training/restarts.py",
        "st_mtime_ns > begun and",
        "st_mtime_ns > 0 and",
        "unit/training/test_restarts.py",
    ),
    (
        "restart-deletes-what-it-has-trained",
        "training/restarts.py",
        "return replace(arguments, overwrite_output_dir=False)",
        "return arguments",
        "unit/training/test_restarts.py",
    ),
)

_ANALYSIS = (
    (
        "attacked-letters-broken",
        "analysis/attacks.py",
        "_CLUSTERS.findall(word)",
        "list(word)",
        "unit/analysis/test_attacks.py",
    ),
    (
        "attacked-letters-melt",
        "analysis/attacks.py",
        "return joined if letters(joined) == [",
        "return joined if True or [",
        "unit/analysis/test_attacks.py",
    ),
    (
        "every-word-attacked",
        "analysis/attacks.py",
        "(1 if every else strength)",
        "1",
        "unit/analysis/test_attacks.py",
    ),
    (
        "words-of-two-parts-attacked",
        "analysis/attacks.py",
        "any(part.isspace() for part in parts) or ",
        "",
        "unit/analysis/test_attacks.py",
    ),
    (
        "letters-hit-too-often",
        "analysis/attacks.py",
        "hits, places = drawn.random(len(word)) < strength,",
        "hits, places = drawn.random(len(word)) < 1,",
        "unit/analysis/test_attacks.py",
    ),
    (
        "typos-lose-marks",
        "analysis/attacks.py",
        " + word[place][1:]",
        "",
        "unit/analysis/test_attacks.py",
    ),
    (
        "russian-typos-in-ukrainian",
        "analysis/keyboards.py",
        "frozenset.intersection(*",
        "frozenset().union(*",
        "unit/analysis/test_keyboards.py",
    ),
    (
        "look-alikes-turn-around",
        "analysis/lookalikes.py",
        "        and _is_rtl(other) == _is_rtl(char)\n",
        "",
        "unit/analysis/test_lookalikes.py",
    ),
    (
        "look-alikes-of-the-prototype-alone",
        "analysis/lookalikes.py",
        "            waiting += new\n",
        "",
        "unit/analysis/test_lookalikes.py",
    ),
    (
        "other-fonts-without-fallback",
        "analysis/attacked.py",
        "fallback_fonts=own",
        "fallback_fonts=[]",
        "unit/analysis/test_attacked.py",
    ),
    (
        "drawn-by-the-own-renderer",
        "analysis/attacked.py",
        "drawing.renderer = renderer",
        "pass",
        "unit/analysis/test_attacked.py",
    ),
    (
        "one-renderer-changed-for-all",
        "analysis/attacked.py",
        "drawing = copy.copy(task)",
        "drawing = task",
        "unit/analysis/test_attacked.py",
    ),
    (
        "attacked-lines-as-they-were",
        "analysis/attacked.py",
        "with_words(example, own) if isinstance(example, Sentence) else replace",
        "replace",
        "unit/analysis/test_attacked.py",
    ),
    (
        "attacked-fonts-read-as-clean",
        "analysis/robustness.py",
        "clean if after == before",
        "clean if after.examples == before.examples",
        "unit/analysis/test_robustness.py",
    ),
    (
        "attacked-data-replaced",
        "analysis/attack_data.py",
        "if output_dir.exists() and",
        "if False and",
        "unit/analysis/test_attack_data.py",
    ),
    (
        "map-of-lengths",
        "analysis/maps.py",
        "lay(unit(vectors), settings)",
        "lay(vectors, settings)",
        "unit/analysis/test_maps.py",
    ),
    (
        "retrieval-keeps-the-mean",
        "analysis/retrieval.py",
        "unit(rows.astype(np.float64) - mean)",
        "unit(rows.astype(np.float64))",
        "unit/analysis/test_retrieval.py",
    ),
    (
        "retrieval-likes-ties",
        "analysis/retrieval.py",
        "(similar >= true).sum(1)",
        "(similar > true).sum(1) + 1",
        "unit/analysis/test_retrieval.py",
    ),
    (
        "published-pooling-counts-cls",
        "analysis/states.py",
        "with_end.sum(1, keepdim=True)",
        "(1 + with_end.sum(1, keepdim=True))",
        "unit/analysis/test_states.py",
    ),
    (
        "another-probing-goes-on",
        "analysis/probing.py",
        'if earlier["settings"] == settings:',
        "if True:",
        "unit/analysis/test_probing.py",
    ),
    (
        "least-relevant-patches-are-deleted",
        "analysis/saliency.py",
        "np.argsort(-relevance[strip.shown], kind=",
        "np.argsort(relevance[strip.shown], kind=",
        "unit/analysis/test_saliency.py",
    ),
    (
        "the-black-patch-is-deleted-too",
        "analysis/saliency.py",
        "np.flatnonzero(self.offsets.text_of_patch >= 0)",
        "np.arange(len(self.offsets.text_of_patch))",
        "unit/analysis/test_saliency.py",
    ),
    (
        "attention-without-gradient",
        "analysis/saliency.py",
        "used = (gradient * attention)[0]",
        "used = (-gradient * attention)[0]",
        "unit/analysis/test_saliency.py",
    ),
)

_FILES = (
    (
        "half-a-file-is-kept",
        "files.py",
        "        os.replace(scratch, path)\n    finally:\n        scratch.unlink(missing_ok=True)",
        "    finally:\n        os.replace(scratch, path)",
        "unit/test_files.py",
    ),
    (
        "archive-without-limits",
        "fetch/run.py",
        "if count > MAX_MEMBERS or total > limit:",
        "if False:",
        "unit/fetch/test_fetch.py",
    ),
    (
        "archive-leads-outside",
        "fetch/run.py",
        "if not _is_inside(name) or not _is_inside(to) or to in found",
        "if to in found",
        "unit/fetch/test_fetch.py",
    ),
    (
        "known-digest-not-compared",
        "fetch/run.py",
        "if known is not None and digest != known:",
        "if False:",
        "unit/fetch/test_fetch.py",
    ),
    (
        "first-digest-not-compared",
        "fetch/run.py",
        "if digest != locked.get(path, digest):",
        "if False:",
        "unit/fetch/test_fetch.py",
    ),
    (
        "digest-of-a-download-not-compared",
        "fetch/download.py",
        "if sha256 is not None and digest != sha256:",
        "if False:",
        "unit/fetch/test_download.py",
    ),
    (
        "download-goes-on-with-another-file",
        "fetch/download.py",
        'request.add_header("If-Range", version)',
        'request.add_header("X-Range", version)',
        "unit/fetch/test_download.py",
    ),
    (
        "existing-files-overwritten",
        "fetch/run.py",
        "    _check_free(digests, output_dir)\n    for",
        "    for",
        "unit/fetch/test_fetch.py",
    ),
)

_TOKENIZER = "unit/subwords/test_subword_tokenizer.py"
_TEXT_HEADS = "unit/model/test_text_heads.py"
_TEXT = (
    (
        "word-that-is-nothing-is-left-out",
        "subwords/tokenizer.py",
        "return Word((self._unknown,), ((0, len(word)),))",
        "return Word((), ())",
        _TOKENIZER,
    ),
    (
        "text-becomes-special-tokens",
        "subwords/tokenizer.py",
        "backend.encode_special_tokens = True",
        "backend.encode_special_tokens = False",
        _TOKENIZER,
    ),
    (
        "words-cut-as-at-the-beginning",
        "subwords/tokenizer.py",
        "self._prefix = _prefix_of(backend)",
        'self._prefix = ""',
        _TOKENIZER,
    ),
    (
        "sub-words-of-a-space-begin-too-early",
        "subwords/tokenizer.py",
        "spans = [(start - shift, end - shift) for start, end in encoding.offsets]",
        "spans = list(encoding.offsets)",
        _TOKENIZER,
    ),
    (
        "second-text-of-a-pair-is-the-first",
        "subwords/tokenizer.py",
        "types[row, line.second : len(line.ids)] = self._frame.types[1]",
        "types[row, line.second : len(line.ids)] = self._frame.types[0]",
        _TOKENIZER,
    ),
    (
        "separators-of-a-pair-not-counted",
        "subwords/tokenizer.py",
        "room = self.capacity - (self.between if len(texts) == 2 else 0)",
        "room = self.capacity",
        _TOKENIZER,
    ),
    (
        "cls-of-sub-words-is-hidden",
        "model/text.py",
        'options["attention_mask"] = F.pad((attention_mask != 0).long(), (1, 0), value=1)',
        'options["attention_mask"] = F.pad((attention_mask != 0).long(), (1, 0), value=0)',
        _TEXT_HEADS,
    ),
    (
        "which-text-of-a-pair-is-not-read",
        "model/text.py",
        "if token_type_ids is not None and self.reads_types:",
        "if False:",
        _TEXT_HEADS,
    ),
    (
        "pickles-of-text-models-loaded",
        "model/text.py",
        'if file.suffix != ".safetensors"',
        "if False",
        _TEXT_HEADS,
    ),
    (
        "unused-positions-counted",
        "model/text_config.py",
        "return count - max(unused, default=0)",
        "return count",
        _TOKENIZER,
    ),
    (
        "padding-of-sub-words-does-not-compete",
        "model/text_heads.py",
        "missing = max(0, self.config.max_patches - places)",
        "missing = 0",
        _TEXT_HEADS,
    ),
    (
        "separators-of-questions-not-counted",
        "tasks/qa.py",
        "capacity, between = self.renderer.capacity, self.renderer.between",
        "capacity, between = self.renderer.capacity, 0",
        "unit/tasks/test_sub_words.py",
    ),
)

_ECOSYSTEM = (
    (
        "losses-of-workers-forgotten",
        "render/losses.py",
        '            file.write(losses.to_json() + "\\n")',
        '            file.write("")',
        "unit/render/test_losses.py",
    ),
    (
        "losses-of-workers-twice",
        "render/losses.py",
        "            whole.replace(_left_at)\n            return",
        "            whole.replace(_left_at)",
        "unit/render/test_losses.py",
    ),
    (
        "fallback-digest-not-checked",
        "render/fallbacks.py",
        "            if digest != font.sha256:",
        "            if not digest:",
        "unit/render/test_fallbacks.py",
    ),
    (
        "fallback-damage-not-seen",
        "render/fallbacks.py",
        "if not (_is_there(font) and _digest(font) == font.sha256)",
        "if not _is_there(font)",
        "unit/render/test_fallbacks.py",
    ),
    (
        "fallbacks-copied-into-checkpoints",
        "render/settings.py",
        "            if known_fallback(font.sha256):",
        "            if False:",
        "unit/render/test_fallbacks.py",
    ),
    (
        "font-of-covers-everything",
        "render/glyphs.py",
        "        return face.file if face.has(char) or face.can_draw(char) else None",
        "        return face.file",
        "unit/render/test_coverage.py",
    ),
    (
        "left-out-characters-uncounted",
        "corpus/packing.py",
        "        if len(undrawn):",
        "        if len(undrawn) > 99:",
        "unit/corpus/test_text_packing.py",
    ),
    (
        "revision-passed-over",
        "shipped.py",
        'place: dict[str, Any] = {"revision": revision,',
        'place: dict[str, Any] = {"revision": None,',
        "unit/test_shipped.py",
    ),
    (
        "revision-of-folders",
        "shipped.py",
        '    if not is_hub_name(f"{text}@{revision}"):',
        "    if False:",
        "unit/test_shipped.py",
    ),
    (
        "upload-of-the-record",
        "training/publishing.py",
        '*("config.json", "README.md",',
        '*("config.json", "run.json", "README.md",',
        "unit/training/test_publishing.py",
    ),
    (
        "upload-without-renderer",
        "training/publishing.py",
        '*("text_renderer_config.json", "processor_config.json",',
        '*("processor_config.json",',
        "unit/training/test_publishing.py",
    ),
    (
        "upload-twice",
        "training/publishing.py",
        "        super().save_model(output_dir, _internal_call=True)",
        "        super().save_model(output_dir, _internal_call)",
        "unit/training/test_publishing.py",
    ),
    (
        "upload-to-main-branch",
        "training/publishing.py",
        "            revision=revision,\n            commit_message=message,",
        "            commit_message=message,",
        "unit/training/test_publishing.py",
    ),
    (
        "offsets-of-padding",
        "processor.py",
        "np.full((len(texts), patches, 2), NOTHING, np.int64)",
        "np.zeros((len(texts), patches, 2), np.int64)",
        "unit/test_processor.py",
    ),
    (
        "length-of-the-canvas-kept",
        "processor.py",
        "            self._shorter = self.renderer.with_changes(max_seq_length=max_length)",
        "            self._shorter = self.renderer",
        "unit/test_processor.py",
    ),
    (
        "no-word-on-tokenizers",
        "subwords/absent.py",
        "AutoTokenizer.register(PixelConfig, tokenizer_class=NoTokenizer, exist_ok=True)\n",
        "",
        "unit/test_processor.py",
    ),
    (
        "processor-not-registered",
        "processor.py",
        "AutoProcessor.register(PixelConfig, PixelProcessor, exist_ok=True)\n",
        "",
        "unit/test_processor.py",
    ),
)

MUTATIONS = tuple(_mutations())


def copy_checkout(target: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*cache"))
        else:
            shutil.copy2(source, target / name)


def prepare(folder: Path) -> None:
    """Let this process and its children use the copy, and nothing beside the checkout."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder / "src")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # files change within a second and keep their sizes
    os.environ["PIXEL_M4_SHARED"] = str(folder / "no-shared-data")
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    sys.path[:] = [
        str(folder / "src"),
        *(path for path in sys.path if Path(path).resolve() != ROOT / "tests"),
    ]
    for library in LIBRARIES:
        __import__(library)


def run_tests(tests: Sequence[str], folder: Path, limit: float = TIME_LIMIT) -> Outcome:
    """Run tests of the copy in a forked process until one fails, or for at most ``limit`` seconds."""
    began = time.monotonic()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.setsid()  # so that its own children can be ended with it
        code = 99
        try:
            code = _pytest(tests, folder, writer)
        finally:
            os._exit(code)
    os.close(writer)
    status = None
    while time.monotonic() - began < limit:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Outcome(-2, f"(not done in {limit:.0f} s)", time.monotonic() - began)
    with os.fdopen(reader, encoding="utf-8") as stream:
        failed = stream.read()
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
    return Outcome(code, failed, time.monotonic() - began)


def _pytest(tests: Sequence[str], folder: Path, writer: int) -> int:
    import pytest

    class FirstFailure:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                os.write(writer, f"{report.nodeid}\n".encode())

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                os.write(writer, f"{report.nodeid} (cannot be collected)\n".encode())

    with (folder / "log.txt").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        import pixel_m4

        assert Path(pixel_m4.__file__).is_relative_to(folder), pixel_m4.__file__
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short"]
        return int(pytest.main([*arguments, *(f"tests/{test}" for test in tests)], plugins=[FirstFailure()]))


def mutate(mutation: Mutation, text: str) -> str:
    """The text of its file with the fault.

    Raises:
        ValueError: the old text does not occur exactly once.
    """
    if (count := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.name}: its old text occurs {count} times in {mutation.file}, not once")
    return text.replace(mutation.old, mutation.new)


def chosen(names: Sequence[str]) -> list[Mutation]:
    """The mutations of these names, or all of them.

    Raises:
        SystemExit: there is no such mutation.
    """
    known = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"there is no mutation {', '.join(unknown)}; --list shows all")
    return [known[name] for name in names] if names else list(MUTATIONS)


def short(nodeid: str) -> str:
    """The file and the name of a test."""
    return re.sub(r"^tests/", "", nodeid.strip().splitlines()[0])[:90] if nodeid.strip() else ""


def main() -> int:
    """Run the mutations that are asked for; 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="mutations to try; default: all")
    parser.add_argument("--list", action="store_true", help="show the mutations, and run nothing")
    options = parser.parse_args()
    mutations = chosen(options.names)
    if options.list:
        for mutation in mutations:
            print(f"{mutation.name:40} {mutation.file:24} {' '.join(mutation.tests)}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        folder = Path(scratch).resolve()
        copy_checkout(folder)
        prepare(folder)
        tests = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
        whole = run_tests(tests, folder, limit=3600)
        if whole.code:
            print((folder / "log.txt").read_text()[-4000:])
            print(f"the tests fail without any mutation: {whole.failed or whole.code}")
            return 2
        print(f"without a mutation all pass ({whole.seconds:.0f} s)\n")
        print("| mutation | killed by | s |\n|---|---|---|", flush=True)
        survived = 0
        for mutation in mutations:
            path = folder / "src/pixel_m4" / mutation.file
            before = path.read_text(encoding="utf-8")
            path.write_text(mutate(mutation, before), encoding="utf-8")
            try:
                outcome = run_tests(mutation.tests, folder)
            finally:
                path.write_text(before, encoding="utf-8")
            survived += not outcome.failed
            killer = f"`{short(outcome.failed)}`" if outcome.failed else "**SURVIVED**"
            print(f"| {mutation.name} | {killer} | {outcome.seconds:.0f} |", flush=True)
        print(f"\n{len(mutations)} mutations, {survived} survived")
    return int(survived > 0)


if __name__ == "__main__":
    raise SystemExit(main())
