"""Every published script: where it lies, what it becomes, and what becomes of each of its flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pixel_m4.published import analyses, training
from pixel_m4.published.flags import Command, Flags, Meaning, Value, accepted, settled


@dataclass(frozen=True, kw_only=True)
class Script:
    """A published script.

    Attributes:
        path: where it lies, as in the published repositories.
        becomes: what it is here, for the documentation.
        command: words of ``pixel-m4`` that it becomes; none for one with a function of its own.
        flags: its own flags, by name.
        trainer: arguments of transformers' Trainer, which it takes, too.
        defaults: of its own flags, where it says more than leaving them out does here.
        settle: looks at the whole command at the end.
        function: in ``pixel_m4.published``, what it does instead of a command: ``module:name``.
        before: a command that must have run, if any.
        several: flags that take several words.
        first: what a word before all flags is called.
        refusal: why it does nothing.
    """

    path: str
    becomes: str
    command: Sequence[str] = ()
    flags: Mapping[str, Meaning]
    trainer: Mapping[str, Meaning] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    settle: Callable[[Flags, Command], None] | None = None
    function: str = ""
    before: Callable[[], Sequence[str] | None] | None = None
    several: Sequence[str] = ()
    first: str = ""
    refusal: str = ""

    @property
    def name(self) -> str:
        """Its file."""
        return self.path.rpartition("/")[2]


def _finetuning(
    name: str,
    task: str,
    flags: Mapping[str, Meaning],
    defaults: Mapping[str, str] = training.OWN_DEFAULTS,
    settle: Callable[[Flags, Command], None] = training.settle_finetuning,
) -> Script:
    return Script(
        path=f"scripts/training/{name}",
        becomes=f"`pixel-m4 finetune {task}`",
        command=("finetune", task),
        flags=flags,
        trainer=training.TRAINER,
        defaults=defaults,
        settle=settle,
    )


def _pretraining(name: str, flags: Mapping[str, Meaning]) -> Script:
    return Script(
        path=f"scripts/training/{name}",
        becomes="`pixel-m4 pretrain`",
        command=("pretrain",),
        flags=flags,
        trainer=training.TRAINER,
        defaults=training.PRETRAINING_DEFAULTS,
        settle=training.settle_pretraining,
    )


def _analysis(name: str, action: str, flags: Mapping[str, Meaning], **more: object) -> Script:
    defaults = {**analyses.STATES_DEFAULTS, **more.pop("defaults", {})}  # type: ignore[dict-item]
    return Script(
        path=f"scripts/analysis/{name}",
        becomes=f"`pixel-m4 analyze {action}`",
        command=("analyze", action),
        flags=flags,
        defaults={"model_id": "Team-PIXEL/pixel-base-bigrams", **defaults},
        **more,  # type: ignore[arg-type]
    )


def _look(value: Value, flags: Flags, command: Command) -> None:
    """The function of the script looks at it."""


def _used(about: str) -> Meaning:
    return settled(about, _look)


def _function(path: str, becomes: str, function: str, flags: Mapping[str, Meaning], **more: object) -> Script:
    return Script(path=path, becomes=becomes, function=function, flags=flags, **more)  # type: ignore[arg-type]


_RESULTS = {"results_dir": _used("the folder with a folder a model")}
_SAVE = {"save_dir": _used("the folder to write")}
_ATTACKS = {
    "attack": _used("the attack, of those that `pixel-m4 analyze robustness` has"),
    "path_to_data_dir": _used("the folder with the data; default: data"),
    "cpu_count": accepted("one process does it", "1"),
}
_SCRIPTS = (
    _finetuning("run_pos.py", "pos", training.WORDS),
    _finetuning("run_ud.py", "parsing", training.WORDS),
    _finetuning("run_ner.py", "ner", training.ENTITIES),
    _finetuning("run_glue.py", "classification", training.GLUE),
    _finetuning("run_nli.py", "classification", training.TEXTS),
    _finetuning(
        "run_xnli_translate_train_all.py", "classification", training.XNLI, settle=training.settle_xnli
    ),
    _finetuning("run_qa.py", "qa", training.QUESTIONS, training.QA_DEFAULTS, training.settle_questions),
    _finetuning("run_ud_bigrams.py", "parsing", training.WORDS),
    _finetuning("run_ner_bigrams.py", "ner", training.ENTITIES),
    _finetuning("run_sib_bigrams.py", "classification", training.TOPICS),
    _pretraining("run_pretraining.py", training.PRETRAINING),
    _pretraining("run_pretraining_pixel_m4.py", training.PRETRAINING_M4),
    Script(
        path="submitit_pretrain.py",
        becomes="refused",
        flags={
            name: _used("see docs/pretraining.md")
            for name in (
                *("job_dir", "prototype_config_name", "training_config_name", "nodes", "ngpus", "partition"),
            )
        },
        refusal="jobs are not submitted from here: start torchrun on each machine, under Slurm with srun, as "
        "docs/pretraining.md says (Eight GPUs, 64 GPUs); configs/pretrain-m4.yaml has the settings",
    ),
    _analysis(
        "run_linspector.py",
        "probe",
        analyses.PROBING,
        defaults={"data_dir": "data/", "output_dir": "outputs/analysis/linspector"},
        settle=analyses.settle_probing,
    ),
    _analysis(
        "run_retrieval.py",
        "retrieval",
        analyses.RETRIEVAL,
        defaults={"output_dir": "outputs/analysis/retrieval"},
        settle=analyses.settle_retrieval,
        before=lambda: analyses.fetch_topics(analyses.RETRIEVED),
    ),
    _analysis(
        "run_tsne.py",
        "map",
        analyses.MAPS,
        defaults={"output_dir": "outputs/tsne", "perplexity": "50", "n_iter": "1000", "lr": "500"},
        settle=analyses.settle_maps,
        before=lambda: analyses.fetch_topics(analyses.MAPPED),
    ),
    _function(
        "scripts/analysis/plot_linspector.py",
        "a figure of `probing.csv`",
        "analyses:draw_probing",
        _RESULTS,
        defaults={"results_dir": "outputs/analysis/linspector"},
    ),
    _function(
        "scripts/analysis/plot_retrieval.py",
        "a figure of `retrieval.csv`",
        "analyses:draw_retrieval",
        {**_RESULTS, "model_id": _used("whose results"), "K": _used("recall@K: 1, 5 or 10")},
        defaults={"model_id": "Team-PIXEL/pixel-m4", "results_dir": "outputs/analysis/retrieval", "K": "5"},
    ),
    _function(
        "scripts/analysis/plot_tsne.py",
        "names the figures that `run_tsne.py` has drawn",
        "analyses:show_maps",
        _RESULTS,
        defaults={"results_dir": "outputs/analysis/tsne"},
    ),
    Script(
        path="scripts/visualization/visualize_pixel.py",
        becomes="`pixel-m4 fill`",
        command=("fill",),
        flags=analyses.PAINTING,
        defaults=analyses.PAINTING_DEFAULTS,
        settle=analyses.settle_painting,
        several=("manual_mask",),
    ),
    Script(
        path="scripts/data/preprocess_mc4.py",
        becomes="refused",
        flags=dict.fromkeys(
            ("output_dir", "cache_dir", "target_seq_length", "unicode_width_file"), _used("see docs/data.md")
        ),
        refusal="text needs no preparation: `pixel-m4 pretrain --config configs/pretrain-m4.yaml` reads and "
        "packs mC4 from the hub, and `pixel-m4 data prepare --data_dir CORPUS --output_dir BLOCKS` packs "
        "text that is here",
    ),
    _function(
        "scripts/data/preprocess_uner.py",
        "lines of word and tag; `pixel-m4 finetune ner` reads Universal NER as it is",
        "data:convert_entities",
        {"input_path": _used("the folder to read"), "output_path": _used("the folder to write")},
    ),
    _function(
        "scripts/data/save_klue_ner_to_disk.py",
        "`pixel-m4 data fetch klue ner`, into the folder itself",
        "data:save_korean_entities",
        {**_SAVE, "overwrite": _used("replace what is there")},
    ),
    _function(
        "scripts/data/save_naamapadam_to_disk.py",
        "`pixel-m4 data fetch naamapadam hi bn ta te`, a folder a language",
        "data:save_indian_entities",
        _SAVE,
    ),
    _function(
        "scripts/data/save_sib_to_disk.py",
        "`pixel-m4 data fetch sib200 …`, 24 languages, a folder each",
        "data:save_topics",
        _SAVE,
    ),
    _function(
        "scripts/data/download_fallback_fonts.py",
        "the same fonts, with Noto's colour emoji in place of Apple's",
        "data:fetch_fonts",
        {"output_dir": _used("the folder to write, without a flag")},
        first="output_dir",
    ),
    _function(
        "scripts/data/robustness/preprocess_pos.py",
        "attacked words in `data/robustness/pos`",
        "data:attack_tags",
        _ATTACKS,
        defaults={"attack": "inner-swap"},
    ),
    _function(
        "scripts/data/robustness/preprocess_snli.py",
        "attacked words in `data/robustness/snli`",
        "data:attack_pairs",
        _ATTACKS,
        defaults={"attack": "inner-swap"},
    ),
)
SCRIPTS: Mapping[str, Script] = {script.name: script for script in _SCRIPTS}
