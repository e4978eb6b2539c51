"""How fast training goes: patches a second, and its share of what the processor can do.

Dimensions: B batch, P patches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.model.flops import training_flops


def matmul_peak(device: torch.device, dtype: torch.dtype, repetitions: int = 4) -> float:
    """Measured operations a second of a large matrix product, the best of some.

    On a CPU that computes the dtype slowly, such as bfloat16 without instructions for it, of a smaller one:
    it takes a fraction of a second.
    """
    if device.type == "cuda":
        return _matmul(device, dtype, 8192, repetitions)
    rate = _matmul(device, dtype, 256, 1)
    return rate if 2 * 1536**3 / rate > 1 else _matmul(device, dtype, 1536, repetitions)


def _matmul(device: torch.device, dtype: torch.dtype, size: int, repetitions: int) -> float:
    generator = torch.Generator(device).manual_seed(0)
    a, b = torch.randn(2, size, size, generator=generator, device=device).to(dtype)
    best = float("inf")
    for _ in range(repetitions + 1):  # the first one warms up
        synchronize(device)
        start = time.perf_counter()
        torch.matmul(a, b)
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type not in ("cpu", "meta"):
        torch.accelerator.synchronize(device)


class Throughput:
    """Counts patches and operations between two reports.

    Args:
        config: the model that is trained.
        peak: operations a second of the device, see :func:`matmul_peak`.
        more: operations of a training step beside those of the model, by the number of real patches.
    """

    def __init__(
        self, config: PixelConfig, peak: float, more: Callable[[int], int] = lambda patches: 0
    ) -> None:
        self._costs = np.array(  # by the number of real patches
            [0]
            + [
                training_flops(config, PixelForPreTraining, n).total + more(n)
                for n in range(1, 1 + config.max_patches)
            ],
            dtype=np.float64,
        )
        self._peak = peak
        self.patches_seen = 0.0
        self._carried = 0.0  # patches of a window that a checkpoint cut in two
        self.restart()

    def restart(self) -> None:
        """Begin a new window."""
        self._patches = self._places = self._flops = 0.0
        self._start = time.perf_counter()

    def add(self, attention_mask: Tensor) -> float:
        """Count a batch; returns the operations of a training step with it, its padding not counted.

        Args:
            attention_mask: [B, P], on the CPU
        """
        lengths = attention_mask.sum(1).cpu().numpy()
        flops = float(self._costs[lengths].sum())
        self._patches += float(lengths.sum())
        self._places += attention_mask.numel()
        self._flops += flops
        return flops

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens meanwhile is not training: evaluating, drawing, saving."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - start

    def totals(self) -> list[float]:
        """Patches, places for patches, operations, patches carried over: what is summed up over processes."""
        return [self._patches, self._places, self._flops, self._carried]

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"patches_seen": self.patches_seen, "since_report": self._patches + self._carried}

    def load(self, state: Mapping[str, float]) -> None:
        """Go on counting patches where a checkpoint was written."""
        self.patches_seen, self._carried = state["patches_seen"], state["since_report"]

    def report(self, totals: list[float], processes: int) -> dict[str, float]:
        """The numbers of a window, which ends here.

        Args:
            totals: :meth:`totals`, summed up over processes.
            processes: how many there are.

        Returns:
            ``patches_per_second`` (real ones, of all processes), ``peak_share`` of the measured matrix
            product, ``fill_rate`` (real patches of all places in batches), ``patches_seen`` since step 1
        """
        patches, places, flops, carried = totals
        seconds = max(time.perf_counter() - self._start, 1e-9)
        self.patches_seen += patches + carried
        self._carried = 0.0
        self.restart()
        return {
            "patches_per_second": patches / seconds,
            "peak_share": flops / seconds / (self._peak * processes),
            "fill_rate": patches / max(places, 1),
            "patches_seen": self.patches_seen,
        }
