"""What a task path adds, on images whose correction is known, and the way to the bound on binormal data."""

import json
import math

import numpy as np
import pytest
from scipy.special import ndtr

import taskct
from taskct.metrics.roc import auc
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult, NearLimitScores, read_result
from taskct.study.arms import Arm, arms_of
from taskct.study.path_results import (
    NEAR_DIAMETERS,
    Added,
    Z,
    best_read,
    bound_of,
    near_site,
    ratio_interval,
    way_to_bound,
    ways,
)
from taskct.study.resampling import Resampling, Unit, unit_of
from taskct.study.run_folder import RunFolder
from taskct.tasks.shapes import signal_site
from taskct.tasks.signals import Signals
from tiny_study import path_run, tiny_run

__all__ = ["path_run", "tiny_run"]  # fixtures

N, SIDE, PIXEL_MM, DIAMETER_MM = 400, 48, 0.8, 5.0
PRESENT = np.arange(N) % 2 == 0
RESAMPLING = Resampling(Unit(PRESENT, None, N, True), 200, 0)


@pytest.fixture(scope="module")
def signals() -> Signals:
    rng = np.random.default_rng(0)
    places = {name: rng.uniform(-6, 6, N) for name in ("x_mm", "y_mm")}
    return Signals.from_columns({"diameter_mm": np.full(N, DIAMETER_MM), "contrast_hu": np.full(N, -30.0), **places})


@pytest.fixture(scope="module")
def places(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of each disc, and those near it."""
    site = signal_site(signals, n_pixels=SIDE, pixel_mm=PIXEL_MM)
    return site, near_site(signals, n_pixels=SIDE, pixel_mm=PIXEL_MM)


def test_what_is_near_is_a_disc_about_the_site(places: tuple[np.ndarray, np.ndarray]) -> None:
    site, near = places
    area = math.pi * (NEAR_DIAMETERS * DIAMETER_MM / PIXEL_MM) ** 2
    assert near.sum(axis=(1, 2)) == pytest.approx(np.full(N, area), rel=0.02)  # the grid's error
    assert not (site & ~near).any()


def test_a_correction_at_the_site_alone_has_all_its_energy_near(places: tuple[np.ndarray, np.ndarray]) -> None:
    """Minus 3 HU on the disc where there is a signal, plus 1 HU where there is none, and half of it."""
    site, near = places
    added = site * np.where(PRESENT, -3.0, 1.0)[:, None, None]
    found = Added.of(added.astype(np.float32), site, near).figures(0.5, RESAMPLING)
    assert found["energy_near"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0}
    assert found["mean_present_hu"]["value"] == pytest.approx(-1.5, abs=1e-6)
    assert found["mean_absent_hu"]["value"] == pytest.approx(0.5, abs=1e-6)
    assert found["area_near"] == pytest.approx(near.mean())


def test_a_pattern_over_the_whole_region_has_the_share_of_the_area(places: tuple[np.ndarray, np.ndarray]) -> None:
    """White noise: the interval, of 95 %, is widened to twice its width, which misses in less than 0.01 %."""
    site, near = places
    white = np.random.default_rng(1).normal(0.0, 2.0, near.shape).astype(np.float32)
    found = Added.of(white, site, near)
    assert found.energy_hu2.mean() == pytest.approx(4.0, rel=0.01)
    share = found.figures(1.0, RESAMPLING)["energy_near"]
    width = share["ci_high"] - share["ci_low"]
    assert abs(share["value"] - near.mean()) < width
    assert width < 0.01


def test_the_share_is_that_of_the_price(places: tuple[np.ndarray, np.ndarray]) -> None:
    """One trial in two is corrected ten times as much, far from its site: it makes up for 100 of 101 parts."""
    site, near = places
    one_pixel = np.zeros(near.shape, dtype=np.float32)
    for trial in range(N):
        where = np.argwhere(site[trial] if PRESENT[trial] else ~near[trial])[0]
        one_pixel[trial, *where] = 1.0 if PRESENT[trial] else 10.0
    share = Added.of(one_pixel, site, near).figures(1.0, RESAMPLING)["energy_near"]
    assert share["value"] == pytest.approx(1 / 101)
    assert Added.of(np.zeros_like(one_pixel), site, near).figures(1.0, RESAMPLING)["energy_near"] is None


def test_a_ratio_is_bounded_by_those_that_cannot_be_told_from_it() -> None:
    covariance = np.array([[0.04, 0.01], [0.01, 0.02]])
    found = ratio_interval(1.0, 2.0, covariance)
    assert found is not None
    for bound in (found.ci_low, found.ci_high):
        contrast = np.array([1.0, -bound])
        assert (1.0 - bound * 2.0) ** 2 == pytest.approx(Z**2 * contrast @ covariance @ contrast)
    assert ratio_interval(1.0, 0.2, covariance) is None  # 0.2 is 1.4 standard errors from 0


def test_the_interval_of_a_ratio_covers() -> None:
    """2,000 pairs: 95 %, within 4 standard errors of 0.5 %, which a right interval misses once in 16,000."""
    rng, covariance = np.random.default_rng(0), np.array([[0.04, 0.03], [0.03, 0.09]])
    hits = 0
    for one, other in rng.multivariate_normal([0.6, 1.5], covariance, size=2000):
        found = ratio_interval(one, other, covariance)
        hits += found is not None and found.ci_low < 0.4 < found.ci_high
    assert hits / 2000 == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / 2000))


def statistics(distance: float, common: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of binormal trials with this distance between the classes, correlated with `common` by 0.9."""
    return 0.9 * common + math.sqrt(1 - 0.9**2) * rng.normal(size=N) + distance * PRESENT


def result(name: str, scores: np.ndarray, *, kept: float | None = None, kept_std: float = 0.0) -> ArmResult:
    arm = Arm(ArmName.parse(f"{name} seed=0"))
    near = {} if kept is None else {"ho": NearLimitScores(scores, kept, kept_std, None)}
    return ArmResult(arm, {"ho": scores}, {}, {}, {}, 1.0, None, near_limit=near)


def area(distance: float) -> float:
    return float(ndtr(distance / math.sqrt(2)))


WAY = (area(1.3) - area(1.0)) / (area(1.7) - area(1.0))


@pytest.mark.parametrize("kept", [None, 0.8])
def test_the_interval_of_the_way_covers(kept: float | None) -> None:
    """150 studies: 95 %, within 3.5 standard errors of 1.8 %; in the limit the distances are those at n over √kept."""
    hits, fade = 0, 1.0 if kept is None else math.sqrt(kept)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=N)
        arm, control = (result("mse", statistics(fade * d, common, rng), kept=kept) for d in (1.3, 1.0))
        found = way_to_bound(arm, control, statistics(1.7, common, rng), "ho", RESAMPLING.unit)
        hits += found is not None and found.ci_low < WAY < found.ci_high
    assert hits / 150 == pytest.approx(0.95, abs=3.5 * math.sqrt(0.05 * 0.95 / 150))


def test_the_way_ends_at_the_bound_and_begins_at_the_control() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=N)
    low, high = statistics(1.0, common, rng), statistics(1.7, common, rng)
    unit, control = RESAMPLING.unit, result("lambda=0", low)
    at_bound = way_to_bound(result("mse", high), control, high, "ho", unit)
    assert at_bound is not None
    assert (at_bound.value, at_bound.ci_low, at_bound.ci_high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-6)
    at_control = way_to_bound(result("mse", low), control, high, "ho", unit)
    assert at_control is not None
    assert (at_control.value, at_control.ci_low, at_control.ci_high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert way_to_bound(control, result("mse", high), low, "ho", unit) is None  # the bound lies below
    assert way_to_bound(control, control, high, "npw", unit) is None


def test_what_is_uncertain_of_the_limit_widens_the_interval_less_where_it_is_shared() -> None:
    """Two observers that learned the same owe the chance of their training together."""
    rng = np.random.default_rng(4)
    common = rng.normal(size=N)
    low, mid, high = (statistics(d, common, rng) for d in (1.0, 1.3, 1.7))
    widths = []
    for std in (0.0, 0.1):
        arm, control = (result("mse", t, kept=0.8, kept_std=std) for t in (mid, low))
        found = way_to_bound(arm, control, high, "ho", RESAMPLING.unit)
        assert found is not None
        widths.append(found.ci_high - found.ci_low)
    assert widths[1] > widths[0]


def test_the_bound_is_the_cnn_of_the_low_dose_images() -> None:
    rng = np.random.default_rng(5)
    common = rng.normal(size=N)
    arm, control = (result("mse", statistics(d, common, rng)) for d in (1.3, 1.0))
    low_dose = result("low-dose", statistics(0.8, common, rng))
    assert bound_of([low_dose, arm]) is None
    assert ways(arm, control, None, RESAMPLING.unit) == {}
    low_dose.scores["cnn"] = arm.scores["cnn"] = statistics(1.7, common, rng)
    bound = bound_of([arm, low_dose])
    assert bound is low_dose.scores["cnn"]
    assert set(ways(arm, control, bound, RESAMPLING.unit)) == {"ho"}


def test_path_json_of_a_run(path_run: RunFolder) -> None:
    """A run's file against its own models and images, put together without it."""
    content = json.loads((path_run.path / "path.json").read_text())
    rows = {row["arm"]: row for row in content["rows"]}
    assert list(rows) == ["path price=0.02", "path price=0.05"]
    assert (content["schema"], content["trained_at"], content["seed"]) == (1, 0.05, 0)
    arms = {arm.name: arm for arm in arms_of(path_run.settings)}
    bound = read_result(path_run, arms["low-dose"]).scores["cnn"]
    # The bound is that of the low-dose images, which no other arm's can pass: none else is asked for it.
    assert [name for name, arm in arms.items() if "cnn" in read_result(path_run, arm).scores] == ["low-dose"]
    test = path_run.read("test")
    unit = unit_of(test)
    assert content["bound"]["auc"]["value"] == pytest.approx(unit.auc(bound).value)
    assert content["bound"]["n_trials"] == path_run.settings.trials.n_fresh
    opened = taskct.open_run(path_run.path, device="cpu")
    control = opened.arm("lambda=0").images()
    site = signal_site(Signals.from_columns(test.truth), n_pixels=16, pixel_mm=path_run.settings.scanner.pixel_mm)
    for name, row in rows.items():
        added = opened.arm(name).images().astype(np.float64) - control
        at_site = (added * site).sum(axis=(1, 2)) / site.sum(axis=(1, 2))
        assert row["mean_present_hu"]["value"] == pytest.approx(at_site[test.signal_present].mean(), abs=1e-4)
        assert row["mean_absent_hu"]["value"] == pytest.approx(at_site[~test.signal_present].mean(), abs=1e-4)
        near = near_site(Signals.from_columns(test.truth), n_pixels=16, pixel_mm=path_run.settings.scanner.pixel_mm)
        share = (added**2 * near).sum() / (added**2).sum()
        assert row["energy_near"]["value"] == pytest.approx(share, rel=1e-3)
        errors = [np.mean((one - test.reference_regions) ** 2) for one in (control + added, control)]
        assert row["rmse_ratio"]["value"] == pytest.approx(math.sqrt(errors[0] / errors[1]), rel=1e-5)
        assert set(row["way_to_bound"]) == {"slnn", "ho", "ho_eye"}


def test_arms_of_a_run_with_a_path_meet_the_controls_observers(path_run: RunFolder) -> None:
    rows = json.loads((path_run.path / "frozen.json").read_text())["rows"]
    met = {row["arm"] for row in rows if row["fitted_on"] == "control"}
    assert met == {"lambda=0", "lambda=0.9", "lambda=0.9 alpha=0.5", "path price=0.02", "path price=0.05"}
    arms = {arm.name: arm for arm in arms_of(path_run.settings)}
    own = read_result(path_run, arms["lambda=0"])
    np.testing.assert_allclose(own.frozen["control/ho"], own.scores["ho"], rtol=1e-9)
    gain = {row["arm"]: row["delta"] for row in rows if row["fitted_on"] == "control" and row["observer"] == "ho"}
    assert gain["lambda=0"] is None
    carried = read_result(path_run, arms["path price=0.05"]).frozen["control/ho"]
    difference = unit_of(path_run.read("test")).auc_difference(np.stack([carried, own.scores["ho"]]))
    assert gain["path price=0.05"]["value"] == pytest.approx(difference.delta_auc)


def test_a_study_without_a_path_has_no_rows(tiny_run: RunFolder) -> None:
    content = json.loads((tiny_run.path / "path.json").read_text())
    assert (content["rows"], content["bound"], content["principle"]) == ([], None, None)


def test_what_reads_more_than_the_bound_is_told() -> None:
    """The most that is read of any images is a floor of the ideal observer's AUC, and no bound lies below it."""
    rng, unit = np.random.default_rng(4), RESAMPLING.unit
    low, high = (statistics(distance, rng.normal(size=N), rng) for distance in (0.5, 2.0))
    found = [result("mse", low), result("lambda=0", high)]
    assert best_read(found, unit, 0) == pytest.approx(auc(high[PRESENT], high[~PRESENT]))
    assert best_read(found, unit, 1) == 0.0
