"""Optimizers that torch and the Trainer do not put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for weight matrices and AdamW for everything else, as one optimizer with one state.

    Parameter groups are the same objects here and in the two optimizers, and so is the state. A schedule that
    multiplies the rates of all groups thus scales both; ``defaults["lr"]`` is AdamW's.

    Args:
        matrices: what Muon updates, each [rows, columns].
        others: parameter groups for AdamW.
        learning_rate: of AdamW.
        muon_learning_rate: of Muon.
        muon_weight_decay: of Muon; decoupled, that is multiplied by its rate.
        **adamw: further arguments of ``torch.optim.AdamW``.

    Sources: Jordan et al. 2024 (Muon); Loshchilov & Hutter 2019 (AdamW).
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Sequence[dict[str, Any]],
        *,
        learning_rate: float,
        muon_learning_rate: float,
        muon_weight_decay: float,
        **adamw: Any,
    ) -> None:
        self._muon = torch.optim.Muon(matrices, lr=muon_learning_rate, weight_decay=muon_weight_decay)
        self._adamw = torch.optim.AdamW(others, lr=learning_rate, **adamw)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {"lr": learning_rate})
        self._share()

    def _share(self) -> None:
        """Let the two optimizers work on this one's groups and state."""
        muons = len(self._muon.param_groups)
        self._muon.param_groups, self._adamw.param_groups = (
            self.param_groups[:muons],
            self.param_groups[muons:],
        )
        self._muon.state = self._adamw.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon.step()
        self._adamw.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()


def muon_for(
    model: nn.Module, args: TrainingArguments, decaying: Iterable[str], muon_learning_rate: float
) -> MuonWithAdamW:
    """Muon for the matrices of a model's layers, AdamW with the Trainer's arguments for the rest.

    Args:
        model: what is trained.
        args: rate, betas, epsilon and weight decay.
        decaying: names of the parameters that AdamW lets decay.
        muon_learning_rate: of Muon.
    """
    parameters, decays = dict(model.named_parameters()), set(decaying)
    matrices, others = split_for_muon(model)
    groups = [
        {
            "params": [parameters[name] for name in others if (name in decays) == wanted],
            "weight_decay": args.weight_decay if wanted else 0.0,
        }
        for wanted in (True, False)
    ]
    return MuonWithAdamW(
        [parameters[name] for name in matrices],
        groups,
        learning_rate=args.learning_rate,
        muon_learning_rate=muon_learning_rate,
        muon_weight_decay=args.weight_decay,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
    )


def split_for_muon(model: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the trainable parameters for Muon and for AdamW.

    Muon takes the matrices of encoder and decoder layers; embeddings, norms, biases, the projection to pixels
    and heads are AdamW's.
    """
    muon: list[str] = []
    adamw: list[str] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer = ".layer." in name or "decoder_layers." in name
            (muon if layer and parameter.ndim == 2 else adamw).append(name)
    return muon, adamw
