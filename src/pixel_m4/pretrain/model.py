"""The model of pretraining: configuration, weights, second objective, and whether a run can go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.model.config import check_square
from pixel_m4.model.initialisation import begin
from pixel_m4.pretrain.arguments import PretrainArguments
from pixel_m4.pretrain.patch_classes import PatchClasses, PixelWithPatchClasses, forget
from pixel_m4.render import TextRenderer
from pixel_m4.training.overrides import parse_overrides

# What a run cannot change when it goes on.
_FIXED = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("image_size", "patch_size", "num_channels", "qkv_bias", "norm_pix_loss"),
    *(f"decoder_{name}" for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")),
    *("decoder_intermediate_size", "position_embedding_type", "rope_parameters"),
)


def make_config(arguments: PretrainArguments) -> PixelConfig:
    """The configuration that the model will have; no weights are made or loaded.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    overrides = _overrides(arguments)
    positions = arguments.max_positions or arguments.max_seq_length
    if arguments.model_name_or_path is not None:
        saved = PatchClasses.of(PixelConfig.from_pretrained(arguments.model_name_or_path))
        if arguments.patch_classes and saved is not None and saved.number != arguments.patch_classes:
            raise UserError(
                f"{arguments.model_name_or_path} names {saved.number} patches: give --patch_classes "
                f"{saved.number}, or 0 to "
                "go on without the second objective"
            )
        config = PixelConfig.from_pretrained(arguments.model_name_or_path, **overrides)
        check_square(positions)
        config.image_size = [config.patch_size, config.patch_size * positions]
        return config
    return PixelConfig.named(arguments.config_name or "base", image_size=[16, 16 * positions], **overrides)


def make_objective(arguments: PretrainArguments) -> PatchClasses | None:
    """The second objective, if there is one."""
    if not arguments.patch_classes:
        return None
    return PatchClasses(
        number=arguments.patch_classes,
        weight=arguments.class_loss_weight,
        visible=arguments.visible_classes,
        blank=arguments.blank_classes,
    )


def _overrides(arguments: PretrainArguments) -> dict[str, Any]:
    return {
        "hidden_dropout_prob": arguments.dropout_prob,
        "attention_probs_dropout_prob": arguments.dropout_prob,
        "mask_ratio": arguments.mask_ratio,
        "norm_pix_loss": arguments.norm_pix_loss,
        **arguments.positions,
        **parse_overrides(arguments.config_overrides),
    }


def make_model(arguments: PretrainArguments) -> PixelForPreTraining:
    """The model of the checkpoint, or one with random weights, for the asked length.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    config, objective = make_config(arguments), make_objective(arguments)
    if arguments.model_name_or_path is not None:
        kind, more = (PixelForPreTraining, ()) if objective is None else (PixelWithPatchClasses, (objective,))
        model = kind.from_pretrained(arguments.model_name_or_path, *more, **_overrides(arguments))
        if objective is None:
            forget(model.config)
        positions = arguments.max_positions or arguments.max_seq_length
        if model.config.max_seq_length != positions:
            model.resize_positions(positions)
        return model
    model = PixelForPreTraining(config) if objective is None else PixelWithPatchClasses(config, objective)
    begin(model, [*arguments.starts, *(["center_pixels"] if arguments.center_pixels else [])])
    return model


def check_renderer(arguments: PretrainArguments, renderer: TextRenderer, config: PixelConfig) -> None:
    """Refuse a renderer that the model or its second objective cannot be trained with.

    Raises:
        ValueError: says what does not fit.
    """
    if arguments.patch_classes and renderer.rgb:
        raise UserError(
            f"--patch_classes {arguments.patch_classes} names grey patches, and the renderer draws in colour "
            "(RGB): give a grey renderer, or --patch_classes 0"
        )
    if renderer.rgb and config.num_channels != 3:
        raise UserError(
            f"the renderer draws in colour (RGB), and the model takes {config.num_channels} channel"
        )
    if renderer.pixels_per_patch != config.patch_size:
        raise UserError(
            f"the renderer draws patches of {renderer.pixels_per_patch} pixels, and the model takes "
            f"{config.patch_size}"
        )


def check_same_model(checkpoint: Path, config: PixelConfig, objective: PatchClasses | None = None) -> None:
    """Refuse to go on with a model of another shape, or with other targets.

    Raises:
        ValueError: names what differs.
    """
    saved = PixelConfig.from_pretrained(checkpoint)
    differing = [
        f"{name} {getattr(saved, name)}, not {getattr(config, name)}"
        for name in _FIXED
        if getattr(saved, name) != getattr(config, name)
    ]
    before, now = (0 if each is None else each.number for each in (PatchClasses.of(saved), objective))
    if before != now:
        differing.append(f"patch_classes {before}, not {now}")
    blank, blank_now = (each is not None and each.blank for each in (PatchClasses.of(saved), objective))
    if before == now and blank != blank_now:
        differing.append(f"blank_classes {str(blank).lower()}, not {str(blank_now).lower()}")
    if differing:
        found = ", ".join(differing)
        raise UserError(
            f"{checkpoint} was written with {found}: go on with the same options, give another --output_dir, "
            "or start anew with --overwrite_output_dir"
        )
