"""Changes to a configuration, written as `name=value,name=value`."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import yaml
from transformers.activations import ACT2FN

from pixel_m4.console.errors import UserError
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.model import PixelConfig
from pixel_m4.training.recipes import Node, parse, typed


def parse_overrides(text: str) -> dict[str, Any]:
    """``"hidden_size=48,qkv_bias=false"`` as a dictionary with YAML values.

    Raises:
        ValueError: an item has no ``=``, or a name stands twice.
    """
    return {name: node.plain() for name, node in _overrides(text).items()}


def parse_config_overrides(text: str) -> dict[str, Any]:
    """Changes to the configuration of a model, in the types of its arguments.

    Raises:
        ValueError: there is no such argument, it has an option of its own, or the value is of another type.
    """
    hints = get_type_hints(PixelConfig.__init__)
    known = [name for name in inspect.signature(PixelConfig).parameters if name != "kwargs"]
    found: dict[str, Any] = {}
    for name, node in _overrides(text).items():
        if name in ("image_size", "max_seq_length"):
            raise UserError(f"config_overrides: {name} follows from --max_seq_length; give that")
        if name in ("position_embedding_type", "rope_theta", "rope_parameters"):
            raise UserError(
                f"config_overrides: {name} has an option of its own: give --position_embedding_type, and "
                "--rope_theta"
            )
        if name not in known:
            raise UserError(f"config_overrides: a model has no {name!r}{did_you_mean(name, known)}")
        found[name] = typed(node, hints[name])
        if name == "hidden_act" and found[name] not in ACT2FN:
            raise UserError(
                f"config_overrides: hidden_act: no activation {found[name]!r}; such as gelu, relu"
            )
    return found


def _overrides(text: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for item in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise UserError(f"config_overrides: {item!r} is not name=value")
        if name in found:
            raise UserError(f"config_overrides: {name} stands twice")
        try:
            node = parse(value, name=f"config_overrides: {name}")
        except yaml.YAMLError as error:
            raise UserError(f"config_overrides: {item!r} cannot be read: {error}") from error
        if node is None:
            raise UserError(f"config_overrides: {name} has no value")
        found[name] = node
    return found
