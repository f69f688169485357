"""A reader who learned on references: which observer it is, its scale, and that it stays as it is."""

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.observers.choice import fit_chosen
from taskct.observers.hotelling import HotellingEye
from taskct.observers.slnn_head import SLNNHead
from taskct.testing.gaussian import correlated_task
from taskct.training.losses.base import Batch
from taskct.training.reader import ReferenceReader
from taskct.training.task_path import PathLoss

N = 2000
NOISE_HU = 3.0


def _observer() -> HotellingEye:
    return HotellingEye(pixel_mm=1.0, internal_noise_hu=NOISE_HU)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Gaussian references; what a denoiser makes of them is half as large."""
    images, present = correlated_task().draw(N, seed=0)
    return Batch(torch.from_numpy(images), torch.from_numpy(present))


@pytest.fixture(scope="module")
def reader(batch: Batch) -> ReferenceReader:
    started = ReferenceReader(_observer(), (8, 8))
    started.start(batch.reference / 2.0, batch)
    return started


def test_its_template_is_that_of_the_observer_fitted_to_the_references(reader: ReferenceReader, batch: Batch) -> None:
    alone = fit_chosen(_observer(), batch.reference.numpy(), batch.signal_present.numpy()).observer.template_
    ours = reader.template.double().numpy()
    assert np.sum(alone * ours) / np.sqrt(np.sum(alone**2) * np.sum(ours**2)) == pytest.approx(1.0, abs=1e-6)


def test_its_logit_is_that_of_two_normal_classes_with_its_noise(reader: ReferenceReader, batch: Batch) -> None:
    """Mean ± m of the classes; with a variance v, the noise's included, the logit's slope is 1 where 2 m is v."""
    t = (batch.reference / 2.0).flatten(1) @ reader.template.flatten() + reader.offset
    present = batch.signal_present
    mean = float(t[present].mean()), float(t[~present].mean())
    variance = 0.5 * float(t[present].var() + t[~present].var())
    fitted = fit_chosen(_observer(), batch.reference.numpy(), present.numpy()).observer
    noise = fitted.internal_std_ * float(reader.template.norm()) / float(np.linalg.norm(fitted.template_))
    assert mean[0] == pytest.approx(-mean[1], abs=1e-4)
    assert mean[0] - mean[1] == pytest.approx(variance + noise**2, rel=2e-3)


def test_it_has_nothing_to_learn_and_takes_half_of_the_loss(reader: ReferenceReader, batch: Batch) -> None:
    head = SLNNHead((8, 8), offset_hu=20.0, scale_hu=20.0)
    denoised = batch.reference / 2.0
    alone, both = PathLoss(head), PathLoss(head, reader=reader)
    assert not list(reader.parameters())
    assert {name for name, _ in both.named_parameters()} == {"head.weight", "head.bias"}
    with torch.no_grad():
        own, read, together = (float(loss(denoised, batch)) for loss in (alone, reader, both))
    assert together == pytest.approx((own + read) / 2.0, rel=1e-6)
    assert read < 0.95  # 1 at chance


def test_it_stands_in_the_state_of_a_training(reader: ReferenceReader, batch: Batch) -> None:
    other = ReferenceReader(_observer(), (8, 8))
    other.load_state_dict(reader.state_dict())
    assert torch.equal(other(batch.reference, batch), reader(batch.reference, batch))


def test_references_that_are_all_the_same_are_refused(batch: Batch) -> None:
    with pytest.raises(UserError, match="all training images are the same"):
        ReferenceReader(_observer(), (8, 8)).start(batch.reference, batch._replace(reference=torch.ones(N, 8, 8)))
