"""The training loop against problems whose solution is known."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from taskct.denoisers.denoiser import Denoiser, denoise, resolve_dtype
from taskct.observers import SLNNHead
from taskct.training.layers import freeze_all_but
from taskct.training.loop import train
from taskct.training.losses.base import Loss
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.plan import Plan, Upkeep
from taskct.training.record import Epoch, TrainingDiverged
from taskct.training.regions import mean_squared_error
from taskct.training.samples import TaskTrials, batches, patch
from taskct.training.step import HybridLoss
from taskct.trials.trials import TRUTH, Trials

SIDE = 8
NEEDS_BF16 = pytest.mark.skipif(resolve_dtype("auto", "cpu") != "bfloat16", reason="this CPU only emulates bfloat16")


def trials_of(noisy: np.ndarray, reference: np.ndarray, present: np.ndarray) -> Trials:
    truth = {name: np.zeros(len(present)) for name in TRUTH}
    return Trials(noisy.astype(np.float32), reference.astype(np.float32), present, truth, margin=1)


def white(n: int, *, sigma_hu: float = 20.0, seed: int = 0, side: int = SIDE) -> Trials:
    """Reference and noise are white and equally strong: the best linear estimate halves the deviation from the mean."""
    rng = np.random.default_rng(seed)
    reference = 50 + rng.normal(0, sigma_hu, (n, side, side))
    return trials_of(reference + rng.normal(0, sigma_hu, reference.shape), reference, np.arange(n) % 2 == 0)


class Gain(nn.Module):
    """Multiplies and adds."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.add = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.gain + self.add


def run(
    denoiser: nn.Module,
    trials: Trials,
    *,
    loss: Loss | None = None,
    task_weight: float = 0.0,
    validation: Trials | None = None,
    upkeep: Upkeep | None = None,
    **changed: Any,
) -> list[Epoch]:
    """Train with a plan that is changed so."""
    plan = Plan(**{"epochs": 6, "batch_size": 16, "learning_rate": 0.05, "dtype": "float32", **changed})
    known = None if validation is None else TaskTrials(validation)
    hybrid = HybridLoss(800.0, loss, task_weight)
    return train(denoiser, hybrid, TaskTrials(trials), plan, validation=known, upkeep=upkeep)


def gain_denoiser() -> Denoiser:
    return Denoiser(Gain(), offset_hu=50.0, scale_hu=20.0)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=NEEDS_BF16)])
def test_pretraining_reaches_the_wiener_gain(dtype: str) -> None:
    denoiser = gain_denoiser()
    history = run(denoiser, white(320), dtype=dtype)
    gain, add = (float(p.detach()) for p in denoiser.parameters())
    # 320 x 36 pixels fix the gain to 0.5 / sqrt(11520) = 0.005; batches of 16 leave some 0.02 of noise.
    assert gain == pytest.approx(0.5, abs=0.05)
    assert add == pytest.approx(0.0, abs=0.05)
    unseen = white(200, seed=1)
    mse = mean_squared_error(denoise(denoiser, unseen.noisy, dtype="float32"), unseen.reference)
    # Half the variance at best, 200 HU²; 12,800 pixels give it a s.d. of 1.3 %, so 6 % is 4 s.d. and more.
    assert mse == pytest.approx(200.0, rel=0.06)
    assert history[-1].rmse_hu < history[0].rmse_hu < math.sqrt(800.0)
    assert all(math.isnan(epoch.task) for epoch in history)


def test_the_margin_is_never_trained_on() -> None:
    """Nonsense in the margin, finite or not, changes nothing that a pixelwise network learns."""
    clean, dirty = white(64), white(64)
    dirty.reference[:, :1], dirty.reference[:, :, -1:] = 1e6, np.nan
    a, b = gain_denoiser(), gain_denoiser()
    run(a, clean)
    run(b, dirty)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def head_of(kind: str = "pixel") -> SLNNHead:
    eye: dict[str, Any] = {"pixel_mm": 0.7, "internal_noise_hu": 5.0} if kind == "eye" else {}
    side = SIDE - 2
    return SLNNHead((side, side), kind=kind, offset_hu=50.0, scale_hu=20.0, **eye)  # type: ignore[arg-type]  # settings by name


@pytest.mark.parametrize("kind", ["pixel", "eye"])
def test_the_same_seed_trains_the_same(kind: str) -> None:
    results = []
    for seed in (3, 3, 4):
        denoiser, head = gain_denoiser(), head_of(kind)
        torch.rand(seed)  # the global generator plays no part
        history = run(denoiser, white(64), loss=SLNNLoss(head, training="joint"), task_weight=0.5, seed=seed)
        results.append(([*denoiser.parameters(), *head.parameters()], history))
    (first, a), (again, b), (other, _) = results
    assert all(torch.equal(p, q) for p, q in zip(first, again, strict=True))
    assert a == b
    assert not torch.equal(first[2], other[2])


def test_at_lambda_0_labels_reach_the_head_alone() -> None:
    data = white(64)
    turned = trials_of(data.noisy, data.reference, ~data.signal_present)
    trained = []
    for one in (data, turned):
        denoiser, head = gain_denoiser(), head_of()
        run(
            denoiser,
            one,
            loss=SLNNLoss(head, training="joint"),
            head_learning_rate=0.01,
            task_weight=0.0,
        )
        trained.append((list(denoiser.parameters()), head))
    assert all(torch.equal(p, q) for p, q in zip(trained[0][0], trained[1][0], strict=True))
    assert float((trained[0][1].weight - trained[1][1].weight).detach().abs().max()) > 1e-3
    # The control's denoiser is the pretraining that goes on: the head's being there changes nothing.
    alone = gain_denoiser()
    run(alone, data)
    for p, q in zip(alone.parameters(), trained[0][0], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_dropout_draws_from_the_seed_alone() -> None:
    """As after a resume, when other draws came before; and the caller's own draws go on undisturbed."""
    gains = []
    for before, seed in ((0, 3), (1, 3), (1, 4)):
        denoiser = Denoiser(nn.Sequential(Gain(), nn.Dropout(0.5)), offset_hu=50.0, scale_hu=20.0)
        torch.manual_seed(before)
        state = torch.get_rng_state()
        # One batch that is all of the trials: the order plays no part, only dropout tells seeds apart.
        run(denoiser, white(16), seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        gains.append(float(next(denoiser.parameters()).detach()))
    assert gains[0] == gains[1]
    assert abs(gains[2] - gains[0]) > 1e-4


class Normalized(nn.Module):
    """Two normalizations, the first of which will be frozen, and a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.gain = nn.BatchNorm2d(1), nn.BatchNorm2d(1), Gain()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.gain(self.second(self.first(image)))
        return result


def test_the_statistics_of_a_frozen_normalization_stay() -> None:
    network = Normalized()
    denoiser = Denoiser(network, offset_hu=0.0, scale_hu=1.0)
    freeze_all_but(network, "last:2")
    before = copy.deepcopy(network.first.state_dict())
    for _ in range(2):  # and again after an evaluation, which leaves everything in evaluation mode
        run(denoiser, white(64), epochs=1)
        denoise(denoiser, white(4).noisy, dtype="float32")
    for key, value in network.first.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert int(network.second.state_dict()["num_batches_tracked"]) == 8


def test_frozen_parameters_stay() -> None:
    denoiser = gain_denoiser()
    frozen = next(denoiser.parameters()).requires_grad_(False)
    before = frozen.clone()
    run(denoiser, white(64))
    assert torch.equal(frozen, before)
    assert float(list(denoiser.parameters())[1].detach()) != 0.5


@pytest.mark.parametrize(
    ("n_trials", "n_epochs"), [(5, 1), (16, 1), (16, 2), (40, 1), (16, 3), (40, 2), (16, 5), (80, 1), (17, 9)]
)
def test_any_number_of_steps(n_trials: int, n_epochs: int) -> None:
    """Every number up to 5: torch's one-cycle schedule divides by zero when its warm-up has one step or all of them."""
    seen: list[tuple[int, int]] = []
    history = run(
        gain_denoiser(),
        white(n_trials),
        upkeep=Upkeep(progress=lambda done, total, detail: seen.append((done, total))),
        epochs=n_epochs,
    )
    assert len(history) == n_epochs
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] == n_epochs * (n_trials - n_trials % 16 if n_trials > 16 else n_trials)


@pytest.mark.parametrize(("n", "sizes"), [(5, [5]), (16, [16]), (50, [16, 16, 16])])
def test_batches_are_full_and_take_nothing_twice(n: int, sizes: list[int]) -> None:
    epochs = [list(batches(n, 16, seed=seed)) for seed in range(2)]
    for epoch in epochs:
        assert [len(index) for index in epoch] == sizes
        taken = torch.cat(epoch).tolist()
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(range(n))
    assert not torch.equal(epochs[0][0], epochs[1][0])  # equal by chance once in 5! = 120 seeds at the least


class Failing(nn.Module):
    """Works for `n_good` calls, then returns nan; remembers its weights at every call."""

    def __init__(self, n_good: int) -> None:
        super().__init__()
        self.gain, self.n_good = nn.Parameter(torch.ones(())), n_good
        self.seen: list[float] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(float(self.gain.detach()))
        return image * self.gain * (1.0 if len(self.seen) <= self.n_good else math.nan)


@pytest.mark.parametrize(("n_good", "epoch", "step"), [(0, 1, 1), (3, 1, 4), (4, 2, 1), (10, 3, 3)])
@pytest.mark.parametrize("joint", [False, True])
def test_nan_stops_and_keeps_the_weights_of_the_epochs_start(n_good: int, epoch: int, step: int, joint: bool) -> None:
    network = Failing(n_good)
    denoiser = Denoiser(network, offset_hu=50.0, scale_hu=20.0)
    loss = SLNNLoss(head_of(), training="joint") if joint else None
    with pytest.raises(TrainingDiverged) as caught:
        run(denoiser, white(64), loss=loss, upkeep=Upkeep(name="stage X"), learning_rate=0.01)
    setting = "training.finetune_learning_rate" if joint else "training.learning_rate"
    assert str(caught.value) == (
        f"stage X: the loss is not finite in epoch {epoch}, step {step} of 4; lower {setting} (0.01)"
    )
    good = caught.value.last_good
    assert float(good["denoiser.network.gain"]) == network.seen[4 * (epoch - 1)]
    assert ("task.head.weight" in good) == joint
    assert all(bool(torch.isfinite(value).all()) for value in good.values())


class PoisonedGradient(nn.Module):
    """A finite output whose gradient is not, as of a square root at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + (self.gain * self.gain).sqrt()


def test_weights_broken_by_the_last_step_are_not_taken_for_good() -> None:
    denoiser = Denoiser(PoisonedGradient(), offset_hu=50.0, scale_hu=20.0)
    with pytest.raises(
        TrainingDiverged, match=r"weights are not finite after epoch 1, step 1 of 1; .*float32"
    ) as caught:
        run(denoiser, white(16), epochs=1, dtype="bfloat16")
    assert float(caught.value.last_good["denoiser.network.gain"]) == 0.0


def test_a_jointly_trained_head_reaches_the_hotelling_observer() -> None:
    """Behind an identity denoiser, on Gaussian images of equal covariance, BCE leads to the Hotelling template.

    Both AUCs are closed forms: Φ(snr / √2) with snr² = sᵀK⁻¹s for the ideal template, (wᵀs)² / wᵀKw for the head's.
    Learning 36 weights from 6,000 trials costs about 36 / 6000 · (1 + 4 / snr²) = 1.6 % of snr² (logistic regression),
    0.002 in AUC; ten seeds lost 0.001 to 0.003, and 0.006 is allowed.
    """
    n, side, sigma_hu = 6000, SIDE - 2, 20.0
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:side, :side].reshape(2, -1)
    distance = np.hypot(row[:, None] - row, column[:, None] - column)
    covariance = sigma_hu**2 * (0.8 * np.exp(-distance / 2.0) + 0.2 * np.eye(side**2))
    signal = 25.0 * np.exp(-((row - 2.5) ** 2 + (column - 2.5) ** 2) / (2 * 0.8**2))
    present = rng.permutation(np.arange(n) % 2 == 0)
    images = rng.multivariate_normal(np.full(side**2, 50.0), covariance, n, method="cholesky")
    region = (images + present[:, None] * signal).reshape(n, side, side)
    noisy = np.pad(region, ((0, 0), (1, 1), (1, 1)))

    denoiser = Denoiser(Gain(), offset_hu=0.0, scale_hu=1.0)
    with torch.no_grad():
        for parameter, value in zip(denoiser.parameters(), (1.0, 0.0), strict=True):
            parameter.fill_(value).requires_grad_(False)
    head = head_of()
    run(
        denoiser,
        trials_of(noisy, noisy, present),
        loss=SLNNLoss(head, training="joint"),
        head_learning_rate=0.05,
        task_weight=0.9,
        epochs=40,
        batch_size=250,
    )
    weights = head.template.detach().double().numpy().ravel()

    ideal = norm.cdf(math.sqrt(signal @ np.linalg.solve(covariance, signal) / 2))
    reached = norm.cdf(weights @ signal / math.sqrt(2 * weights @ covariance @ weights))
    untuned = norm.cdf(signal @ signal / math.sqrt(2 * signal @ covariance @ signal))  # the matched filter
    assert 0.8 < ideal < 0.95
    assert untuned < ideal - 0.1  # so that the test can tell the two apart
    assert ideal - 0.006 < reached <= ideal + 1e-9


def misleading() -> tuple[Trials, Trials]:
    """Training lowers the gain to 0.5; on these validation trials, whose reference is the noisy image, 1 is best."""
    other = white(64, seed=1)
    return white(64), trials_of(other.noisy, other.noisy, other.signal_present)


def trained_on_misleading(**changed: Any) -> tuple[float, list[float]]:
    """RMSE on the validation trials in the end, and after every epoch."""
    denoiser = gain_denoiser()
    trials, validation = misleading()
    history = run(denoiser, trials, validation=validation, **changed)
    denoised = denoise(denoiser, validation.noisy, dtype="float32", margin=1)
    rmse = math.sqrt(mean_squared_error(denoised, validation.reference[:, 1:-1, 1:-1]))
    return rmse, [epoch.validation_rmse_hu for epoch in history]


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_epoch_on_validation_is_kept_if_asked_for(keep: str) -> None:
    rmse, seen = trained_on_misleading(keep=keep)
    assert seen.index(min(seen)) < 2
    assert seen[-1] > 1.2 * min(seen)  # so that the test can tell the two apart
    assert rmse == pytest.approx(min(seen) if keep == "best" else seen[-1], rel=1e-5)


def test_patience_ends_a_training_that_gets_no_better() -> None:
    _, whole = trained_on_misleading()
    _, seen = trained_on_misleading(patience=2)
    assert len(seen) == whole.index(min(whole)) + 1 + 2 < len(whole)
    assert seen == whole[: len(seen)]


def test_validation_trials_are_needed_to_choose_by() -> None:
    for wrong in ({"keep": "best"}, {"patience": 1}):
        with pytest.raises(ValueError, match="need validation trials"):
            run(gain_denoiser(), white(16), **wrong)


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *arguments: Any, **keywords: Any) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    run(gain_denoiser(), white(64), epochs=1)
    free, norms[:] = max(norms), []
    run(gain_denoiser(), white(64), epochs=1, max_gradient_norm=free / 10)
    assert max(norms) == pytest.approx(free / 10, rel=1e-3)


def test_patches_are_squares_of_the_images_at_one_place() -> None:
    images = torch.arange(2.0 * 7 * 9).reshape(2, 7, 9)
    places = set()
    for seed in range(200):
        a, b = patch([images, -images], 4, seed=seed)
        assert torch.equal(a, -b)
        assert a.shape == (2, 4, 4)
        top, left = divmod(int(a[0, 0, 0]), 9)
        assert torch.equal(a, images[:, top : top + 4, left : left + 4])
        places.add((top, left))
    assert len(places) == 4 * 6  # every place: one is missed once in some 200 seedings of the test
    (whole,) = patch([images], 20, seed=0)
    assert torch.equal(whole, images)


def test_a_training_on_patches_learns_the_same_gain() -> None:
    denoiser = gain_denoiser()
    run(denoiser, white(320, side=10), patch_pixels=8)
    assert float(next(denoiser.parameters()).detach()) == pytest.approx(0.5, abs=0.05)


def test_a_task_needs_whole_regions() -> None:
    with pytest.raises(ValueError, match="whole regions"):
        run(gain_denoiser(), white(16), loss=SLNNLoss(head_of()), patch_pixels=8)


def test_lambda_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task_weight \(λ\) is 1.*at least 0 and below 1"):
        run(gain_denoiser(), white(16), task_weight=1.0)
