"""Optimizers that torch and the Trainer do not put together.

Dimensions: N matrices, R rows, C columns.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate
from transformers import TrainingArguments

from pixel_m4.console.errors import UserError

Group = dict[str, Any]

# Elements of the matrices that are computed at once: on a CPU what fits into a core's second-level cache.
_AT_ONCE_CPU, _AT_ONCE = 2**16, 2**26


class Muon(torch.optim.Optimizer):
    """Muon, with the update rule, the arguments and the state of ``torch.optim.Muon``, for any processor.

    Newton–Schulz runs in a dtype that the device is fast in, see :func:`iteration_dtype`; torch's always
    takes bfloat16, which most CPUs compute many times slower than float32.  Matrices of one shape are
    computed together, and each of several processes computes its share of them.

    Args:
        parameters: what to update, each [R, C]; under FSDP2, ``DTensor`` of any placement.
        lr: learning rate, multiplied by the square root of R / C where that is more than 1.
        weight_decay: decoupled, that is multiplied by ``lr``.
        momentum: share of the running mean that a step keeps; Nesterov's.
        ns_coefficients: of Newton–Schulz.
        eps: the least norm of an update.
        ns_steps: of Newton–Schulz.
        distributed: divide the work among the processes of the default process group; they must hold the same
            matrices and gradients, whole or as shards.
        dtype: of Newton–Schulz; default :func:`iteration_dtype`.

    Raises:
        ValueError: a parameter is no matrix.

    Source: Jordan et al. 2024.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        distributed: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": True,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": None,
        }
        super().__init__(parameters, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon is for matrices, not for shape {list(parameter.shape)}")
        self._distributed = distributed
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if self._distributed and dist.get_world_size() > 1:
                directions = self._gathered(parameters, group)
            else:
                directions = self._directions(parameters, group, partial(self._update, group=group))
            for parameter, direction in directions:
                rows, columns = parameter.shape
                rate = group["lr"] * math.sqrt(max(1, rows / columns))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(_placed(direction, parameter), alpha=-rate)
        return loss

    def _update(self, parameter: nn.Parameter, group: Group) -> Tensor:
        """The gradient with Nesterov's momentum, [R, C]; counts the gradient into the momentum."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(mean, group["momentum"]) if group["nesterov"] else mean
        # Of weights that are divided among processes (FSDP), all take part to put it together.
        return update.full_tensor() if isinstance(update, DTensor) else update

    def _directions(
        self, parameters: Iterable[nn.Parameter], group: Group, update: Callable[[nn.Parameter], Tensor]
    ) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """The orthogonal update of each matrix, [R, C], in any order."""
        shapes: defaultdict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            shapes[tuple(sorted(parameter.shape))].append(parameter)
        for shape, alike in shapes.items():
            device = alike[0].device
            elements = _AT_ONCE_CPU if device.type == "cpu" else _AT_ONCE
            count = max(1, elements // math.prod(shape))
            for first in range(0, len(alike), count):
                part = alike[first : first + count]
                stacked = torch.empty(len(part), *shape, dtype=self._dtype_on(device), device=device)
                for place, parameter in zip(stacked, part, strict=True):
                    place.copy_(_wide(update(parameter)))
                stacked = orthogonalize(stacked, group["ns_coefficients"], group["eps"], group["ns_steps"])
                for parameter, direction in zip(part, stacked, strict=True):
                    rows, columns = parameter.shape
                    yield parameter, direction.mT if rows > columns else direction

    def _gathered(
        self, parameters: Sequence[nn.Parameter], group: Group
    ) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """The same; each process computes a share and gets the others' results."""
        if not parameters:
            return
        shares = divide(parameters, dist.get_world_size())
        rank = dist.get_rank()
        mine = set(shares[rank])
        updates: dict[nn.Parameter, Tensor] = {}
        for parameter in parameters:  # all of them: every process has the whole state, or its shard of it
            update = self._update(parameter, group)
            if parameter in mine:
                updates[parameter] = update
        device = parameters[0].device
        sizes = [[parameter.numel() for parameter in share] for share in shares]
        length = max(map(sum, sizes))
        sent = torch.zeros(length, dtype=self._dtype_on(device), device=device)
        received = [torch.empty_like(sent) for _ in shares]
        parts = sent.split(_filled(sizes[rank], length))
        places = dict(zip(shares[rank], parts, strict=False))  # the last part is empty
        for parameter, direction in self._directions(updates, group, updates.__getitem__):
            places[parameter].view(parameter.shape).copy_(direction)
        dist.all_gather(received, sent)
        for share, size, part in zip(shares, sizes, received, strict=True):
            for parameter, flat in zip(share, part.split(_filled(size, length)), strict=False):
                yield parameter, flat.view(parameter.shape)

    def _dtype_on(self, device: torch.device) -> torch.dtype:
        return self._dtype or iteration_dtype(device)


def iteration_dtype(device: torch.device) -> torch.dtype:
    """What Newton–Schulz is computed in: bfloat16 on accelerators that have it, float32 elsewhere.

    A CPU gets float32 even if it has bfloat16 instructions, so that a run can go on with the same bits on
    another one; the step costs little of a training step either way (``benchmarks/bench_optimizer.py``).
    """
    if device.type in ("cpu", "mps"):
        return torch.float32
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float32
    return torch.bfloat16


def orthogonalize(
    matrices: Tensor, coefficients: tuple[float, float, float], eps: float, steps: int
) -> Tensor:
    """Matrices with about the same singular vectors and singular values near 1, by Newton–Schulz.

    Args:
        matrices: [N, R, C] with R ≤ C; the dtype of the iteration; overwritten.
        coefficients: a, b, c of X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X
        eps: the least norm that a matrix is divided by.
        steps: iterations.

    Returns:
        [N, R, C]
    """
    a, b, c = coefficients
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    matrices.div_(norms.clamp(min=eps))
    rows, columns = matrices.shape[1:]
    if steps and matrices.dtype in (torch.float32, torch.float64) and 2 * columns >= 3 * rows:
        # All powers of X Xᵀ commute, so the factor that X gets in all steps comes from R × R products alone:
        # fewer operations for wide matrices, and as exact in float32.
        gram = matrices @ matrices.mT
        factor: Tensor | None = None
        for step in range(steps):
            change = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            change.diagonal(dim1=1, dim2=2).add_(a)
            factor = change if factor is None else factor @ change
            if step < steps - 1:
                gram = change @ gram @ change
        assert factor is not None
        return factor @ matrices
    for _ in range(steps):
        gram = matrices @ matrices.mT
        change = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        matrices = torch.baddbmm(matrices, change, matrices, beta=a)
    return matrices


def divide(parameters: Sequence[nn.Parameter], shares: int) -> list[list[nn.Parameter]]:
    """Matrices in shares of about equal work, the same on all processes; the dearest first."""

    def work(parameter: nn.Parameter) -> int:
        rows, columns = sorted(parameter.shape)
        return rows * rows * (rows + 2 * columns)

    found: list[list[nn.Parameter]] = [[] for _ in range(shares)]
    loads = [0] * shares
    for parameter in sorted(parameters, key=work, reverse=True):
        least = loads.index(min(loads))
        found[least].append(parameter)
        loads[least] += work(parameter)
    return found


def _wide(matrix: Tensor) -> Tensor:
    rows, columns = matrix.shape
    return matrix.mT if rows > columns else matrix


def _filled(sizes: Sequence[int], length: int) -> list[int]:
    """Sizes that add up to ``length``."""
    return [*sizes, length - sum(sizes)]


def _placed(direction: Tensor, parameter: Tensor) -> Tensor:
    """In the dtype of the parameter, and in shards if that lies in shards."""
    direction = direction.to(parameter.dtype)
    if not isinstance(parameter, DTensor):
        return direction
    mesh = parameter.device_mesh
    whole = DTensor.from_local(direction.contiguous(), mesh, [Replicate()] * mesh.ndim, run_check=False)
    return whole.redistribute(mesh, parameter.placements)


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for weight matrices and AdamW for everything else, as one optimizer with one state.

    Parameter groups are the same objects here and in the two optimizers, and so is the state. A schedule that
    multiplies the rates of all groups thus scales both; ``defaults["lr"]`` is AdamW's.

    Args:
        matrices: what Muon updates, each [R, C].
        others: parameter groups for AdamW.
        learning_rate: of AdamW.
        muon_learning_rate: of Muon.
        muon_weight_decay: of Muon; decoupled, that is multiplied by its rate.
        distributed: let each process compute a share of Muon's matrices, see :class:`Muon`.
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
        distributed: bool = False,
        **adamw: Any,
    ) -> None:
        self._muon = Muon(
            matrices, lr=muon_learning_rate, weight_decay=muon_weight_decay, distributed=distributed
        )
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

    Raises:
        ValueError: the processes hold no whole matrices and cannot put them together.
    """
    parameters, decays = dict(model.named_parameters()), set(decaying)
    matrices, others = split_for_muon(model)
    if not matrices:
        raise UserError(
            "Muon found no matrices in the layers of the model: they are frozen, or flattened by FSDP 1 "
            "(take FSDP 2, as configs/accelerate-fsdp2.yaml does)"
        )
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
        distributed=args.world_size > 1,
        fused=all(parameter.device.type in ("cpu", "cuda") for parameter in parameters.values()),
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
