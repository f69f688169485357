"""Small regions, odd ones too, against closed forms: a known signal, and one learned from few trials."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import norm

from taskct.observers import NPW, NPWE, PWMF, HotellingEye, SLNNHead, SmallSampleWarning
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.observers.nonprewhitening import noise_share

SHAPES = [(7, 7), (8, 8), (7, 16), (15, 15), (16, 15), (33, 33)]
PIXEL_MM, NOISE_HU, N_OF_CLASS = 0.7, 20.0, 60


def gaussian(shape):
    """A signal of 2 pixels' standard deviation, for which NPW in white noise has an AUC of 0.9."""
    rows, columns = (np.arange(n) - (n - 1) / 2.0 for n in shape)
    signal = np.exp(-(rows[:, None] ** 2 + columns**2) / 8.0)
    return signal * NOISE_HU * norm.ppf(0.9) * np.sqrt(2.0) / np.linalg.norm(signal)


def reflected_filter(image):
    """The eye filter by its definition: the image is mirrored at its border and made periodic, and E is the factor."""
    height, width = image.shape
    mirrored = np.pad(image, ((0, height), (0, width)), mode="symmetric")
    frequency = np.hypot(np.fft.fftfreq(2 * height, PIXEL_MM)[:, None], np.fft.fftfreq(2 * width, PIXEL_MM))
    rho = frequency * 500.0 * np.pi / 180.0  # cycles per degree at 500 mm
    response = (rho / 4.0) ** 1.3 * np.exp(0.65 * (1.0 - (rho / 4.0) ** 2))
    return np.fft.ifft2(np.fft.fft2(mirrored) * response).real[:height, :width]


def matrix_of(shape):
    n = shape[0] * shape[1]
    return np.stack([reflected_filter(one).ravel() for one in np.eye(n).reshape(n, *shape)], axis=1)


def auc_of(template, signal, covariance_hu2=NOISE_HU**2):
    """Exact AUC of a template in white noise."""
    w = template.ravel()
    return norm.cdf(w @ signal.ravel() / np.sqrt(2.0 * covariance_hu2 * (w @ w)))


def draw(signal, n_of_class, rng):
    present = np.arange(2 * n_of_class) % 2 == 0
    images = rng.normal(40.0, NOISE_HU, (2 * n_of_class, *signal.shape))
    images[present] += signal
    return images, present


@pytest.mark.parametrize("shape", SHAPES)
def test_the_eye_filter_is_its_definition(shape):
    image = np.random.default_rng(0).normal(40.0, NOISE_HU, shape)
    found = apply_eye_filter(image, eye_filter(shape, pixel_mm=PIXEL_MM))
    np.testing.assert_allclose(found, reflected_filter(image), atol=1e-9)
    assert abs(found.mean()) < 1e-9  # the response at frequency 0 is 0
    np.testing.assert_allclose(apply_eye_filter(image + 1000.0, eye_filter(shape, pixel_mm=PIXEL_MM)), found, atol=1e-9)


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_known_signal_has_the_closed_form_auc(shape):
    signal, rng = gaussian(shape), np.random.default_rng(1)
    trials = draw(signal, N_OF_CLASS, rng)
    behind = reflected_filter(reflected_filter(signal))
    assert auc_of(NPW(signal=signal).fit(*trials).template_, signal) == pytest.approx(0.9, abs=1e-12)
    found = auc_of(NPWE(signal=signal, pixel_mm=PIXEL_MM).fit(*trials).template_, signal)
    assert found == pytest.approx(auc_of(behind, signal), abs=1e-9)
    assert 0.70 < found < 0.82  # not the 0.46 of a template of noise
    white = np.full(shape, NOISE_HU**2 * PIXEL_MM**2)
    for pwmf in (
        PWMF(covariance=NOISE_HU**2 * np.eye(signal.size), signal=signal),
        PWMF(nps_hu2_mm2=white, pixel_mm=PIXEL_MM, signal=signal),
    ):
        template = pwmf.fit(*trials).template_
        assert auc_of(template, signal) == pytest.approx(0.9, abs=1e-12)
        np.testing.assert_allclose(template, signal / NOISE_HU**2, atol=1e-12)


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
@pytest.mark.parametrize("shape", SHAPES[:-1])
@pytest.mark.parametrize("kind", ["npw", "npwe"])
def test_a_learned_signal_loses_what_the_closed_form_says(shape, kind):
    """d'² falls by the share v tr(K²) / [sᵀKs + v tr(K²)] that noise has in the variance of the statistic."""
    signal, rng = gaussian(shape), np.random.default_rng(2)
    matrix = np.eye(signal.size) if kind == "npw" else matrix_of(shape)
    observer = NPW() if kind == "npw" else NPWE(pixel_mm=PIXEL_MM)
    seen, covariance = matrix @ signal.ravel(), NOISE_HU**2 * matrix @ matrix.T
    noise = 2.0 / N_OF_CLASS * np.sum(covariance**2)
    variance = seen @ covariance @ seen
    share = noise / (variance + noise)
    expected = norm.cdf(np.sqrt((seen @ seen) ** 2 / variance * (1.0 - share) / 2.0))
    areas, shares = [], []
    for _ in range(60):
        images, present = draw(signal, N_OF_CLASS, rng)
        areas.append(auc_of(observer.fit(images, present).template_, signal))
        shares.append(noise_share(images.reshape(len(images), -1) @ matrix.T, present))
    # Standard errors over 60 training sets: below 0.0025 of AUC, 0.02 of the share; 4 of each: 6e-5 a line. To first
    # order alone the closed form is right, hence 0.003 and 0.05 more.
    assert np.mean(areas) == pytest.approx(expected, abs=0.013)
    assert np.mean(shares) == pytest.approx(share, abs=0.13)
    if kind == "npwe":
        assert np.mean(areas) < 0.65  # whatever the region: a template of noise, and no fault of small grids


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
@pytest.mark.parametrize("shape", [(7, 7), (8, 8), (7, 16)])
def test_hotelling_behind_the_eye_reaches_the_closed_form(shape):
    signal, internal = gaussian(shape), 10.0
    matrix = matrix_of(shape)
    seen = matrix @ signal.ravel()
    outputs = NOISE_HU**2 * matrix @ matrix.T + internal**2 * np.eye(signal.size)
    best = norm.cdf(np.sqrt(seen @ np.linalg.solve(outputs, seen) / 2.0))
    observer = HotellingEye(pixel_mm=PIXEL_MM, internal_noise_hu=internal, ridge=0.0)
    observer.fit(*draw(signal, 4_000, np.random.default_rng(3)))
    w = observer.template_.ravel()
    variance = NOISE_HU**2 * (w @ w) + observer.internal_std_**2
    # The expected loss of a template of 112 weights from 8,000 trials is of the order of 112/8,000 of d'².
    assert best - 0.015 < norm.cdf(w @ signal.ravel() / np.sqrt(2.0 * variance)) <= best + 1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_the_template_of_an_eye_head_is_its_weights_behind_the_eye(shape):
    head = SLNNHead(shape, kind="eye", pixel_mm=PIXEL_MM, scale_hu=NOISE_HU)
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(gaussian(shape)))
    expected = reflected_filter(head.layer.detach().double().numpy())
    np.testing.assert_allclose(head.template.detach().numpy(), expected, atol=1e-6 * np.abs(expected).max())


def warnings_of(observer, trials):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observer.fit(*trials)
    return [str(one.message) for one in caught if issubclass(one.category, SmallSampleWarning)]


def test_a_template_of_noise_is_said_with_what_helps():
    shape = (7, 7)  # fewer pixels than trials, and yet too few trials
    signal, rng = gaussian(shape), np.random.default_rng(4)
    few, many = draw(signal, N_OF_CLASS, rng), draw(signal, 3_000, rng)
    (message,) = warnings_of(NPWE(pixel_mm=PIXEL_MM), few)
    assert message.startswith("120 training trials: about ")
    assert "give the expected signal, a smaller region, or" in message
    assert "\n" not in message
    assert warnings_of(PWMF(covariance=NOISE_HU**2 * np.eye(49)), few)
    assert warnings_of(NPW(), few)
    for known in (NPW(signal=signal), NPWE(pixel_mm=PIXEL_MM, signal=signal)):
        assert not warnings_of(known, few)
    for observer in (NPW(), PWMF(covariance=NOISE_HU**2 * np.eye(49))):
        assert not warnings_of(observer, many)


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
def test_the_trials_that_the_warning_names_are_enough():
    shape = (8, 8)
    signal, rng = gaussian(shape), np.random.default_rng(5)
    (message,) = warnings_of(NPW(), draw(signal, N_OF_CLASS, rng))
    wanted = int(message.rsplit("about ", 1)[1].removesuffix(" trials").replace(",", ""))
    areas = [auc_of(NPW().fit(*draw(signal, wanted // 2, rng)).template_, signal) for _ in range(10)]
    # 80 % of d'² is an AUC of 0.874; the estimate of the share, about 0.4, has a standard error of 0.08.
    assert 0.85 < np.mean(areas) < 0.89
