"""Means and covariances of the two classes, of a batch and of what went before it, that gradients flow through."""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from taskct.errors import UserError
from taskct.ranges import Range

MEMORY = Range(0, unit="trials", whole=True)


class ClassMoments(nn.Module):
    """Mean and covariance of each class: those of a batch, put together with what is remembered of earlier ones.

    A batch of some tens of trials says little about a covariance, and a loss made of it alone would chase the noise
    of that batch. So in training mode the moments are those of the batch's n_c trials of a class and of the last
    `memory` trials before them together (0 takes each batch alone):

        m_c = (1 − b) M_c + b v̄_c,    K_c = (1 − b) C_c + b S_c,    b = n_c / (n_c + min(trials before, memory)),

    with v̄_c and S_c the batch's mean and its scatter about m_c, made unbiased; M_c and C_c become m_c and K_c after
    each batch, so that images of an earlier network fade away. What is remembered carries no gradient; that into
    v̄_c and S_c is multiplied by 1/b, so that a step follows the slope of the loss in all of a class's trials, not the
    share b of it. A class that a batch lacks keeps what is remembered of it.

    With several processes the batch is that of all of them, and each gets the gradient that averaging between
    processes needs. In evaluation mode, and under `torch.no_grad`, the moments are those of the batch alone; nothing
    is remembered and nothing exchanged.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    n_seen: torch.Tensor

    def __init__(self, n_features: int, *, memory: int) -> None:
        super().__init__()
        self.memory = int(MEMORY.check("memory", memory))
        self.register_buffer("mean", torch.zeros(2, n_features, dtype=torch.float64))
        self.register_buffer("covariance", torch.zeros(2, n_features, n_features, dtype=torch.float64))
        self.register_buffer("n_seen", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def remember(
        self, features: torch.Tensor, signal_present: torch.Tensor, *, least: tuple[int, int] = (2, 2)
    ) -> None:
        """Remember these trials, see `forward`, and forget all others."""
        n, mean, covariance = self._together(features, signal_present, torch.zeros_like(self.n_seen), False, least)
        self._keep(mean, covariance, n)

    def forward(
        self, features: torch.Tensor, signal_present: torch.Tensor, *, least: tuple[int, int] = (2, 2)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Moments of the two classes, float64: means `(2, n_features)`, covariances `(2, n_features, n_features)`.

        Signal-absent trials stand first. `features` are `(n, n_features)`, float64. A `UserError` if fewer than `least`
        trials of a class are known, from the batch and before it: a covariance needs 2. The mean of none is 0.
        """
        learning = self.training and torch.is_grad_enabled()
        exchange = learning and dist.is_available() and dist.is_initialized()
        seen = self.n_seen if learning else torch.zeros_like(self.n_seen)
        n, mean, covariance = self._together(features, signal_present, seen, exchange, least)
        if learning:
            self._keep(mean.detach(), covariance.detach(), seen + n)
        return mean, covariance

    def _keep(self, mean: torch.Tensor, covariance: torch.Tensor, n_seen: torch.Tensor) -> None:
        self.mean.copy_(mean)
        self.covariance.copy_(covariance)
        self.n_seen.copy_(n_seen.clamp(max=float(self.memory)))

    def _together(
        self,
        features: torch.Tensor,
        signal_present: torch.Tensor,
        seen: torch.Tensor,
        exchange: bool,
        least: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Trials of each class in the batch, and the moments of it and of `seen` remembered trials."""

        def total(part: torch.Tensor) -> torch.Tensor:
            return sum_over_processes(part) if exchange else part

        members = torch.stack([~signal_present, signal_present]).to(features)
        n = total(members.sum(dim=1))
        known = n + seen
        if any(k < wanted for k, wanted in zip(known.tolist(), least, strict=True)):
            raise UserError(
                f"the batch has {int(n[1])} signal-present and {int(n[0])} signal-absent trials of use to the task; it "
                f"needs {least[1]} and {least[0]} at least; raise training.batch_size"
            )
        share = (n / known.clamp(min=1.0))[:, None]
        factor = (known / n.clamp(min=1.0))[:, None]
        batch_mean = total(members @ features) / n.clamp(min=1.0)[:, None]
        remembered = torch.where(seen[:, None] > 0.0, self.mean, 0.0)
        mean = (1.0 - share) * remembered + share * _scaled(batch_mean, factor)
        # The scatter's gradient into the means is left out: it is 0 for a batch alone.
        residual = features - members.T @ mean.detach()
        scatter = total(torch.einsum("cn,ni,nj->cij", members, residual, residual))
        scatter = scatter / (n * (1.0 - 1.0 / known.clamp(min=2.0))).clamp(min=0.5)[:, None, None]
        share, factor = share[:, :, None], factor[:, :, None]
        remembered = torch.where(seen[:, None, None] > 0.0, self.covariance, 0.0)
        covariance = (1.0 - share) * remembered + share * _scaled(scatter, factor)
        return n, mean, covariance


def _scaled(values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """The same values; their gradient arrives multiplied by `factor`."""
    return values + (factor - 1.0) * (values - values.detach())


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own context
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own context
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes of a data-parallel run.

    The loss is the same in every process, so the gradient that each receives is the sum over processes, as many times
    too large as there are processes; averaging the parameters' gradients between them, as DDP does, makes it right.
    """
    total: torch.Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]  # untyped in torch
    return total
