"""One thread for tiny models: two cost a hundred times as much on a machine that is busy."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
