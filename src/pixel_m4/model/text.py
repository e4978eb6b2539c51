"""Text models: an encoder of sub-words such as BERT or XLM-R in the place of the pixel encoder.

The sequence has the shape of a pixel model's: CLS, sub-words where patches would be, and an end. So the
heads, the tasks and the training of pixel models serve these as well.

Dimensions: B batch, P places beside CLS (sub-words, and what the tokenizer adds), D width, H heads.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pixel_m4.console.errors import UserError
from pixel_m4.model.answering import Answering
from pixel_m4.model.checks import check_ids
from pixel_m4.model.config import HUB_OPTIONS
from pixel_m4.model.inputs import as_in_transformers
from pixel_m4.model.loading import (
    check_folder,
    check_loaded,
    named_errors,
    weights_in,
    without_report,
)
from pixel_m4.model.text_config import (
    TextConfig,
    check_length,
    model_type_of,
    new_encoder,
    read_config,
)
from pixel_m4.model.vit import ClsPooler, LayerMix, PixelPreTrainedModel, init_weights, resolve
from pixel_m4.shipped import find_model


class TextPreTrainedModel(Answering, PreTrainedModel):
    """What all text models share: initialisation, loading, and the length of their sequences."""

    config_class = TextConfig
    base_model_prefix = "text"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As in pixel models; encoders have their own."""
        init_weights(module, self.config.initializer_range)

    def resize_positions(self, max_seq_length: int) -> None:
        """Note another length of sequences; the encoder's positions stay as they are.

        Args:
            max_seq_length: In sub-words, [CLS] and [SEP] counted.

        Raises:
            ValueError: The encoder has no positions for so many.
        """
        check_length(max_seq_length, self.config.positions)
        self.config.max_seq_length = max_seq_length

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *model_args: Any,
        ignore_unexpected_keys: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a fine-tuned text model, or the weights of an encoder such as BERT, from a folder or the hub.

        Weights are safetensors; pickles are refused, and no code of a checkpoint is run. They become float32,
        `dtype` says otherwise. What the checkpoint does not have, such as a new head, is named in one line of
        the log; heads that it has and the model has not are left out.

        Args:
            pretrained_model_name_or_path: A folder, or a name on the hub.
            *model_args: What the class takes beside the configuration.
            ignore_unexpected_keys: Whether to leave out weights that have no place in the model.
            **kwargs: What transformers takes: `revision`, `config`, `dtype`, `ignore_mismatched_sizes` …

        Raises:
            FileNotFoundError: The path or its `config.json` does not exist, or the hub has no such model.
            OSError: The folder holds no weights, or the hub cannot be reached.
            ValueError: The weights are a pickle, damaged, or do not fit the configuration.
        """
        name, asked = pretrained_model_name_or_path, bool(kwargs.get("ignore_mismatched_sizes"))
        hub = {key: kwargs[key] for key in HUB_OPTIONS if key in kwargs}
        config = kwargs.pop("config", None)
        folder = name
        if name is not None:
            name = find_model(name, **hub)
            folder = Path(name, hub.get("subfolder") or "") if Path(name).is_dir() else name
            check_folder(folder, needs_config=config is None)
            check_no_pickle(folder)
            config = read_config(name, **hub) if config is None else config
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        options = {**kwargs, "config": config, "output_loading_info": True, "ignore_mismatched_sizes": True}
        with named_errors(folder), without_report():
            if name is not None and model_type_of(name, **hub) != TextConfig.model_type:
                options["state_dict"] = encoder_weights(name, config.encoder_config, hub)
                name = None
            model, info = super().from_pretrained(name, *model_args, use_safetensors=True, **options)
        check_loaded(model, folder, info, ignore_sizes=asked, ignore_unexpected=ignore_unexpected_keys)
        return (model, info) if kwargs.get("output_loading_info") else model


AnyModel = PixelPreTrainedModel | TextPreTrainedModel
"""A model of either kind."""


def check_no_pickle(folder: Any) -> None:
    """Refuse a folder whose weights are pickles, which can run code; names on the hub pass.

    Raises:
        ValueError: Names the file.
    """
    pickles = [file for file in weights_in(Path(str(folder))) if file.suffix != ".safetensors"]
    if pickles:
        raise UserError(
            f"{pickles[0]} is a pickle, which can run code: text models are loaded from model.safetensors "
            "alone; save the model again with transformers' save_pretrained"
        )


def encoder_weights(name: str, config: PreTrainedConfig, hub: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of an encoder's own checkpoint, under the names that they have in a text model.

    Args:
        name: A folder, or a name on the hub.
        config: Of the encoder.
        hub: Where on the hub it is.
    """
    options: dict[str, Any] = {
        **hub,
        "config": config,
        "dtype": torch.float32,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # they are refused below, with a name
    }
    encoder, info = AutoModel.from_pretrained(name, **options)
    wrong = sorted(info["mismatched_keys"])
    if wrong:
        raise UserError(f"{name}: {wrong[0][0]} has another size than the configuration says")
    missing = set(info["missing_keys"])  # what stands there is new
    return {f"text.encoder.{key}": value for key, value in encoder.state_dict().items() if key not in missing}


class TextModel(TextPreTrainedModel):
    """The encoder alone, called as a pixel model is.

    Args:
        config: Its configuration.
        add_pooling_layer: Whether to have a state of the whole text as `pooler_output`: by the encoder's own
            pooler (BERT's is tanh(dense(CLS))) or, if it has none, by a new one of that form.
    """

    def __init__(self, config: TextConfig, add_pooling_layer: bool = False) -> None:
        super().__init__(config)
        self.encoder, pools = new_encoder(config.encoder_config, add_pooling_layer)
        self.mix = LayerMix(config) if config.mix_layers else None
        self.pooler = ClsPooler(config) if add_pooling_layer and not pools else None
        names = inspect.signature(self.encoder.forward).parameters
        self.reads_types = (
            "token_type_ids" in names and getattr(config.encoder_config, "type_vocab_size", 0) > 1
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of sub-words."""
        embeddings: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]
        return embeddings

    @as_in_transformers
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> BaseModelOutputWithPooling:
        """Encode sequences of sub-words.

        Args:
            input_ids: [B, 1 + P], CLS first
            attention_mask: [B, P], 0 for padding; without CLS, as that of pixel models
            output_hidden_states: Whether to return the embeddings and each layer's output
            output_attentions: Whether to return attention weights, if the encoder gives them
            token_type_ids: [B, 1 + P], which text of a pair; encoders without such embeddings leave it out

        Returns:
            last_hidden_state [B, 1 + P, D], pooler_output [B, D] with a pooling layer, hidden_states
            ([B, 1 + P, D], one more than layers), attentions ([B, H, 1 + P, 1 + P] a layer)

        Raises:
            ValueError: A shape is wrong, or there are more places than positions.
        """
        check_ids(self.config, input_ids, attention_mask)
        output_hidden_states = resolve(output_hidden_states, self.config.output_hidden_states)
        options: dict[str, Any] = {
            "output_hidden_states": output_hidden_states or self.mix is not None,
            "output_attentions": resolve(output_attentions, self.config.output_attentions),
            "return_dict": True,
        }
        if attention_mask is not None:
            options["attention_mask"] = F.pad((attention_mask != 0).long(), (1, 0), value=1)
        if token_type_ids is not None and self.reads_types:
            options["token_type_ids"] = token_type_ids
        encoded = self.encoder(input_ids=input_ids, **options)
        states = encoded.last_hidden_state
        if self.mix is not None:
            states = self.mix(encoded.hidden_states, nn.Identity())
        pooled = encoded.get("pooler_output") if self.pooler is None else self.pooler(states)
        return BaseModelOutputWithPooling(
            last_hidden_state=states,
            pooler_output=pooled,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            attentions=encoded.get("attentions"),
        )
