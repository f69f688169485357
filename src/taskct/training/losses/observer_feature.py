"""The observer-feature loss: denoised and reference regions must look the same to a network trained for the task."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from taskct.errors import UserError
from taskct.ranges import Range
from taskct.training.losses.base import Batch, Loss, check_trials

_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1.0
_PLACES = 8
_HELD_OUT = 4  # one trial in so many is kept from training, to measure the observer network on


class ObserverNetwork(nn.Module):
    """A small classifier of standardised regions, whose feature maps are looked at.

    Blocks of a convolution, batch normalization and ReLU: 5 × 5 at every second pixel first, then 3 × 3 with 2 × 2
    averages before them and twice the channels; then one fully connected layer on the maps, averaged to 8 × 8 places.
    Without normalization such a network does not learn from weak signals at all; from 4 × 4 places it learned less.
    """

    def __init__(self, *, n_channels: int = 16, n_blocks: int = 3) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        n_in = 1
        for index in range(n_blocks):
            n_out = n_channels if index == 0 else 2 * n_channels
            pool = [] if index == 0 else [nn.AvgPool2d(2, ceil_mode=True)]
            size, stride = (5, 2) if index == 0 else (3, 1)
            blocks.append(
                nn.Sequential(
                    *pool,
                    nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False),
                    nn.BatchNorm2d(n_out),
                    nn.ReLU(),
                )
            )
            n_in = n_out
        self.blocks = nn.ModuleList(blocks)
        self.places = nn.AdaptiveAvgPool2d(_PLACES)
        self.classifier = nn.Linear(_PLACES**2 * n_in, 1)

    def features(self, regions: torch.Tensor, n_blocks: int) -> torch.Tensor:
        """Feature maps behind the first `n_blocks` blocks, `(n, n_maps, h, w)`, of regions `(n, height, width)`."""
        maps = regions[:, None]
        for block in list(self.blocks)[:n_blocks]:
            maps = block(maps)
        return maps

    def forward(self, regions: torch.Tensor) -> torch.Tensor:
        """Logit of signal present, shape `(n,)`."""
        logits: torch.Tensor = self.classifier(self.places(self.features(regions, len(self.blocks))).flatten(1))[:, 0]
        return logits


def _fresh_network(n_channels: int, n_blocks: int, *, seed: int) -> ObserverNetwork:
    """A network with weights drawn from a seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ObserverNetwork(n_channels=n_channels, n_blocks=n_blocks)


class ObserverFeatureLoss(Loss):
    """Mean squared difference of an observer network's feature maps, relative to the start network's; 1 at the start.

        loss = mean ‖φ(f) − φ(r)‖² / the same mean over the start network's regions,

    φ the feature maps, behind a block's ReLU, of a network that was trained to tell signal-present from signal-absent
    regions and is frozen then. `start` trains it, on the reference regions and the start network's together, so that it
    knows what either looks like; no weights are downloaded.

    Parameters
    ----------
    n_channels
        Feature maps of the network's first block, at least 1; later ones have twice as many.
    n_blocks
        Blocks of the network, at least 1.
    feature_block
        Behind which block the features are taken, from 1; None for the last.
    n_steps
        Steps of training the network, at least 20.
    batch_size
        Regions in a step, at least 8.

    Attributes
    ----------
    held_out_bce
        Binary cross-entropy of the network on regions kept from its training, in units of ln 2 nats: near 1, it has
        not learned the task, and its features say nothing of it. nan before `start`.

    Raises
    ------
    UserError
        If a setting is out of range.

    Notes
    -----
    Of [1] and [2] we could read the abstracts: a binary classification network, trained on CT images with and without
    inserted lesions, is the feature extractor of a feature-level loss that takes the place of one on a network of
    natural images. Which network, which layer, and whether the difference is squared is our own convention, after the
    feature-level losses that they compare with [3]; so is the normalisation.

    References
    ----------
    .. [1] Han, Shim, Baek, Med. Phys. 48, 5727 (2021).
    .. [2] Han, Shim, Baek, Low-dose CT denoising via CNN with an observer loss function, Proc. SPIE (2021).
    .. [3] Johnson, Alahi, Fei-Fei, ECCV (2016), §3.2: the mean squared difference of feature maps.
    """

    offset_hu: torch.Tensor
    scale_hu: torch.Tensor
    start_difference: torch.Tensor
    held_out_bce: torch.Tensor

    def __init__(
        self,
        *,
        n_channels: int = 16,
        n_blocks: int = 3,
        feature_block: int | None = None,
        n_steps: int = 400,
        batch_size: int = 64,
    ) -> None:
        super().__init__()
        counts = {"n_channels": (n_channels, 1), "n_blocks": (n_blocks, 1), "n_steps": (n_steps, 20)}
        for name, (value, least) in {**counts, "batch_size": (batch_size, 8)}.items():
            Range(least, whole=True).check(f"{name} of the observer network", value)
        feature_block = n_blocks if feature_block is None else feature_block
        if not 1 <= feature_block <= n_blocks:
            raise UserError(f"feature_block is {feature_block}; the observer network has blocks 1 to {n_blocks}")
        self.n_channels, self.feature_block = n_channels, feature_block
        self.n_steps, self.batch_size = n_steps, batch_size
        self.network = _fresh_network(n_channels, n_blocks, seed=0).eval().requires_grad_(False)
        self.register_buffer("offset_hu", torch.zeros(()))
        self.register_buffer("scale_hu", torch.ones(()))
        self.register_buffer("start_difference", torch.tensor(torch.nan))
        self.register_buffer("held_out_bce", torch.tensor(torch.nan))

    def train(self, mode: bool = True) -> "ObserverFeatureLoss":
        """Training mode; the network's frozen normalization stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        present = batch.signal_present
        n_least = int(min(present.sum(), (~present).sum()))
        if n_least < 2 * _HELD_OUT:
            raise UserError(
                f"the observer network has {n_least} trials of a class to learn from; give at least {2 * _HELD_OUT}"
            )
        denoised, reference = denoised.detach().float(), batch.reference.detach().float()
        self.offset_hu.copy_(reference.mean())
        self.scale_hu.copy_(reference.std().clamp(min=1e-6))
        # Device by device the same: what is drawn is drawn on the CPU.
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(denoised), generator=generator).to(denoised.device)
        n_held = max(len(order) // _HELD_OUT, 1)
        held, kept = order[:n_held], order[n_held:]
        with torch.enable_grad(), torch.autocast(denoised.device.type, enabled=False):
            self._learn(
                self._standardised(torch.cat([denoised[kept], reference[kept]])),
                present[kept].repeat(2),
                generator,
            )
        with torch.no_grad(), torch.autocast(denoised.device.type, enabled=False):
            regions = self._standardised(torch.cat([denoised[held], reference[held]]))
            logits = torch.cat([self.network(part) for part in torch.split(regions, 256)])
            bce = F.binary_cross_entropy_with_logits(logits, present[held].repeat(2).to(logits))
            self.held_out_bce.copy_(bce / math.log(2.0))
            parts = zip(torch.split(denoised, 256), torch.split(reference, 256), strict=True)
            sums = [self._difference(f, r) * len(f) for f, r in parts]
            self.start_difference.copy_(torch.stack(sums).sum() / len(denoised))
        if not float(self.start_difference) > 0.0:
            raise UserError(
                "the observer network sees no difference between the start network's regions and the references: "
                "the denoiser has nothing left to gain, or the network has not learned; give it more n_steps"
            )

    def _learn(self, regions: torch.Tensor, signal_present: torch.Tensor, generator: torch.Generator) -> None:
        network, n_batch = self.network, min(self.batch_size, len(regions))
        device = regions.device
        seed = int(torch.randint(2**31, (1,), generator=generator))
        network.load_state_dict(_fresh_network(self.n_channels, len(network.blocks), seed=seed).state_dict())
        network.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=_LEARNING_RATE, total_steps=self.n_steps, pct_start=0.25
        )
        labels = signal_present.float()
        queue = torch.empty(0, dtype=torch.int64)
        for _ in range(self.n_steps):
            if len(queue) < n_batch:
                queue = torch.randperm(len(regions), generator=generator)
            batch, queue = queue[:n_batch].to(device), queue[n_batch:]
            loss = F.binary_cross_entropy_with_logits(network(regions[batch]), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
            schedule.step()
        network.eval().requires_grad_(False)

    def _standardised(self, image_hu: torch.Tensor) -> torch.Tensor:
        return (image_hu.float() - self.offset_hu) / self.scale_hu

    def _difference(self, denoised: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Mean squared difference of the feature maps, no unit."""
        with torch.no_grad():
            wanted = self.network.features(self._standardised(reference), self.feature_block)
        return F.mse_loss(self.network.features(self._standardised(denoised), self.feature_block), wanted)

    def forward(self, denoised: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: D102 - as in Loss
        check_trials(denoised, batch)
        if not bool(torch.isfinite(self.start_difference)):
            raise RuntimeError("the observer network has not been trained; call start first")
        with torch.autocast(denoised.device.type, enabled=False):
            return self._difference(denoised, batch.reference) / self.start_difference
