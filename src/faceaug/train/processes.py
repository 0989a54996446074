"""Training in one process, or in several that torchrun started.

``batch`` is the whole batch. Every process takes its share of the same faces and latents, gradients are averaged, and
batch norm uses the statistics of the whole batch. Except for rounding, a step of two processes equals a step of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from faceaug.errors import ArgumentError
from faceaug.synthesize.networks import BatchNorm2d


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, as one of them sees it.

    Attributes:
        rank: number of this process, from 0; process 0 writes the run folder.
        count: number of processes.
        local_rank: number of this process on its machine; 0 decodes the faces.
        device: where this process computes.
    """

    rank: int
    count: int
    local_rank: int
    device: torch.device

    def share(self, n: int) -> slice:
        """This process's share of n items."""
        each = n // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.count > 1:
            values = values.detach().clone()
            dist.all_reduce(values)
            values /= self.count
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0) if self.count > 1 else flag

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            dist.all_reduce(
                torch.zeros((), device=self.device)
            )  # works with gloo and nccl; nccl's barrier guesses the device

    def from_first(self, data: bytes | None) -> bytes | None:
        """Broadcast the data of process 0."""
        if self.count == 1:
            return data
        length = torch.tensor(-1 if data is None else len(data), device=self.device)
        dist.broadcast(length, 0)
        if int(length) < 0:
            return None
        content = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        if self.rank == 0 and data is not None:
            content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(content, 0)
        return content.cpu().numpy().tobytes()


@contextmanager
def join_processes(device: str | torch.device | None = None) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun, this process alone.

    Args:
        device: where to compute; None for this process's GPU if there is one, otherwise the CPU.

    Raises:
        ArgumentError: the device is not available.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    found = _device(device, local_rank)
    if count == 1:
        yield Processes(0, 1, 0, found)
        return
    began = not dist.is_initialized()
    if began:
        if found.type == "cuda":
            torch.cuda.set_device(found)
        dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, local_rank, found)
    finally:
        if began:
            dist.destroy_process_group()


def _device(wanted: str | torch.device | None, local_rank: int) -> torch.device:
    if wanted is None:
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    return open_device(wanted)


def open_device(wanted: str | torch.device) -> torch.device:
    """A device on which a tensor could be made.

    Raises:
        ArgumentError: there is no such device here.
    """
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentError(f"device {wanted}: not available ({error})") from error
    return device


class SharedBatchNorm2d(BatchNorm2d):
    """Batch norm over the batches of all processes; torch's SyncBatchNorm works on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        """The normalised maps, float (n, c, h, w)."""
        if not self.training:
            return super().forward(x)
        full = x.float()
        # Shares are equal, so the mean of means is the mean. One all_reduce carries both moments.
        moments = torch.stack([full.mean(dim=(0, 2, 3)), full.square().mean(dim=(0, 2, 3))])
        mean, square = (all_reduce(moments) / dist.get_world_size()).unbind()  # type: ignore[no-untyped-call]
        variance = (square - mean.square()).clamp_min(0)
        self._remember(mean.detach(), variance.detach(), x.numel() // x.shape[1] * dist.get_world_size())
        scale = (variance + self.eps).rsqrt() * self.weight
        normalised: Tensor = (full * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(x.dtype)
        return normalised

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        weight = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), weight)


def share_batch_norm(network: nn.Module) -> None:
    """Let every batch norm of a network use the batches of all processes; names and weights do not change."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum, device=child.weight.device)
                shared.load_state_dict(child.state_dict())
                setattr(parent, name, shared)
