"""Using a model: arrays in, outputs out, without gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pixel_m4.model.checks import checked_on_device


def as_tensors(batch: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays as tensors that share their memory."""
    return {name: torch.from_numpy(values) for name, values in batch.items()}


class Answering:
    """What pixel models and text models share when they are used; see `pixel_m4.tasks.base.Network`."""

    @torch.inference_mode()
    def answer(self: Any, batch: Mapping[str, NDArray[Any]]) -> Any:
        """Run the model in evaluation mode on a batch of arrays, wherever it is.

        Args:
            batch: Arguments of `forward`.

        Returns:
            What `forward` gives

        Raises:
            ValueError: It cannot be given this batch; names the shape or the value.
        """
        self.eval()
        return self(**checked_on_device(self.config, as_tensors(batch), self.device))
