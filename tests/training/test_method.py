"""The method on trials of a second: pretrain, append a head, fine-tune."""

import copy
import dataclasses
import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from taskct.denoisers.denoiser import Denoiser, denoise
from taskct.errors import UserError
from taskct.training import (
    Plan,
    SignalPromoterLoss,
    SLNNLoss,
    TaskTrials,
    Trained,
    TrainingFailed,
    Upkeep,
    append_head,
    append_loss,
    finetune,
    pretrain,
)
from taskct.training.losses.base import Batch
from taskct.training.plan import CHOICES, RANGES
from tiny_training import tiny_trials

TRIALS, VALIDATION = tiny_trials(96), tiny_trials(40, seed=1)
PLAN = Plan(epochs=2, batch_size=16, learning_rate=5e-3, dtype="float32")


def network(*, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(4, 1, 3, padding=1))


@pytest.fixture(scope="module")
def pretrained() -> Trained:
    return pretrain(network(), TRIALS, VALIDATION, PLAN)


@pytest.fixture(scope="module")
def head(pretrained: Trained) -> SLNNLoss:
    return append_head(pretrained.denoiser, TRIALS, plan=PLAN)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_pretraining_lowers_the_error_and_tells_its_losses(pretrained: Trained) -> None:
    assert len(pretrained.history) == 2
    assert pretrained.loss is None
    assert pretrained.history[-1].rmse_hu < pretrained.history[0].rmse_hu
    # What stands in the end is what is measured: HU² of the regions, without their margin.
    denoised = denoise(pretrained.denoiser, VALIDATION.noisy, dtype="float32", margin=VALIDATION.margin)
    mse = float(np.mean((denoised.astype(np.float64) - VALIDATION.reference_regions) ** 2))
    assert pretrained.mse_pretrained == mse == pytest.approx(pretrained.history[-1].validation_rmse_hu ** 2, rel=1e-5)
    assert float(pretrained.denoiser.offset_hu) == pytest.approx(TRIALS.noisy.mean())
    assert float(pretrained.denoiser.scale_hu) == pytest.approx(TRIALS.noisy.std())


def test_a_denoiser_is_taken_as_it_is() -> None:
    own = Denoiser(network(), offset_hu=7.0, scale_hu=11.0)
    trained = pretrain(own, TRIALS, plan=dataclasses.replace(PLAN, epochs=1))
    assert trained.denoiser is own
    assert (float(own.offset_hu), float(own.scale_hu)) == (7.0, 11.0)
    assert math.isnan(trained.history[0].validation_loss)


@pytest.mark.parametrize("kind", ["pixel", "eye", "channels"])
def test_an_appended_head_knows_the_signal(pretrained: Trained, kind: str) -> None:
    before = weights(pretrained.denoiser)
    matrix = np.eye(100)[:, [44, 45, 54, 55]] if kind == "channels" else None
    noise = 0.0 if kind == "pixel" else 2.0
    pixel_mm = 0.7 if kind == "eye" else None
    loss = append_head(
        pretrained.denoiser,
        TRIALS,
        kind=kind,  # type: ignore[arg-type]  # one of its literals
        pixel_mm=pixel_mm,
        channel_matrix=matrix,
        internal_noise_hu=noise,
        plan=PLAN,
    )
    assert same(before, weights(pretrained.denoiser))
    regions = denoise(pretrained.denoiser, TRIALS.noisy, dtype="float32", margin=1)
    statistic = loss.head.test_statistic(regions, torch.Generator().manual_seed(0))  # type: ignore[call-arg, arg-type]
    assert statistic[TRIALS.signal_present].mean() > statistic[~TRIALS.signal_present].mean() + 0.2 * statistic.std()


def test_a_head_may_start_from_0(pretrained: Trained) -> None:
    loss = append_head(pretrained.denoiser, TRIALS, training="joint", plan=PLAN)
    assert not any(bool(parameter.any()) for parameter in loss.parameters())


def test_fine_tuning_leaves_what_it_was_given(pretrained: Trained, head: SLNNLoss) -> None:
    before = weights(pretrained.denoiser), weights(head)
    trained = finetune(pretrained.denoiser, head, TRIALS, 0.7, PLAN, VALIDATION)
    assert same(before[0], weights(pretrained.denoiser))
    assert same(before[1], weights(head))
    assert trained.mse_pretrained == pretrained.mse_pretrained
    assert not same(before[0], weights(trained.denoiser))
    assert isinstance(trained.loss, SLNNLoss)
    assert not same(before[1], weights(trained.loss))
    assert not trained.denoiser.training
    own, loss = copy.deepcopy(pretrained.denoiser), copy.deepcopy(head)
    again = finetune(own, loss, TRIALS, 0.7, PLAN, VALIDATION, mse_pretrained=pretrained.mse_pretrained, copy=False)
    assert again.denoiser is own
    assert again.loss is loss
    assert same(weights(own), weights(trained.denoiser))
    assert again.history == trained.history


def test_at_lambda_0_the_task_does_not_reach_the_denoiser(pretrained: Trained, head: SLNNLoss) -> None:
    turned = dataclasses.replace(TRIALS, signal_present=~TRIALS.signal_present)
    found = [finetune(pretrained.denoiser, head, trials, 0.0, PLAN) for trials in (TRIALS, turned)]
    assert same(weights(found[0].denoiser), weights(found[1].denoiser))
    assert found[0].loss is not None
    assert found[1].loss is not None
    assert not same(weights(found[0].loss), weights(found[1].loss))


def test_the_head_learns_equally_well_whatever_lambda_is(pretrained: Trained, head: SLNNLoss) -> None:
    """Behind a denoiser that stays, its weights are the same to the bit at every λ: it gets the full gradient."""
    frozen = copy.deepcopy(pretrained.denoiser).requires_grad_(False)
    heads = [finetune(frozen, head, TRIALS, task_weight, PLAN).loss for task_weight in (0.0, 0.5, 0.95)]
    assert all(loss is not None and same(weights(loss), weights(heads[0])) for loss in heads)  # type: ignore[arg-type]
    assert not same(weights(heads[0]), weights(head))  # type: ignore[arg-type]


def test_lambda_trades_the_error_for_the_task(pretrained: Trained, head: SLNNLoss) -> None:
    plan = dataclasses.replace(PLAN, epochs=8)
    low, high = (finetune(pretrained.denoiser, head, TRIALS, w, plan, TRIALS).history[-1] for w in (0.0, 0.95))
    assert high.validation_task < low.validation_task
    assert high.validation_rmse_hu > low.validation_rmse_hu


def test_a_loss_that_needs_signals_gets_them(pretrained: Trained) -> None:
    signal = torch.zeros(96, 12, 12)
    signal[:, 5:7, 5:7] = 15.0
    known = TaskTrials(TRIALS, signal)
    loss = append_loss(pretrained.denoiser, known, lambda regions: SignalPromoterLoss(), PLAN)
    assert math.isfinite(finetune(pretrained.denoiser, loss, known, 0.5, PLAN).history[-1].task)
    with pytest.raises(ValueError, match="needs the noise-free signal"):
        finetune(pretrained.denoiser, loss, TRIALS, 0.5, PLAN)


def test_a_loss_starts_on_references_laid_out_as_the_regions(pretrained: Trained) -> None:
    """Sums over a view without its margin have other last bits, which the training of an observer magnifies."""
    seen: list[torch.Tensor] = []

    class Seen(SignalPromoterLoss):
        def start(self, denoised: torch.Tensor, batch: Batch, *, seed: int) -> None:
            seen.append(batch.reference)

    framed = dataclasses.replace(TRIALS, margin=2)
    append_loss(pretrained.denoiser, framed, lambda regions: Seen(), PLAN)
    assert torch.equal(seen[0], torch.from_numpy(framed.reference_regions))
    assert seen[0].is_contiguous()


def test_dropout_and_progress(pretrained: Trained) -> None:
    """The global generators are left alone, and the same plan gives the same weights."""
    seen: list[int] = []
    upkeep = Upkeep(progress=lambda done, total, detail: seen.append(done))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = network(dropout=0.3)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(weights(pretrain(module, TRIALS, plan=PLAN, upkeep=upkeep).denoiser))
        assert torch.equal(torch.get_rng_state(), before)
    assert same(*found)
    assert seen == 2 * list(range(16, 193, 16))


def test_old_weight_norm_is_copied() -> None:
    """A weight that is computed before every pass is no parameter, and torch does not copy it."""
    with pytest.warns(FutureWarning):
        module = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 1, 3, padding=1)))
    denoiser = Denoiser(module, offset_hu=50.0, scale_hu=20.0)
    before = weights(denoiser)
    loss = append_head(denoiser, TRIALS, plan=PLAN)
    denoiser(torch.from_numpy(TRIALS.noisy))  # leaves a computed weight with a gradient behind
    trained = finetune(denoiser, loss, TRIALS, 0.5, PLAN)
    assert same(before, weights(denoiser))
    assert not same(before, weights(trained.denoiser))


def test_a_collapsed_denoiser_is_refused() -> None:
    flat = nn.Conv2d(1, 1, 1)
    nn.init.zeros_(flat.weight)
    denoiser = Denoiser(flat, offset_hu=50.0, scale_hu=20.0)
    with pytest.raises(TrainingFailed, match="has collapsed, its image is the same for every trial"):
        append_head(denoiser, TRIALS)


def test_one_class_alone_starts_no_head(pretrained: Trained) -> None:
    absent = dataclasses.replace(TRIALS, signal_present=np.zeros(96, dtype=bool))
    with pytest.raises(TrainingFailed, match=r"the task cannot be started: .*signal-present"):
        append_head(pretrained.denoiser, absent)


@pytest.mark.parametrize("task_weight", [-0.1, 1.0, math.nan])
def test_lambda_out_of_range_is_refused(pretrained: Trained, head: SLNNLoss, task_weight: float) -> None:
    with pytest.raises(UserError, match=r"task_weight \(λ\) is .*at least 0 and below 1"):
        finetune(pretrained.denoiser, head, TRIALS, task_weight, PLAN)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in RANGES for value in RANGES[name].outside()])
def test_a_plan_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{name} is .*it must be") as caught:
        Plan(**{name: value})  # type: ignore[arg-type]  # on purpose
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_an_unknown_choice_is_refused(name: str) -> None:
    for choice in get_args(CHOICES[name]):
        Plan(**{name: choice})
    with pytest.raises(UserError, match=f"{name} is 'fast'; it must be one of "):
        Plan(**{name: "fast"})  # type: ignore[arg-type]  # on purpose
