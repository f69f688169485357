"""Several SLNN heads as one: a head for each site, region or shape."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.errors import UserError
from taskct.observers.slnn_head import SLNNHead, check_shape, internal_noise


class GroupedHead(nn.Module):
    """Several SLNN heads at once, one for each task, site or region; each trial goes to the head of its group.

    Every trial has its own template, picked by its group, so that a batch may mix the groups in any way. There is a
    head for each group, in the groups' order, all of one kind, one shape and one number of weights; otherwise a
    `UserError` is raised. Their settings, channels included, may differ.

    Examples
    --------
    >>> head = GroupedHead([SLNNHead((8, 8)), SLNNHead((8, 8))])
    >>> head(torch.zeros(3, 8, 8), torch.tensor([0, 1, 1])).shape
    torch.Size([3])
    """

    def __init__(self, heads: Sequence[SLNNHead]) -> None:
        super().__init__()
        if len({(head.kind, head.shape, tuple(head.weight.shape)) for head in heads}) != 1:
            raise UserError(
                f"{len(heads)} heads do not work as one: give one or more of one kind, shape and number of channels"
            )
        self.heads = nn.ModuleList(heads)

    @property
    def members(self) -> list[SLNNHead]:
        """The heads, in the order of the groups."""
        return [cast(SLNNHead, head) for head in self.heads]

    @property
    def template(self) -> torch.Tensor:
        """Effective templates on the image, 1/HU, shape `(n_groups, height, width)`."""
        return torch.stack([head.template for head in self.members])

    def noise_shape(self, n_trials: int) -> tuple[int, ...] | None:
        """As `SLNNHead.noise_shape`; trials of all groups share it."""
        return self.members[0].noise_shape(n_trials)

    def forward(
        self,
        image_hu: torch.Tensor,
        group: torch.Tensor,
        generator: torch.Generator | None = None,
        *,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logit of every trial from the head of its group, float32, shape `(n_trials,)`; higher means signal present.

        `group` holds whole numbers in [0, n_groups), int64, shape `(n_trials,)`; the rest is as for `SLNNHead.forward`.
        A ValueError says that a shape or type does not match, a group has no head, or the generator is missing.
        """
        members = self.members
        check_shape(image_hu, members[0].shape)
        group = self.check_group(group, len(image_hu)).to(image_hu.device)
        noise = internal_noise(members[0], len(image_hu), generator, noise, training=self.training)
        with torch.autocast(image_hu.device.type, enabled=False):
            centred = (image_hu.float() - torch.stack([head.offset_hu for head in members])[group]).contiguous()
            bias = torch.stack([head.bias for head in members])
            logits = (centred * self.template[group]).flatten(1).sum(dim=1) + bias[group]
            if noise is not None:
                layers = torch.stack([head.internal_noise_hu * head.layer for head in members])
                logits = logits + (noise.to(logits) * layers[group]).flatten(1).sum(dim=1)
        return logits

    def test_statistic(
        self,
        images: NDArray[np.floating] | torch.Tensor,
        group: NDArray[np.integer] | torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> NDArray[np.float64]:
        """As `SLNNHead.test_statistic`, each trial from the head of its `group`; the groups draw in turn."""
        groups = self.check_group(torch.as_tensor(group), len(images)).cpu().numpy()
        array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
        statistic = np.empty(len(array))
        for index, head in enumerate(self.members):
            inside = groups == index
            statistic[inside] = head.test_statistic(array[inside], generator)
        return statistic

    def check_group(self, group: torch.Tensor, n_trials: int) -> torch.Tensor:
        """The groups of `n_trials` trials; a ValueError if their shape or type is wrong, or a group has no head."""
        if group.shape != (n_trials,) or group.dtype != torch.int64:
            raise ValueError(f"group must be int64 of shape ({n_trials},), not {group.dtype} {tuple(group.shape)}")
        if n_trials and (int(group.min()) < 0 or int(group.max()) >= len(self.heads)):
            raise ValueError(
                f"groups run from {int(group.min())} to {int(group.max())}; {len(self.heads)} heads serve "
                f"0 to {len(self.heads) - 1}"
            )
        return group
