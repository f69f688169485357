"""A convolutional approximation of the ideal observer, which starts from the best linear one."""

import copy
import math
import warnings
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from taskct.observer_registry import conditions
from taskct.observers.base import Array, Observer, SmallSampleWarning, Truth, check_images, check_training, warn_if_few
from taskct.observers.hotelling import Hotelling
from taskct.observers.slnn import logistic_path
from taskct.progress import Progress
from taskct.ranges import Range, Ranges

_N_FOLDS = 5  # folds of the training trials; one of them is the validation set of the network
_RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
_SMOOTHINGS_PX = (0.0, 1.0, 2.0)
_N_CHECKS = 20  # how often in `n_steps` the validation loss is looked at
_PATIENCE = 6  # checks without a lower validation loss before training ends
_AVERAGING = 0.95  # decay, per step, of the running mean of the weights
_N_SETTLING = 512  # training trials from which batch normalization takes its moments for the mean weights
_STD_ERRORS = 2.0  # by how many standard errors of its validation loss a network must beat the linear start


@dataclass(kw_only=True, eq=False, repr=False)
class CNNObserver(Observer):
    """Convolutional approximation of the ideal observer, trained by cross-entropy.

    The binary cross-entropy is least for the log of the likelihood ratio plus that of the prior odds [1], so a network
    that reaches the minimum ranks as the ideal observer does. This one is the sum of a linear observer and of a small
    network:

    1. The linear start is a Hotelling observer, its ridge and a smoothing of its template chosen by 5-fold
       cross-validation; a logistic regression on the held-out statistics makes it a logit.
    2. The network learns only what the linear start leaves over: convolutions with batch normalization, and
       mean energies of filtered images, for textures. One fold is its validation set. It begins at 0, sees held-out
       linear logits alone, and the mean of its weights over the last steps with the lowest validation loss is kept.
    3. If that does not beat the linear start by two standard errors of the paired difference in validation
       loss, the linear start alone is kept, and `note_` says so.

    On the CPU the same trials and seed give the same observer; neither the order of the trials nor the unit or zero of
    the pixel values matters, but for rounding, which training magnifies.

    Parameters
    ----------
    n_steps, batch_size
        Steps of AdamW, at least 20, with a one-cycle schedule, and trials in each, at least 8. Steps cost the same for
        any number of trials.
    learning_rate, weight_decay
        Peak of the schedule, above 0, and of AdamW, at least 0; no unit.
    n_channels
        Of the first convolutions, at least 1; later ones have twice as many.
    seed, device
        Of the folds, the first weights and the batches; and where the network trains and runs.
    progress
        Called at every look at the validation loss.

    Attributes
    ----------
    template_, offset_
        The linear start as a logit, 1/HU, shape `(height, width)`, and no unit.
    ridge_, smoothing_px_
        What was chosen for it; the smoothing is the standard deviation of a Gaussian, pixels.
    start_bce_, validation_bce_
        Validation loss of the linear start and of what was kept, nats; nan with too few trials.
    history_
        Step and validation loss of the network at every look.
    network_
        The network, or None.
    note_
        What was kept and why, one line.

    References
    ----------
    .. [1] Zhou, Li & Anastasio, IEEE Trans. Med. Imaging 38, 2456 (2019).
    """

    ranges: ClassVar[Ranges] = {
        "n_steps": Range(20, whole=True),
        "batch_size": Range(8, whole=True),
        "learning_rate": Range(0.0, open_low=True),
        "weight_decay": Range(0.0),
        "n_channels": Range(1, whole=True),
        **conditions("seed"),
    }
    validates_itself: ClassVar[bool] = True
    n_steps: int = 800
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1.0
    n_channels: int = 16
    seed: int = 0
    device: torch.device | str = "cpu"
    progress: Progress | None = None

    def fit(self, images: NDArray[np.floating], signal_present: NDArray[np.bool_]) -> Self:  # noqa: D102 - as in Observer
        checked, present = check_training(images, signal_present)
        warn_if_few(len(checked), checked[0].size, "pixels", trials_per_weight=1.0)
        order = _order_of_content(checked, present)
        checked, present = checked[order], present[order]
        self._mean_hu = checked.mean(axis=0)
        self._scale_hu = float(np.sqrt(np.mean((checked - self._mean_hu) ** 2)))
        self.network_: Remainder | None = None
        self.history_: list[tuple[int, float]] = []
        self.start_bce_ = self.validation_bce_ = math.nan
        n_least = int(min(present.sum(), (~present).sum()))
        if n_least < 2 * _N_FOLDS:
            self.ridge_, self.smoothing_px_ = 1.0, 0.0
            ((self.template_, self.offset_),) = _linear_path(checked, present, (1.0,), 0.0)
            self.note_ = f"linear start alone: {n_least} trials of a class are too few to validate a network"
            return self
        fold = _stratified_folds(present, np.random.default_rng(self.seed))
        held_out = self._fit_linear(checked, present, fold)
        self._fit_network(self._standardised(checked), held_out, present, fold == 0)
        return self

    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logit of every trial; see `Observer.test_statistic`."""
        if not hasattr(self, "template_"):
            raise RuntimeError(f"{type(self).__name__} has not been fitted; call fit first")
        checked = check_images(images, self.template_.shape)
        linear: Array = checked.reshape(len(checked), self.template_.size) @ self.template_.ravel() + self.offset_
        if self.network_ is None:
            return linear
        remainder = _evaluate(self.network_, self._standardised(checked), self.device)
        return float(self.network_.gain.detach()) * linear + remainder

    def _standardised(self, images: Array) -> torch.Tensor:
        # In torch's own memory: its products depend, in their last bits, on where an array lies.
        return torch.tensor((images - self._mean_hu) / self._scale_hu, dtype=torch.float32)

    def _fit_linear(self, images: Array, present: Truth, fold: NDArray[np.int64]) -> Array:
        """Fit the linear start on all trials; returns each one's logit from trials of the other folds alone."""

        def held_out(smoothing: float, k: int) -> Array:
            inside = fold == k
            path = _linear_path(images[~inside], present[~inside], _RIDGES, smoothing)
            return np.stack([np.einsum("nij,ij->n", images[inside], w) + b for w, b in path])

        first = {smoothing: held_out(smoothing, 0) for smoothing in _SMOOTHINGS_PX}
        inside = fold == 0
        self.smoothing_px_ = min(
            first, key=lambda s: min(_bce(_as_logit(t, present[inside])[2], present[inside]).mean() for t in first[s])
        )
        statistics = np.empty((len(_RIDGES), len(images)))
        for k in range(_N_FOLDS):
            statistics[:, fold == k] = first[self.smoothing_px_] if k == 0 else held_out(self.smoothing_px_, k)
        logits = [_as_logit(t, present) for t in statistics]
        best = int(np.argmin([_bce(logit, present).mean() for _, _, logit in logits]))
        gain, bias, logit = logits[best]
        self.ridge_ = _RIDGES[best]
        ((template, offset),) = _linear_path(images, present, (self.ridge_,), self.smoothing_px_)
        self.template_, self.offset_ = gain * template, gain * offset + bias
        return logit

    def _fit_network(self, images: torch.Tensor, linear: Array, present: Truth, validation: NDArray[np.bool_]) -> None:
        """Train the network on what the linear logits leave over, and keep it if it is better."""
        generator = torch.Generator().manual_seed(self.seed)
        mixed = torch.from_numpy(np.flatnonzero(~validation))
        mixed = mixed[torch.randperm(len(mixed), generator=generator)]  # since trials lie in order of their content
        x = images[mixed].to(self.device)
        t = torch.from_numpy(linear).float()[mixed].to(self.device)
        y = torch.from_numpy(present).float()[mixed].to(self.device)
        x_validation, present_validation = images[torch.from_numpy(validation)], present[validation]
        start = kept = _bce(linear[validation], present_validation)
        kept_state = None

        cuda = [torch.device(self.device)] if torch.device(self.device).type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self.seed)
            network = Remainder((images.shape[1], images.shape[2]), self.n_channels)
        network.to(self.device)
        # A step takes two thirds of the time of the usual order.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGING))  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.learning_rate, total_steps=self.n_steps, pct_start=0.25
        )
        n_batch = min(self.batch_size, len(x))
        order = torch.empty(0, dtype=torch.int64)
        every, n_worse = self.n_steps // _N_CHECKS, 0
        network.train()
        for step in range(1, self.n_steps + 1):
            if len(order) < n_batch:
                order = torch.randperm(len(x), generator=generator)
            batch, order = order[:n_batch].to(self.device), order[n_batch:]
            logits = network.gain * t[batch] + network(x[batch])
            loss = F.binary_cross_entropy_with_logits(logits, y[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
            schedule.step()
            mean.update_parameters(network)
            if step % every and step < self.n_steps:
                continue
            _settle(mean.module, x[:_N_SETTLING])
            logit = float(mean.module.get_parameter("gain").detach()) * linear[validation]
            losses = _bce(logit + _evaluate(mean.module, x_validation, self.device), present_validation)
            self.history_.append((step, float(losses.mean())))
            n_worse += 1
            if losses.mean() < kept.mean():
                kept, kept_state, n_worse = losses, copy.deepcopy(mean.module.state_dict()), 0
            if self.progress is not None:
                self.progress(step, self.n_steps, f"validation BCE {losses.mean():.4f}")
            if n_worse == _PATIENCE:
                break
        if self.progress is not None and step < self.n_steps:
            self.progress(self.n_steps, self.n_steps, "ended early")

        gain = start - kept
        std_error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
        found = f"the network's validation BCE is {gain.mean():.4f} ± {std_error:.4f} below the linear start's"
        self.start_bce_ = self.validation_bce_ = float(start.mean())
        if kept_state is None:
            self.note_ = "linear start alone: the network's validation BCE was never below the linear start's"
            return
        if gain.mean() <= _STD_ERRORS * std_error:
            self.note_ = f"linear start alone: {found}"
            return
        network.load_state_dict(kept_state)
        self.network_ = network.eval()
        self.validation_bce_ = float(kept.mean())
        self.note_ = f"network on the linear start: {found}"


class Remainder(nn.Module):
    """The network of `CNNObserver` for a region (height, width), pixels; 0 for every image at first.

    `n_channels` are those of the first two convolutions and of the energies.
    """

    def __init__(self, shape: tuple[int, int], n_channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        """Factor on the linear logit."""
        layers = [*_block(1, n_channels, 5, stride=2), *_block(n_channels, n_channels, 3)]
        height, width, n_out = (shape[0] + 1) // 2, (shape[1] + 1) // 2, n_channels
        while max(height, width) > 4:
            layers += [nn.AvgPool2d(2, ceil_mode=True), *_block(n_out, 2 * n_channels, 3)]
            height, width, n_out = (height + 1) // 2, (width + 1) // 2, 2 * n_channels
        self.features = nn.Sequential(*layers, nn.Flatten())
        # Between Gaussians the log of the likelihood ratio is a sum of such energies.
        self.filters = nn.Conv2d(1, n_channels, 5, stride=2, padding=2, bias=False)
        self.energies = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.BatchNorm2d(n_channels), nn.Flatten())
        self.head = nn.Linear(n_out * height * width + 4 * n_channels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What to add to the linear logit, shape `(n,)`, for standardised images `(n, height, width)`."""
        x = images[:, None]
        seen = torch.cat([self.features(x), self.energies(self.filters(x) ** 2)], dim=1)
        logits: torch.Tensor = self.head(seen)[:, 0]
        return logits


def _block(n_in: int, n_out: int, size: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]


@torch.no_grad()
def _settle(network: nn.Module, images: torch.Tensor) -> None:
    """Take the moments of batch normalization from these images: those of other weights do not fit."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over batches
    network.train()
    for batch in torch.split(images, 256):
        if len(batch) > 8:  # a rest so small would count as much as a full batch
            network(batch)


@torch.no_grad()
def _evaluate(network: nn.Module, images: torch.Tensor, device: torch.device | str) -> Array:
    network.eval()
    parts = [network(batch.to(device)).double().cpu() for batch in torch.split(images, 512)]
    result: Array = torch.cat(parts).numpy()
    return result


def _bce(logits: Array, present: Truth) -> Array:
    """Binary cross-entropy of every trial, nats."""
    return np.logaddexp(0.0, np.where(present, -logits, logits))


def _as_logit(statistic: Array, present: Truth) -> tuple[float, float, Array]:
    """Gain and bias that make a held-out statistic a logit, and that logit."""
    scale = float(statistic.std()) or 1.0
    ((weights, bias),) = logistic_path(statistic[:, None] / scale, present, [1e-3])
    gain = max(float(weights[0]), 0.01) / scale  # chance never turns a template round
    return gain, bias, gain * statistic + bias


def _linear_path(
    images: Array, present: Truth, ridges: tuple[float, ...], smoothing_px: float
) -> list[tuple[Array, float]]:
    """Hotelling templates and offsets for several ridges, on images seen through a Gaussian."""

    def smooth(array: Array) -> Array:
        # With reflected borders this is a symmetric matrix, so filtering the template does for filtering images.
        return gaussian_filter(array, smoothing_px, axes=(-2, -1)) if smoothing_px else array

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # `fit` has warned
        path = Hotelling().fit_path(smooth(images), present, ridges)
    return [(smooth(observer.template_), observer.offset_) for observer in path]


def _order_of_content(images: Array, present: Truth) -> NDArray[np.int64]:
    """An order of the trials that their values alone decide, whatever their unit and zero."""
    # The bytes of big-endian floats that are not negative sort as the numbers do.
    rows = (images - images.min()).reshape(len(images), -1).astype(">f8")
    keys = [(row.tobytes(), bool(truth)) for row, truth in zip(rows, present, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def _stratified_folds(present: Truth, rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(present), dtype=np.int64)
    for members in (present, ~present):
        fold[members] = rng.permutation(np.arange(members.sum()) % _N_FOLDS)
    return fold
