"""Several tasks at once: the mean of their losses."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from taskct.errors import UserError
from taskct.seeds import derive_seed
from taskct.training.losses.base import TaskLoss


class SeveralTasks(TaskLoss):
    """The mean of several task losses, as of a head that sees pixels and one behind an eye.

    Each task's own parameters receive the full gradient of their own loss, whatever λ is and however many there are.

    Parameters
    ----------
    tasks
        At least one.

    Raises
    ------
    UserError
        If there is none.
    """

    def __init__(self, tasks: Sequence[TaskLoss]) -> None:
        super().__init__()
        if not tasks:
            raise UserError("several tasks at once need at least one")
        self.tasks = nn.ModuleList(tasks)
        self.needs_signal = any(task.needs_signal for task in tasks)

    @property
    def members(self) -> list[TaskLoss]:
        """The tasks, in order."""
        return [task for task in self.tasks if isinstance(task, TaskLoss)]

    def noise_shape(self, n: int) -> tuple[int, ...] | None:  # noqa: D102 - as in TaskLoss
        each = [math.prod(shape[1:]) for task in self.members if (shape := task.noise_shape(n)) is not None]
        return (n, sum(each)) if each else None

    def start(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        seed: int,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> None:
        for number, task in enumerate(self.members):
            task.start(
                denoised, reference, signal_present, seed=derive_seed(seed, "task", number), signal=signal, group=group
            )

    def forward(  # noqa: D102 - as in TaskLoss
        self,
        denoised: torch.Tensor,
        reference: torch.Tensor,
        signal_present: torch.Tensor,
        *,
        task_weight: float,
        noise: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
        group: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n, first = len(denoised), 0
        # Each of m tasks sees 1/m of the gradient into the images; its own parameters see all of it.
        own_weight = task_weight / len(self.tasks)
        terms, values = [], []
        for task in self.members:
            shape, own = task.noise_shape(n), None
            if shape is not None and noise is not None:
                width = math.prod(shape[1:])
                own = noise[:, first : first + width].reshape(shape)
                first += width
            term, value = task(
                denoised,
                reference,
                signal_present,
                task_weight=own_weight,
                noise=own,
                signal=signal,
                group=group,
            )
            terms.append(term)
            values.append(value)
        return torch.stack(terms).sum(), torch.stack(values).mean()
