"""Classical filters: laws of scale, and tuning against a closed form."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from taskct.denoisers import classical
from taskct.denoisers.classical import CLASSICAL, ClassicalFilter, filter_images, tune
from taskct.errors import UserError

NOISE_HU = 30.0
Images = NDArray[np.float32]


def make_pairs(n: int, seed: int) -> tuple[Images, Images]:
    """A bright blob and a soft edge around 40 HU, and the same with white noise."""
    rows, columns = np.mgrid[:40, :44]
    phantom = 40 + 150 * np.exp(-((rows - 18) ** 2 + (columns - 20) ** 2) / 90) - 200 / (1 + np.exp(30 - columns))
    reference = np.repeat(phantom[None], n, axis=0).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, reference.shape)
    return (reference + noise).astype(np.float32), reference


@pytest.fixture(params=list(CLASSICAL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def parameters_of(name: str, *, stretch: float = 1.0, choice: int = 0) -> dict[str, float]:
    middle, chosen = CLASSICAL[name].grid[2], CLASSICAL[name]
    second = {chosen.second: chosen.choices[choice]}
    return {"strength_hu": middle * NOISE_HU * stretch, "noise_hu": NOISE_HU * stretch, **second}


def mean_squared(difference: Images) -> float:
    return float((difference.astype(np.float64) ** 2).mean())


def test_a_tuned_filter_removes_noise(name: str) -> None:
    """Found on two images and used on two others, it leaves less than a third of the noise's variance.

    On these 3,520 pixels the variance of the noise is known to 2.4 %, and what the filters leave is near a tenth of
    it, so a false alarm is out of reach.
    """
    noisy, reference = make_pairs(2, seed=0)
    calls: list[tuple[int, int, str]] = []
    found = tune(name, noisy, reference, progress=lambda *call: calls.append(call))
    assert found["noise_hu"] == pytest.approx(float((noisy - reference).std()), rel=1e-5)
    other, truth = make_pairs(2, seed=1)
    assert mean_squared(filter_images(name, other, found) - truth) < mean_squared(other - truth) / 3
    # No strength of the grid and no other choice is better.
    at_best = mean_squared(filter_images(name, noisy, found) - reference)
    chosen = CLASSICAL[name]
    others = [
        found | {"strength_hu": s * found["noise_hu"], chosen.second: choice}
        for s in chosen.grid
        for choice in chosen.choices
    ]
    assert at_best <= min(mean_squared(filter_images(name, noisy, other) - reference) for other in others)
    assert [done for done, _, _ in calls] == list(range(1, len(calls) + 1))
    totals = [total for _, total, _ in calls]
    assert totals[0] == len(others) + 6
    assert totals == sorted(totals)  # more where a grid has grown
    assert totals[-1] == len(calls)


def test_shape_type_and_order_are_kept(name: str) -> None:
    noisy, _ = make_pairs(3, seed=0)
    noisy *= np.array([1, 2, 3], dtype=np.float32)[:, None, None]
    before = noisy.copy()
    result = filter_images(name, noisy[:, ::-1], parameters_of(name))
    assert (result.shape, result.dtype) == (noisy.shape, np.float32)
    np.testing.assert_array_equal(noisy, before)
    for image, filtered in zip(noisy, result, strict=True):  # one by one, and the same each time
        np.testing.assert_array_equal(filter_images(name, image[None, ::-1], parameters_of(name))[0], filtered)


@pytest.mark.parametrize("level_hu", [-1000.0, 0.0, 60.0])
def test_a_constant_image_stays(name: str, level_hu: float) -> None:
    image = np.full((1, 24, 20), level_hu, dtype=np.float32)
    np.testing.assert_allclose(filter_images(name, image, parameters_of(name)), image, rtol=0, atol=1e-4)


def test_images_moved_and_stretched_come_back_so(name: str) -> None:
    """f(kx + c) = k f(x) + c when the parameters are stretched too."""
    noisy, _ = make_pairs(1, seed=0)
    for choice in range(len(CLASSICAL[name].choices)):
        still = filter_images(name, noisy, parameters_of(name, choice=choice))
        moved = filter_images(name, noisy * 4 - 3000, parameters_of(name, stretch=4, choice=choice))
        np.testing.assert_allclose((moved + 3000) / 4, still, rtol=0, atol=0.02)


def test_a_strength_at_the_end_of_all_that_was_tried_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best shrinkage of noise alone is infinite."""
    noisy = np.random.default_rng(0).normal(0, NOISE_HU, (1, 20, 20))
    monkeypatch.setattr(classical, "WORTH", 0.0)
    chosen = ClassicalFilter("shrinkage", "logarithm", shrink, (0.1, 0.15), "spoil", (0.0,))
    monkeypatch.setitem(CLASSICAL, "shrinkage", chosen)
    with pytest.warns(UserWarning, match="shrinkage: the best strength tried, .* HU, is the last of its list"):
        found = tune("shrinkage", noisy, np.zeros_like(noisy))
    assert found["strength_hu"] / found["noise_hu"] > 0.099 * 1.5 ** (1 + classical.MAX_LONGER)


def test_a_filter_is_tuned_on_a_share_of_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine images every other one takes part, so that it is no matter if the others want no filter at all."""
    noisy, reference = make_pairs(9, seed=0)
    spoiled = reference.copy()
    spoiled[1::2] = noisy[1::2]
    monkeypatch.setattr(classical, "TUNED_IMAGES", (1, 5))
    chosen = ClassicalFilter("shrinkage", "logarithm", shrink, (0.1, 0.3, 1.0), "spoil", (0.0,))
    monkeypatch.setitem(CLASSICAL, "shrinkage", chosen)

    def relative(other: Images) -> float:
        found = tune("shrinkage", noisy, other)
        return found["strength_hu"] / found["noise_hu"]

    some = relative(reference)
    assert relative(spoiled) == pytest.approx(some, rel=0.05)
    monkeypatch.setattr(classical, "TUNED_IMAGES", (1, 9))
    assert relative(spoiled) < 0.8 * some


def shrink(image: NDArray[np.float64], strength_hu: float, noise_hu: float, spoil: float) -> NDArray[np.float64]:
    return image * math.exp(-strength_hu / noise_hu) + spoil


@pytest.mark.parametrize("signal_hu", [20.0, 60.0, 300.0, 3.0, 1500.0])
def test_tuning_finds_the_least_error_in_closed_form(monkeypatch: pytest.MonkeyPatch, signal_hu: float) -> None:
    """Of a·noisy the error is least at a = ⟨noisy, reference⟩ / ⟨noisy, noisy⟩, wherever that lies from the grid."""
    rng = np.random.default_rng(0)
    reference = rng.normal(0, signal_hu, (2, 60, 60))
    noisy = reference + rng.normal(0, NOISE_HU, reference.shape)
    best = -math.log(float((noisy * reference).sum() / (noisy**2).sum()))  # 0.0004 to 4.6 of the noise
    monkeypatch.setattr(classical, "WORTH", 0.0)  # far out the error changes little
    chosen = ClassicalFilter("shrinkage", "logarithm", shrink, (0.1, 0.3, 1.0), "spoil", (5.0, 0.0, -5.0))
    monkeypatch.setitem(CLASSICAL, "shrinkage", chosen)
    found = tune("shrinkage", noisy, reference)
    assert found["spoil"] == 0.0
    assert math.log(found["strength_hu"] / found["noise_hu"]) == pytest.approx(math.log(best), abs=0.03)


def test_a_margin_does_not_count() -> None:
    """Pairs whose borders are spoiled give the same as pairs that are whole there."""
    noisy, reference = make_pairs(1, seed=0)
    spoiled = reference.copy()
    spoiled[:, :3] += 1e4
    spoiled[:, :, -3:] -= 1e4
    assert tune("tv", noisy, spoiled, margin=3) == tune("tv", noisy, reference, margin=3)


@pytest.mark.parametrize(
    ("noisy", "reference", "message"),
    [
        (np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), "do not differ"),
        (np.zeros((2, 8, 8)), np.zeros((2, 8, 9)), "give pairs"),
        (np.zeros((8, 8)), np.zeros((8, 8)), r"noisy images have shape \(8, 8\)"),
        (np.zeros((0, 8, 8)), np.zeros((0, 8, 8)), "none of them 0"),
        (np.zeros((1, 8, 8)), np.full((1, 8, 8), np.nan), "reference images hold values that are not finite"),
    ],
)
def test_pairs_that_nothing_can_be_tuned_on(noisy: Images, reference: Images, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tune("tv", noisy, reference)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strength_hu": 0.0}, "strength_hu is 0 HU; it must be more than 0 HU"),
        ({"noise_hu": math.inf}, "noise_hu is inf HU"),
        ({"strength_hu": math.nan}, "strength_hu is nan HU"),
    ],
)
def test_parameters_out_of_range(name: str, parameters: dict[str, float], message: str) -> None:
    image, known = np.zeros((1, 8, 8), dtype=np.float32), parameters_of(name)
    with pytest.raises(UserError, match=message):
        filter_images(name, image, known | parameters)
    second = CLASSICAL[name].second
    with pytest.raises(UserError, match=f"{second} is 7; it must be one of"):
        filter_images(name, image, known | {second: 7})
    for wrong, told in (({}, "not none"), ({"strength_hu": 1.0, "weight": 1.0}, "not strength_hu, weight")):
        with pytest.raises(UserError, match=f"takes the parameters strength_hu, noise_hu, {second}, {told}"):
            filter_images(name, image, wrong)


def test_an_unknown_filter_and_settings_out_of_range() -> None:
    noisy, reference = make_pairs(1, seed=0)
    with pytest.raises(UserError, match="'median' is unknown: use nlm, tv, bilateral"):
        filter_images("median", noisy, {})
    with pytest.raises(ValueError, match="leaves nothing"):
        tune("tv", noisy, reference, margin=20)
