"""Arguments of pretraining; their defaults are the published recipe (Kesen et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.masking import goal_of
from pixel_m4.corpus.pretraining import Masking
from pixel_m4.training.arguments import REFUSED, ModelArguments, check_warmup, parse_groups
from pixel_m4.training.defaults import Device, defaults_on, settle_device
from pixel_m4.training.limits import check_values
from pixel_m4.training.overrides import parse_overrides
from pixel_m4.training.settings import Settings

_OBEYED_HERE = ("torch_compile", "torch_compile_backend", "torch_compile_mode", "fsdp", "fsdp_config")
_STREAM = "text is a stream that is shuffled by --seed and --shuffle_blocks"
REFUSED_HERE = {
    **{name: why for name, why in REFUSED.items() if name not in _OBEYED_HERE},
    **dict.fromkeys(("train_sampling_strategy", "data_seed"), _STREAM),
    **dict.fromkeys(
        ("push_to_hub", "hub_model_id", "hub_private_repo", "hub_revision", "hub_token"),
        "the finished model is uploaded with its own push_to_hub (docs/ecosystem.md)",
    ),
    "num_train_epochs": "text is a stream; give --max_steps",
    "label_smoothing_factor": "pixels are no classes",
    "do_predict": "there is nothing to predict; `pixel-m4 fill` paints hidden text",
    **dict.fromkeys(("greater_is_better", "eval_on_start"), "the newest checkpoints are kept"),
    "ignore_data_skip": "text always goes on at its saved position",
    **dict.fromkeys(
        ("dataloader_in_order", "save_only_model"), "a run could not go on exactly where it was stopped"
    ),
    **dict.fromkeys(("prediction_loss_only", "label_names", "include_for_metrics"), "there is only the loss"),
}
"""Arguments of the Trainer that have no meaning in pretraining, or would be ignored, and why."""

_OWN_OPTIONS = {
    *(
        "mask_ratio",
        "norm_pix_loss",
    ),
}
BASE_BATCH = 256  # the batch that the base learning rate is meant for


@dataclass(frozen=True, kw_only=True)
class PretrainArguments(ModelArguments):
    """Text, model and masks; everything else is in :class:`PretrainTrainingArguments`."""

    data_dir: str | None = field(
        default=None,
        metadata={
            "help": "folder with <language>.txt files (a document a line) or <language>/ folders of txt, "
            "jsonl, parquet or Arrow files, plain or compressed; this or --dataset_name is needed"
        },
    )
    dataset_name: str | None = field(
        default=None, metadata={"help": "data set on the hub, streamed; instead of --data_dir"}
    )
    languages: list[str] | None = field(
        default=None,
        metadata={
            "help": "languages of --data_dir (default: all), or configs of --dataset_name: CONFIG, "
            "NAME=CONFIG or, from another data set, NAME=DATASET:CONFIG"
        },
    )
    language_probabilities: str = field(
        default="",
        metadata={"help": "how often each is drawn: en=0.4,hi=0.2,uk=0.2,zh=0.2; default: alike"},
    )
    temperature: float | None = field(
        default=None, metadata={"help": "instead: by their sizes to the power of 1 / temperature"}
    )
    exhausted: str = field(
        default="repeat", metadata={"help": "what happens when a language has no more text"}
    )
    validation_dir: str | None = field(
        default=None,
        metadata={"help": "folder like --data_dir with held-out text; default: none, see --validation_share"},
    )
    validation_share: float = field(
        default=0.01,
        metadata={"help": "without --validation_dir: share of documents that is held out, chosen by hash"},
    )
    validation_blocks: int = field(
        default=64,
        metadata={"help": "held-out blocks of a language to evaluate on; 0: none, train on all"},
    )
    center_pixels: bool = field(
        default=True, metadata={"help": "start random weights as if pixels were centred and scaled"}
    )
    norm_pix_loss: bool = field(
        default=True, metadata={"help": "standardise each patch that is to be predicted"}
    )
    max_seq_length: int = field(default=529, metadata={"help": "patches of a block; a perfect square"})
    min_patches: int = field(default=23, metadata={"help": "shorter blocks are dropped"})
    shuffle_blocks: int = field(
        default=4096,
        metadata={
            "help": "blocks of a language that are shuffled at a time; files of a folder are then read side "
            "by side, too; 0: text as it lies in the files"
        },
    )
    masking: str = field(default="span", metadata={"help": "span or random"})
    mask_ratio: float = field(default=0.25, metadata={"help": "share of the patches that is hidden"})
    max_span: int = field(default=6, metadata={"help": "longest hidden span"})
    patch_classes: int = field(
        default=0,
        metadata={
            "help": "most frequent patches that a second objective learns to name, as 8192; its head is "
            "dropped at the end; 0: pixels only, as published"
        },
    )
    class_loss_weight: float = field(default=0.2, metadata={"help": "weight of that objective"})
    visible_classes: bool = field(
        default=False,
        metadata={"help": "let that objective also name as many patches that are not hidden"},
    )
    blank_classes: bool = field(
        default=False,
        metadata={"help": "show the encoder some patches blank, and let its states name them, too"},
    )
    max_positions: int | None = field(
        default=None,
        metadata={
            "help": "positions of the model, a perfect square, if more than --max_seq_length; see "
            "--draw_positions"
        },
    )
    draw_positions: bool = field(
        default=True,
        metadata={
            "help": "with --max_positions, blocks begin at places drawn from the whole table; false: at the "
            "first place, for a start that later goes on with longer blocks"
        },
    )
    read_back: bool = field(
        default=True,
        metadata={"help": "evaluate how many hidden patches can be read from the predicted pixels, too"},
    )
    picture_steps: int = field(
        default=5_000,
        metadata={"help": "draw reconstructions of held-out text every so many steps; 0: no"},
    )
    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "delete the checkpoints in --output_dir instead of going on from the last"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.data_dir is None) == (self.dataset_name is None):
            raise UserError("give either --data_dir or --dataset_name")
        if self.dataset_name is not None and not self.languages:
            raise UserError("--dataset_name needs --languages, the configs of the data set")
        if self.temperature is not None and self.language_probabilities:
            raise UserError("give either --language_probabilities or --temperature, not both")
        if not 0 < self.validation_share < 1:
            raise UserError(f"--validation_share must lie between 0 and 1, got {self.validation_share}")
        if self.max_positions is not None and self.max_positions < self.max_seq_length:
            raise UserError(
                f"--max_positions {self.max_positions} is less than --max_seq_length {self.max_seq_length}"
            )
        self._check_languages()
        if not self.draw_positions and self.max_positions is None:
            raise UserError("--draw_positions false has no effect without --max_positions")
        for name in _OWN_OPTIONS & set(parse_overrides(self.config_overrides)):
            raise UserError(f"--config_overrides {name}: there is an option of its own, --{name}")
        if self.min_patches > self.max_seq_length:
            raise UserError(
                f"--min_patches {self.min_patches} is more than --max_seq_length {self.max_seq_length}"
            )
        Masking(kind=self.masking, ratio=self.mask_ratio, max_span=self.max_span)
        try:
            goal_of(1, self.max_seq_length, self.mask_ratio)
        except ValueError as error:
            raise UserError(
                f"--mask_ratio {self.mask_ratio:g} of --max_seq_length {self.max_seq_length} patches: {error}"
            ) from error
        for name in ("visible_classes", "blank_classes"):
            if getattr(self, name) and not self.patch_classes:
                raise UserError(f"--{name} needs --patch_classes, such as 8192")

    def _check_languages(self) -> None:
        names = [language.partition("=")[0] for language in self.languages or ()]
        if self.languages is not None and not names:
            raise UserError("--languages is an empty list; name some, or leave it out")
        for name in names:
            if not name or name != name.strip() or "," in name or "/" in name:
                raise UserError(f"--languages: {name!r} is no name of a language; write en hi, or [en, hi]")
            if names.count(name) > 1:
                raise UserError(f"--languages: {name} is there twice")
        if self.data_dir is not None and any("=" in language for language in self.languages or ()):
            raise UserError(
                "--languages: NAME=CONFIG is for --dataset_name; with --data_dir write names only"
            )
        shares = parse_probabilities(self.language_probabilities) or {}
        for name, share in shares.items():
            if not share > 0 or not math.isfinite(share):
                raise UserError(
                    f"--language_probabilities: {name}={share:g} must be greater than 0; leave the language "
                    "out of --languages instead"
                )
        if shares and names and (differing := set(shares) ^ set(names)):
            raise UserError(
                f"--language_probabilities and --languages differ: {', '.join(sorted(differing))}"
            )
        if shares and abs(math.fsum(shares.values()) - 1) > 1e-6:
            raise UserError(
                f"--language_probabilities must sum to one, not {math.fsum(shares.values()):g}: "
                f"{self.language_probabilities}"
            )


@dataclass
class PretrainTrainingArguments(TrainingArguments):
    """The Trainer's arguments with the published recipe as defaults.

    The batch of a step is ``total_batch_size`` whatever the number of processes: gradients are accumulated
    over as many parts as ``per_device_train_batch_size`` asks for, unless ``gradient_accumulation_steps`` is
    given.
    """

    max_steps: int = field(default=1_000_000, metadata={"help": "optimizer steps"})
    total_batch_size: int = field(
        default=256, metadata={"help": "blocks of a step, over all processes and accumulated parts"}
    )
    per_device_train_batch_size: int = field(
        default=32, metadata={"help": "blocks that a process computes at once, at most"}
    )
    gradient_accumulation_steps: int | None = field(
        default=None, metadata={"help": "parts of a step; default: what makes up --total_batch_size"}
    )
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "blocks evaluated at once"})
    base_learning_rate: float = field(
        default=1.5e-4, metadata={"help": "rate for a batch of 256; scaled with the batch"}
    )
    learning_rate: float | None = field(
        default=None, metadata={"help": "highest rate, instead of --base_learning_rate"}
    )
    min_learning_rate: float = field(default=1e-5, metadata={"help": "rate of the last step"})
    optim: str = field(
        default="adamw_torch_fused",
        metadata={"help": "muon (AdamW for what is no matrix of a layer), or an optimizer of the Trainer"},
    )
    muon_learning_rate: float = field(default=0.02, metadata={"help": "highest rate of Muon's matrices"})
    lr_scheduler_type: str = field(default="cosine_with_min_lr", metadata={"help": "schedule of the rate"})
    warmup_steps: float = field(default=0.05, metadata={"help": "steps of warm-up; below 1: their share"})
    weight_decay: float = field(default=0.05, metadata={"help": "weight decay, decoupled"})
    eval_strategy: str = field(default="steps", metadata={"help": "when to evaluate"})
    eval_steps: float | None = field(default=5_000, metadata={"help": "evaluate every so many steps"})
    save_steps: float = field(default=5_000, metadata={"help": "save a checkpoint every so many steps"})
    save_total_limit: int | None = field(default=2, metadata={"help": "newest checkpoints to keep"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "has no use here"})
    ignore_data_skip: bool = field(
        default=True,
        metadata={"help": "always: the text goes on at its saved position, nothing is read twice"},
    )
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "keep batches where GPUs can fetch them"}
    )
    muon: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.load_best_model_at_end or self.metric_for_best_model or self.save_strategy == "best":
            raise UserError("pretraining keeps the newest checkpoints, there is no choice of the best one")
        if not self.ignore_data_skip:
            raise UserError(
                "--ignore_data_skip false is not obeyed: text always goes on at its saved position"
            )
        for name in ("save_strategy", "eval_strategy", "logging_strategy"):
            value = getattr(self, name)
            if getattr(value, "value", value) == "epoch":
                raise UserError(f"--{name} epoch: pretraining counts steps; write steps or no")
        self.muon = self.optim == "muon"
        for name in ("optim_args", "optim_target_modules"):
            if self.muon and getattr(self, name):
                raise UserError(f"--{name} has no effect with --optim muon; leave it out")
        if self.muon:
            self.optim = "adamw_torch_fused"
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else processes of torchrun do not find each other
        given, accumulation = self.learning_rate, self.gradient_accumulation_steps
        self.learning_rate, self.gradient_accumulation_steps = given or 0.0, accumulation or 1
        super().__post_init__()
        if self.n_gpu > 1:
            raise UserError(
                f"one process sees {self.n_gpu} GPUs: start with torchrun --nproc_per_node {self.n_gpu}, or "
                "set CUDA_VISIBLE_DEVICES to one of them"
            )
        check_values(self)
        if self.max_steps < 1:
            raise UserError(f"--max_steps must be at least 1, got {self.max_steps}")
        if accumulation is None:
            self._divide_batch()
        else:
            self.total_batch_size = self.per_device_train_batch_size * self.world_size * accumulation
        if given is None:
            self.learning_rate = self.base_learning_rate * self.total_batch_size / BASE_BATCH
        self.lr_scheduler_kwargs: dict[str, float] | str | None
        if self.lr_scheduler_type == "cosine_with_min_lr" and not self.lr_scheduler_kwargs:
            # A small batch may have a smaller rate than the minimum; then it is constant.
            self.lr_scheduler_kwargs = {"min_lr": min(self.min_learning_rate, self.learning_rate)}

    def _divide_batch(self) -> None:
        share, rest = divmod(self.total_batch_size, self.world_size)
        if rest or share < 1:
            raise UserError(
                f"--total_batch_size {self.total_batch_size} is no multiple of {self.world_size} processes"
            )
        self.per_device_train_batch_size = min(self.per_device_train_batch_size, share)
        self.gradient_accumulation_steps, rest = divmod(share, self.per_device_train_batch_size)
        if rest:
            raise UserError(
                f"--total_batch_size {self.total_batch_size} gives each of {self.world_size} processes "
                f"{share} blocks, which is no multiple of --per_device_train_batch_size "
                f"{self.per_device_train_batch_size}"
            )


def parse_probabilities(text: str) -> dict[str, float] | None:
    """``"en=0.5,hi=0.5"`` as a dictionary, None if there is nothing.

    Raises:
        ValueError: an item has no ``=``, a language is there twice, or a value is no number.
    """
    try:
        found = parse_overrides(text)
    except ValueError as error:
        raise UserError(str(error).replace("config_overrides", "--language_probabilities")) from error
    for language, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"--language_probabilities: {language}={value} is no number")
    return found or None


def parse_arguments(argv: Sequence[str]) -> tuple[PretrainArguments, PretrainTrainingArguments]:
    """Parse the command line of ``pixel-m4 pretrain``: it wins over ``--config``, that over defaults.

    Raises:
        ValueError: a value is not possible, or the YAML file holds a name that is no argument.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    groups = (PretrainArguments, PretrainTrainingArguments)
    device = Device.found()
    chosen = defaults_on(device, pretraining=True)

    def rules(settings: Settings) -> None:
        _settle(settings)
        settle_device(settings, device, chosen)

    defaults = {"report_to": "tensorboard", **chosen}
    arguments, training = parse_groups(
        "pixel-m4 pretrain", groups, defaults, argv, required=("output_dir",), rules=rules
    )
    return arguments, training


def _settle(settings: Settings) -> None:
    """What is written higher wins; what cannot have an effect is refused."""
    for name, why in REFUSED_HERE.items():
        if settings.given(name) and settings[name] not in (settings.defaults[name], None):
            raise UserError(f"{settings.said(name)} is not obeyed: {why}; leave it out")
    if settings.given("do_train") and not settings["do_train"]:
        raise UserError("--do_train false is not obeyed: pretraining trains; leave it out")
    for first, second in (
        ("data_dir", "dataset_name"),
        ("language_probabilities", "temperature"),
        ("learning_rate", "base_learning_rate"),
        ("gradient_accumulation_steps", "total_batch_size"),
        ("lr_scheduler_kwargs", "min_learning_rate"),
        ("validation_dir", "validation_share"),
    ):
        settings.choose(first, second)
    for name, decides, wanted, why in (
        ("muon_learning_rate", "optim", ("muon",), "it needs --optim muon"),
        (
            "min_learning_rate",
            "lr_scheduler_type",
            ("cosine_with_min_lr",),
            "the schedule has no lowest rate",
        ),
        ("max_span", "masking", ("span",), "only --masking span hides spans"),
    ):
        if settings[decides] not in wanted:
            settings.needless(name, settings.layer(decides), why)
    if not settings["patch_classes"]:
        settings.needless("class_loss_weight", settings.layer("patch_classes"), "it needs --patch_classes")
    if not settings["validation_blocks"]:
        for name in ("validation_dir", "validation_share"):
            settings.needless(name, settings.layer("validation_blocks"), "--validation_blocks is 0")
    if settings["model_name_or_path"] is not None:
        top = settings.layer("model_name_or_path")
        settings.needless("center_pixels", top, "the weights of a checkpoint are not new")
    if settings["eval_strategy"] == "no":
        settings.needless("eval_steps", settings.layer("eval_strategy"), "--eval_strategy is no")
    check_warmup(settings)
