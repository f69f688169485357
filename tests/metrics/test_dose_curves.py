"""Curves against dose: AUCs with their joint covariance, monotone fits, doses at equal AUC, non-inferiority."""

import math

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.isotonic import IsotonicRegression

from taskct.metrics.clustered import Clusters
from taskct.metrics.dose_areas import POOLED, DoseAreas, DoseCell, DoseReading, auc_bands, auc_by_dose
from taskct.metrics.dose_curves import (
    dose_at_equal,
    dose_where,
    monotone_auc,
    monotone_curve,
    noninferiority_by_dose,
)
from taskct.metrics.roc import delong_covariance, delong_interval, paired_delong


def reading(rng, cell, n=30, d=1.0, scan="", absent_scan=""):
    return DoseReading(
        DoseCell(*cell),
        rng.normal(size=n) + d,
        rng.normal(size=n),
        [f"{scan}p{i}" for i in range(n)],
        [f"{absent_scan or scan}a{i}" for i in range(n)],
    )


def exact(cells_d_prime, sd=1e-6, n=1000):
    """Areas without noise: d′ by cell, as endless scans would have it."""
    cells = tuple(DoseCell(*cell) for cell in cells_d_prime)
    auc = ndtr(np.array(list(cells_d_prime.values())) / math.sqrt(2.0))
    return DoseAreas(cells, auc, sd**2 * np.eye(len(cells)), np.full((len(cells), 2), n))


def test_one_reading_has_delongs_variance_and_shared_scans_delongs_covariance():
    rng = np.random.default_rng(0)
    first = reading(rng, ("a", 10.0, "r"), scan="s")
    second = DoseReading(
        DoseCell("b", 10.0, "r"),
        np.asarray(first.t_present) + rng.normal(0, 0.5, 30),
        np.asarray(first.t_absent) + rng.normal(0, 0.5, 30),
        first.scans_present,
        first.scans_absent,
    )
    areas = auc_by_dose([first, second])
    present, absent = (np.stack([getattr(one, k) for one in (first, second)]) for k in ("t_present", "t_absent"))
    np.testing.assert_allclose(areas.covariance, delong_covariance(present, absent), rtol=1e-12)
    delta, error = areas.difference(0, 1)
    paired = paired_delong(present, absent)
    assert delta == pytest.approx(paired.delta_auc)
    assert delta + 1.959964 * error == pytest.approx(paired.ci_high, abs=1e-7)
    band = auc_bands(areas)[0]
    alone = delong_interval(first.t_present, first.t_absent)
    assert (band.value, band.ci_low, band.ci_high) == pytest.approx((alone.value, alone.ci_low, alone.ci_high))


def test_scans_that_are_not_shared_are_independent_and_equal_rankings_have_no_error():
    rng = np.random.default_rng(1)
    first, other = reading(rng, ("a", 10.0, "r"), scan="s"), reading(rng, ("a", 20.0, "r"), scan="t")
    assert auc_by_dose([first, other]).covariance[0, 1] == 0.0
    same = DoseReading(
        DoseCell("b", 10.0, "r"), 3.0 * first.t_present, 3.0 * first.t_absent, first.scans_present, first.scans_absent
    )
    assert auc_by_dose([first, same]).difference(0, 1) == (0.0, 0.0)


def test_images_of_one_scan_do_not_make_the_error_smaller():
    """Each test statistic three times, as three slices of a scan that say the same: the error of one."""
    rng = np.random.default_rng(2)
    one = reading(rng, ("a", 10.0, "r"))
    thrice = DoseReading(
        one.cell,
        np.repeat(one.t_present, 3),
        np.repeat(one.t_absent, 3),
        np.repeat(one.scans_present, 3).tolist(),
        np.repeat(one.scans_absent, 3).tolist(),
    )
    first, second = auc_by_dose([one]), auc_by_dose([thrice])
    np.testing.assert_allclose(second.covariance, first.covariance, rtol=1e-12)
    assert second.n_scans.tolist() == [[30, 30]]


def test_pooled_is_the_mean_over_rods_with_its_variance():
    rng = np.random.default_rng(3)
    readings = [reading(rng, ("a", dose, rod), scan=f"{dose}") for dose in (10.0, 20.0) for rod in ("r", "s")]
    plain = auc_by_dose(readings)
    pooled = plain.with_pooled()
    assert [cell.rod for cell in pooled.cells[4:]] == [POOLED, POOLED]
    assert pooled.auc[4] == pytest.approx(plain.auc[:2].mean())
    assert pooled.covariance[4, 4] == pytest.approx(plain.covariance[:2, :2].sum() / 4.0)
    assert pooled.covariance[4, 5] == pytest.approx(0.0, abs=1e-18)
    assert auc_by_dose(readings[:1]).with_pooled().cells == plain.cells[:1]
    lacking = auc_by_dose(readings[:3]).with_pooled()
    assert [cell for cell in lacking.cells if cell.rod == POOLED] == [DoseCell("a", 10.0, POOLED)]


def test_monotone_curve_is_isotonic_regression():
    rng = np.random.default_rng(4)
    values, weights = rng.normal(size=(200, 6)) + np.arange(6) / 3.0, rng.uniform(0.2, 5.0, 6)
    fit = monotone_curve(values, weights)
    x = np.arange(6.0)
    for row, mine in zip(values, fit, strict=True):
        theirs = IsotonicRegression().fit(x, row, sample_weight=weights).predict(x)
        np.testing.assert_allclose(mine, theirs, atol=1e-12)
    with pytest.raises(ValueError, match="weights > 0"):
        monotone_curve([1.0, 2.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("curve", "wanted", "expected"),
    [
        ([1.0, 2.0, 3.0], 2.5, 2.5**2),  # straight in the root of the doses 1, 4, 9
        ([1.0, 2.0, 2.0], 2.0, 2.5**2),  # the middle of a level stretch
        ([2.0, 2.0, 3.0], 2.0, 1.5**2),
        ([1.0, 2.0, 3.0], 3.5, math.inf),
        ([1.0, 2.0, 3.0], 0.5, 0.0),
        ([1.0, 2.0, 3.0], 1.0, 1.0),
        ([1.0, 2.0, 3.0], 3.0, 9.0),
        ([2.0, 2.0, 2.0], 2.0, 4.0),
    ],
)
def test_dose_where_a_curve_has_a_value(curve, wanted, expected):
    assert dose_where([curve], [1.0, 4.0, 9.0], [wanted])[0] == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_equal_auc_of_root_curves_without_noise_is_at_the_known_share_of_dose(share):
    """d′ = k √dose, and B needs this share of A's dose: exact, since curves are straight in √dose."""
    doses = (10.0, 25.0, 50.0, 75.0, 100.0)
    cells = {("A", d, "r"): 0.15 * math.sqrt(d) for d in doses}
    cells |= {("B", d, "r"): 0.15 * math.sqrt(d / share) for d in doses}
    found, notes = dose_at_equal(exact(cells), reference="A", rival="B", rod="r")
    assert not notes
    for one in found:
        wanted = one.reference_dose * share
        if wanted < 10.0:
            assert (one.dose, one.ci_low, one.ci_high) == (0.0, 0.0, 0.0)
        else:
            assert one.dose == pytest.approx(wanted, rel=1e-6)
            assert one.ratio[0] == pytest.approx(share, rel=1e-6)
            assert one.ci_low == pytest.approx(wanted, rel=1e-3)
            assert one.ci_high == pytest.approx(wanted, rel=1e-3)
            assert one.told == "interval"
    back, _ = dose_at_equal(exact(cells), reference="B", rival="A", rod="r")
    assert back[-1].dose == math.inf
    assert back[-1].ci_low == math.inf


def test_a_rival_alike_in_every_scan_needs_the_same_dose_exactly():
    rng = np.random.default_rng(5)
    readings = []
    for dose in (10.0, 50.0, 100.0):
        one = reading(rng, ("A", dose, "r"), d=0.15 * math.sqrt(dose), scan=f"{dose} ")
        twin = DoseReading(one.cell._replace(reconstruction="B"), *(getattr(one, k) for k in READ))
        readings += [one, twin]
    found, _ = dose_at_equal(auc_by_dose(readings), reference="A", rival="B", rod="r")
    assert [one.dose for one in found] == pytest.approx([10.0, 50.0, 100.0], rel=1e-9)
    # The errors are the same ones too: nothing is left to chance.
    assert found[1].ci_low == pytest.approx(50.0, rel=1e-5)
    assert found[1].ci_high == pytest.approx(50.0, rel=1e-5)


READ = ("t_present", "t_absent", "scans_present", "scans_absent")


def test_an_easy_task_tells_no_dose_and_a_perfect_auc_is_no_certainty():
    easy = {("A", 10.0, "r"): 1.0, ("A", 100.0, "r"): 4.0, ("B", 10.0, "r"): 1.2, ("B", 100.0, "r"): 4.0}
    found, notes = dose_at_equal(exact(easy), reference="A", rival="B", rod="r")
    assert [one.reference_dose for one in found] == [10.0]
    assert len(notes) == 1
    assert "no dose at equal AUC" in notes[0]
    cells = [DoseCell(name, dose, "r") for name in "AB" for dose in (10.0, 55.0, 100.0)]
    areas = DoseAreas(
        tuple(cells),
        np.array([0.6, 0.8, 0.9, 0.7, 1.0, 1.0]),
        np.diag([0.01, 0.01, 0.005, 0.01, 0.0, 0.0]),
        np.full((6, 2), 10),
    )
    found, _ = dose_at_equal(areas, reference="A", rival="B", rod="r")
    assert found[-1].ci_low < 55.0
    assert found[-1].ci_high == math.inf  # ten scans that come out right do not show what B does at 55


def test_monotone_auc_is_at_the_doses_and_rises():
    cells = {("A", 10.0, "r"): 1.0, ("A", 50.0, "r"): 0.8, ("A", 100.0, "r"): 2.0}
    doses, auc = monotone_auc(exact(cells), "A", "r")
    assert doses.tolist() == [10.0, 50.0, 100.0]
    assert auc[0] == pytest.approx(auc[1])
    assert ndtr(0.8 / math.sqrt(2)) < auc[0] < ndtr(1.0 / math.sqrt(2))


def test_noninferiority_is_adjusted_over_doses_rods_and_rivals():
    rng = np.random.default_rng(6)
    readings = [
        reading(rng, (name, dose, rod), n=40, d=1.5, scan=f"{dose} ")
        for name in "ABC"
        for dose in (10.0, 50.0)
        for rod in ("r", "s")
    ]
    areas = auc_by_dose(readings)
    found = noninferiority_by_dose(areas.with_pooled(), reference="A", rivals=["B", "C"], margin=0.1)
    assert len(found) == 8
    assert {one.rod for one in found} == {"r", "s"}
    p = np.array([one.test.p_value for one in found])
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(np.arange(8, 0, -1) * p[order]).clip(max=1.0)
    np.testing.assert_allclose(np.array([one.p_holm for one in found])[order], adjusted)
    first = found[0]
    i, j = areas.cells.index(DoseCell("B", first.dose, "r")), areas.cells.index(DoseCell("A", first.dose, "r"))
    assert first.delta == pytest.approx(areas.auc[i] - areas.auc[j])


def test_too_few_or_too_easy_scans_have_no_test_but_a_reason():
    rng = np.random.default_rng(7)
    few = [reading(rng, (name, 10.0, "r"), n=6) for name in "AB"]
    found = noninferiority_by_dose(auc_by_dose(few), reference="A", rivals=["B"], margin=0.1)
    assert found[0].test is None
    assert math.isnan(found[0].p_holm)
    assert not found[0].shown
    assert "6 + 6" in found[0].why
    easy = [reading(rng, (name, 10.0, "r"), d=9.0) for name in "AB"]
    found = noninferiority_by_dose(auc_by_dose(easy), reference="A", rivals=["B"], margin=0.1)
    assert "too easy" in found[0].why
    blind = [reading(rng, (name, 10.0, "r"), d=0.0) for name in "AB"]
    found = noninferiority_by_dose(auc_by_dose(blind), reference="A", rivals=["B"], margin=0.2)
    assert "of chance" in found[0].why


def test_a_reference_that_sees_nothing_has_no_equal():
    cells = {("A", 10.0, "r"): -0.2, ("A", 100.0, "r"): 1.5, ("B", 10.0, "r"): 0.5, ("B", 100.0, "r"): 1.6}
    found, notes = dose_at_equal(exact(cells), reference="A", rival="B", rod="r")
    assert [one.reference_dose for one in found] == [100.0]
    assert "no better than chance" in notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": ("A", 0.0, "r")}, "dose of 0"),
        ({"scans_present": ["s"] * 30}, "1 scan of a class"),
        ({"scans_present": ["s", "t"]}, "2 names of scans for 30"),
    ],
)
def test_readings_that_cannot_be_are_refused(change, message):
    one = reading(np.random.default_rng(0), ("A", 10.0, "r"))
    cell = DoseCell(*change.get("cell", one.cell))
    broken = DoseReading(
        cell, one.t_present, one.t_absent, change.get("scans_present", one.scans_present), one.scans_absent
    )
    with pytest.raises(ValueError, match=message):
        auc_by_dose([broken])
    with pytest.raises(ValueError, match="two readings"):
        auc_by_dose([one, one])


def test_a_curve_needs_two_doses():
    areas = auc_by_dose([reading(np.random.default_rng(0), (name, 10.0, "r")) for name in "AB"])
    with pytest.raises(ValueError, match="at least 2"):
        dose_at_equal(areas, reference="A", rival="B", rod="r")


def test_scans_that_hold_both_classes_have_obuchowskis_covariance():
    rng = np.random.default_rng(8)
    scans = rng.permutation(np.arange(40) % 12)
    signal = rng.normal(size=12)[scans]
    readings = [
        DoseReading(
            DoseCell(name, 10.0, "r"),
            rng.normal(size=25) + signal[:25] + 1.0,
            rng.normal(size=15) + signal[25:],
            [str(k) for k in scans[:25]],
            [str(k) for k in scans[25:]],
        )
        for name in "AB"
    ]
    present, absent = (np.stack([getattr(one, k) for one in readings]) for k in ("t_present", "t_absent"))
    clusters = Clusters.of(scans[:25], scans[25:])
    np.testing.assert_allclose(
        auc_by_dose(readings).covariance, delong_covariance(present, absent, clusters), rtol=1e-12
    )
