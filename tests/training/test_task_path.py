"""The task path: the price asked for, a correction that an observer profits from, and no bit lost by a stop."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser
from taskct.denoisers.prices import SquaredError
from taskct.denoisers.task_path import Correction, TaskPath
from taskct.metrics.roc import auc
from taskct.observers.slnn_head import SLNNHead
from taskct.training.plan import PathPrice, Plan, Upkeep
from taskct.training.recombined import recombined
from taskct.training.samples import TaskTrials
from taskct.training.task_path import (
    LEAST,
    MOST,
    START,
    PathLoss,
    TrainedPath,
    square_of,
    train_path,
    turned,
    turned_back,
)
from taskct.trials.trials import TRUTH, Trials

CONTRAST_HU = 15.0
SIDE, SITE = 12, (slice(4, 8), slice(4, 8))
NOISE_HU = 20.0
"""Of the observer: what costs a reader most where the denoised image is smooth."""


class _Half(nn.Module):
    """The conditional mean of a white object of 20 HU in white noise of 20 HU: half of what is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.factor * image


def _control() -> Denoiser:
    return Denoiser(_Half(), offset_hu=50.0, scale_hu=20.0)


def _trials(n: int, seed: int) -> Trials:
    rng = np.random.default_rng(seed)
    reference = rng.normal(50.0, 20.0, (n, SIDE, SIDE))
    present = np.arange(n) % 2 == 0
    reference[present, SITE[0], SITE[1]] += CONTRAST_HU
    noisy = reference + rng.normal(0.0, 20.0, reference.shape)
    truth = {name: np.zeros(n) for name in TRUTH}
    return Trials(noisy.astype(np.float32), reference.astype(np.float32), present, truth, margin=1)


def _train(state: Path | None = None, *, n: int = 1600, epochs: int = 15, **price: object) -> TrainedPath:
    control, trials, validation = _control(), _trials(n, 0), _trials(200, 1)
    how = PathPrice(**{"rmse": 0.05, "noise_hu": NOISE_HU, "copies": 0, **price})  # type: ignore[arg-type]
    plan = Plan(epochs=epochs, batch_size=32, learning_rate=1e-2, head_learning_rate=3e-3, seed=4, dtype="float32")
    torch.manual_seed(7)
    correction = Correction(offset_hu=50.0, scale_hu=20.0, n_channels=8, pool=2)
    upkeep = Upkeep(state=state)
    return train_path(control, trials, validation, plan, how, correction=correction, upkeep=upkeep)


@pytest.fixture(scope="module")
def trained() -> TrainedPath:
    return _train()


def test_the_price_on_trials_that_no_training_saw_is_the_one_asked_for(trained: TrainedPath) -> None:
    """The dial is set on 200 trials and judged on 4,000 others."""
    path, trials = trained.denoiser, _trials(4000, 2)
    error = {}
    for price in (0.0, 0.01, 0.05, 0.1):
        path.price = price
        with torch.no_grad():
            image = path(torch.from_numpy(trials.noisy)).numpy()[:, 1:-1, 1:-1]
        error[price] = float(np.sqrt(np.mean((image - trials.reference_regions).astype(np.float64) ** 2)))
        # 4,000 trials against 200: the dial's own error is about a tenth of the price.
        assert error[price] / error[0.0] == pytest.approx(1.0 + price, abs=0.2 * price + 1e-9)


def test_an_observer_that_never_saw_its_images_gains(trained: TrainedPath) -> None:
    """The sum over the site with the observer's noise: AUC Φ(d/√2) of the control by the law, and more of the path.

    Seeded; the gain is 0.08, with a standard error of 0.01.
    """
    path, trials = trained.denoiser, _trials(4000, 3)
    rng = np.random.default_rng(8)
    noise = NOISE_HU * math.sqrt(16) * rng.standard_normal(len(trials))
    area = {}
    for price in (0.0, 0.1):
        path.price = price
        with torch.no_grad():
            image = path(torch.from_numpy(trials.noisy)).double().numpy()
        t = image[:, SITE[0], SITE[1]].sum((1, 2)) + noise
        area[price] = auc(t[trials.signal_present], t[~trials.signal_present])
    # Half of 6 HU on 16 pixels; of the image's noise half of √800, and the observer's.
    d = 0.5 * CONTRAST_HU * 16 / math.sqrt(16 * (0.25 * 800.0 + NOISE_HU**2))
    assert area[0.0] == pytest.approx(0.5 * (1.0 + math.erf(d / 2.0)), abs=0.025)
    assert area[0.1] > area[0.0] + 0.03


def test_no_price_is_the_control_to_the_bit(trained: TrainedPath) -> None:
    path, image = trained.denoiser, torch.from_numpy(_trials(4, 5).noisy)
    path.price = 0.0
    assert torch.equal(path(image), _control()(image))
    path.price = 0.02
    with torch.no_grad():
        assert torch.equal(path(image), path.correct(image, path.control(image)))


def test_the_strength_of_a_price_is_the_root_of_its_law() -> None:
    square = SquaredError(80.0, -0.7, 3.1)
    for price in (0.001, 0.02, 0.2):
        a = square.strength(price)
        mse = 80.0 - 0.7 * a + 3.1 * a * a
        assert math.sqrt(mse / 80.0) == pytest.approx(1.0 + price, rel=1e-12)
        assert square.rmse_ratio(a) == pytest.approx(1.0 + price, rel=1e-12)


def test_the_squared_error_along_the_path_is_that_of_the_images() -> None:
    trials = _trials(50, 6)
    control = torch.from_numpy(trials.noisy * 0.5 + 25.0)
    torch.manual_seed(0)
    correction = Correction(offset_hu=50.0, scale_hu=20.0, n_channels=4)
    for parameter in correction.parameters():
        nn.init.normal_(parameter, std=0.1)
    known = TaskTrials(trials, control=control)
    square = square_of(known, correction, Plan(dtype="float32", batch_size=7))
    with torch.no_grad():
        image = control + 0.7 * correction(torch.from_numpy(trials.noisy), control)
    mse = float(np.mean((image.numpy()[:, 1:-1, 1:-1].astype(np.float64) - trials.reference_regions) ** 2))
    assert square.control * square.rmse_ratio(0.7) ** 2 == pytest.approx(mse, rel=1e-5)


@pytest.mark.parametrize("ratio", [4.0, 0.25])
def test_the_multiplier_follows_the_energy(ratio: float) -> None:
    loss = PathLoss(SLNNHead((4, 4)))
    for _ in range(10):
        loss.follow(torch.tensor(ratio), held=10)
    assert float(loss.multiplier) == pytest.approx(START)
    seen = []
    for _ in range(2000):
        loss.follow(torch.tensor(ratio), held=10)
        seen.append(float(loss.multiplier))
    assert sorted(seen) == seen if ratio > 1.0 else sorted(seen, reverse=True) == seen
    assert seen[-1] == pytest.approx(MOST if ratio > 1.0 else LEAST)


def test_the_energy_ends_where_the_price_allows_it(trained: TrainedPath) -> None:
    square = trained.denoiser.square
    assert 0.5 < square.energy / (square.control * (1.05**2 - 1.0)) < 2.0


def test_copies_are_backgrounds_noises_and_signals_of_trials() -> None:
    """Each background comes once a copy, with some trial's noise and signal, without and with it; and control alike."""
    trials = _trials(24, 9)
    signal = torch.zeros(trials.noisy.shape)
    sizes = torch.arange(1.0, 25.0)
    signal[:, SITE[0], SITE[1]] = sizes[:, None, None]
    plan = Plan(dtype="float32", seed=1)
    copies = recombined(TaskTrials(trials, signal), _control(), plan, copies=2)
    assert (len(copies), copies.images_each) == (48, 2)
    noisy, batch = copies.take(torch.arange(24, 48))
    present = torch.from_numpy(trials.signal_present)[:, None, None]
    background = torch.from_numpy(trials.reference) - present * signal
    assert torch.equal(batch.signal_present, torch.arange(48) >= 24)
    assert torch.allclose(batch.reference[:24], background, atol=1e-4)
    added = batch.reference[24:] - batch.reference[:24]
    assert torch.allclose(noisy[24:] - noisy[:24], added, atol=1e-3)
    assert torch.equal(added[:, 5, 5].round().sort().values, sizes)
    assert not torch.allclose(added[:, 5, 5], sizes)
    # Each noise once, whichever way it lies; not where it was.
    shown, own = noisy[:24] - background, torch.from_numpy(trials.noisy - trials.reference)
    assert torch.allclose(shown.sum((1, 2)).sort().values, own.sum((1, 2)).sort().values, atol=0.5)
    assert not torch.allclose(shown, own, atol=1.0)
    assert batch.control is not None
    assert torch.allclose(batch.control, _control()(noisy).detach(), atol=0.2)


def test_without_known_signals_a_copy_keeps_its_truth() -> None:
    trials = _trials(24, 9)
    copies = recombined(TaskTrials(trials), _control(), Plan(dtype="float32"), copies=1)
    noisy, batch = copies.take(slice(4, 10))
    assert (len(copies), copies.images_each, len(noisy)) == (24, 1, 6)
    assert torch.equal(batch.signal_present, torch.from_numpy(trials.signal_present[4:10]))
    assert torch.equal(batch.reference, torch.from_numpy(trials.reference[4:10]))


def test_no_copies_are_the_trials_in_pairs() -> None:
    trials = _trials(24, 9)
    signal = torch.zeros(trials.noisy.shape)
    signal[:, SITE[0], SITE[1]] = CONTRAST_HU
    copies = recombined(TaskTrials(trials, signal), _control(), Plan(dtype="float32"), copies=0)
    noisy, batch = copies.take(torch.arange(24))
    own = torch.where(torch.from_numpy(trials.signal_present)[:, None, None], noisy[24:], noisy[:24])
    assert torch.allclose(own, torch.from_numpy(trials.noisy), atol=0.2)
    assert len(batch.reference) == 48


def test_what_is_turned_comes_back_and_all_eight_ways_differ() -> None:
    image = torch.arange(12.0).reshape(1, 3, 4)
    assert all(torch.equal(turned_back(turned(image, way), way), image) for way in range(8))
    assert (
        len({(tuple(one.shape), tuple(one.flatten().tolist())) for way in range(8) for one in [turned(image, way)]})
        == 8
    )


@pytest.mark.parametrize("copies", [0, 1])
def test_a_stop_in_the_middle_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int) -> None:
    whole = _train(n=128, epochs=3, copies=copies)
    monkeypatch.setattr("taskct.training.record.STATE_EVERY_S", -1.0)
    state, n_steps = tmp_path / "state", 0
    follow = PathLoss.follow

    def stopping(self: PathLoss, ratio: torch.Tensor, *, held: int) -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 7:
            raise KeyboardInterrupt
        follow(self, ratio, held=held)

    monkeypatch.setattr(PathLoss, "follow", stopping)
    with pytest.raises(KeyboardInterrupt):
        _train(state, n=128, epochs=3, copies=copies)
    again = _train(state, n=128, epochs=3, copies=copies)
    assert n_steps == 7 + 12 - 6
    for name in ("denoiser", "loss"):
        one, other = getattr(whole, name).state_dict(), getattr(again, name).state_dict()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert whole.denoiser.square == again.denoiser.square


def test_a_path_starts_at_its_control_and_takes_odd_sizes() -> None:
    image = torch.randn(2, 13, 15, generator=torch.Generator().manual_seed(1)) * 20.0 + 50.0
    for pool in (1, 2, 4):
        correction = Correction(offset_hu=50.0, scale_hu=20.0, pool=pool)
        path = TaskPath(_control(), correction, square=SquaredError(100.0, 0.0, 1.0), price=0.1)
        assert torch.equal(path(image), path.control(image))
