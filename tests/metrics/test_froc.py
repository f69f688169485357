"""Figures of merit of marks against their definitions, laws and the AUC."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from search_model import SearchModel, one_rating_a_case
from taskct.errors import UserError
from taskct.metrics.froc import (
    N_BOOTSTRAP,
    FigureOfMerit,
    afroc_curve,
    figures_of_merit,
    froc_curve,
    sensitivity_on,
)
from taskct.metrics.marks import NO_LESION, CaseReading, MarkStudy, ScoredMark, TrueLesion
from taskct.metrics.mrmc.located import lroc_study
from taskct.metrics.roc import auc, delong_covariance


def simulated(seed: int = 0, n_diseased: int = 8, n_normal: int = 7) -> MarkStudy:
    """A study with ties: ratings are rounded."""
    from dataclasses import replace

    study = SearchModel((1.5, 0.8)).simulate(np.random.default_rng(seed), 3, n_diseased, n_normal)
    return replace(study, mark_rating=study.mark_rating.round(0))


def psi(x: float, y: float) -> float:
    return float(x < y) + 0.5 * float(x == y)


def by_loops(study: MarkStudy, modality: int, reader: int, name: str, without: int = -1) -> float:
    """The figure by its definition, over marks one by one, without one case if asked."""
    cases = [case for case in range(len(study.cases)) if case != without]
    lesions = [number for number, case in enumerate(study.lesion_case) if case != without]
    best: dict[int, float] = dict.fromkeys(lesions, -np.inf)
    false: dict[int, float] = dict.fromkeys(cases, -np.inf)
    for (m, r, case, lesion), rating in zip(study.mark_at.tolist(), study.mark_rating.tolist(), strict=True):
        if (m, r) != (modality, reader) or case == without:
            continue
        if lesion == NO_LESION:
            false[case] = max(false[case], rating)
        else:
            best[lesion] = max(best[lesion], rating)
    diseased = [case for case in cases if study.diseased[case]]
    normal = [case for case in cases if not study.diseased[case]]
    if name == "hr-auc":
        highest = {
            case: max([false[case], *(best[one] for one in lesions if study.lesion_case[one] == case)])
            for case in diseased
        }
        return float(np.mean([psi(false[a], highest[b]) for a in normal for b in diseased]))
    against = cases if name.endswith("1") else normal
    weight = {one: study.lesion_weight[one] if name.startswith("w") else 1.0 for one in lesions}
    total = sum(weight[one] * psi(false[case], best[one]) for case in against for one in lesions)
    return float(total / (len(against) * sum(weight.values())))


@pytest.mark.parametrize("name", ["wafroc", "afroc", "wafroc1", "afroc1", "hr-auc"])
def test_areas_and_their_jackknife_by_loops(name: str) -> None:
    study = simulated()
    found = figures_of_merit(study, FigureOfMerit(name))
    shape = found.values.shape
    wanted = np.array([[by_loops(study, m, r, name) for r in range(shape[1])] for m in range(shape[0])])
    assert found.values == pytest.approx(wanted)
    n = len(study.cases)
    without = np.array([[[by_loops(study, m, r, name, c) for c in range(n)] for r in range(3)] for m in range(2)])
    deviations = without - without.mean(axis=2, keepdims=True)
    covariance = (n - 1) / n * np.einsum("ijk,abk->ijab", deviations, deviations)
    assert found.covariance == pytest.approx(covariance)


def test_worked_by_hand() -> None:
    readings = [CaseReading("A", "ann", case) for case in ("sick", "ill", "well", "fine")]
    lesions = [TrueLesion("sick", "x", 0.3), TrueLesion("sick", "y", 0.7), TrueLesion("ill", "x")]
    marks = [
        ScoredMark("A", "ann", "sick", "x", 4.0),
        ScoredMark("A", "ann", "sick", None, 5.0),
        ScoredMark("A", "ann", "ill", "x", 2.0),
        ScoredMark("A", "ann", "well", None, 2.0),
        ScoredMark("A", "ann", "well", None, 1.0),
    ]
    study = MarkStudy.of(readings, lesions, marks)
    values = {name: figures_of_merit(study, FigureOfMerit(name)).values[0, 0] for name in ("wafroc", "afroc", "hr-auc")}
    # Highest false marks of normal cases: 2 and none. Lesions: 4 beats both; unmarked loses and ties; 2 ties and wins.
    assert values["wafroc"] == pytest.approx((0.3 * 2 + 0.7 * 0.5 + 1.5) / 4)
    assert values["afroc"] == pytest.approx((2 + 0.5 + 1.5) / 6)
    assert values["hr-auc"] == pytest.approx((2 + 1.5) / 4)
    false_marks, found = froc_curve(study, 0, 0)
    assert false_marks.tolist() == [0, 0.25, 0.25, 0.5, 0.75]
    assert found == pytest.approx([0, 0, 1 / 3, 2 / 3, 2 / 3])
    assert sensitivity_on((false_marks, found), np.array([0.25, 0.375, 9.0])) == pytest.approx([1 / 3, 0.5, 2 / 3])


def test_curves_are_read_along_their_lines() -> None:
    curve = np.array([0.0, 0.0, 0.5, 0.5, 1.0]), np.array([0.0, 0.2, 0.4, 0.8, 0.8])
    at = np.array([0.0, 0.25, 0.499999999, 0.5, 0.7, 1.0, 3.0])
    assert sensitivity_on(curve, at) == pytest.approx([0.2, 0.3, 0.4, 0.8, 0.8, 0.8, 0.8], abs=1e-6)


def test_curves_have_the_areas() -> None:
    study = simulated(3, 12, 11)
    areas = figures_of_merit(study).values
    for m, r in np.ndindex(*areas.shape):
        false, found = afroc_curve(study, m, r)
        assert trapezoid(found, false) == pytest.approx(areas[m, r])
        assert (np.diff(false) >= 0).all()
        assert (np.diff(found) >= -1e-12).all()


def test_a_study_of_ratings_is_the_special_case() -> None:
    rng = np.random.default_rng(4)
    present = np.arange(30) < 14
    scores = (rng.normal(size=(2, 2, 30)) + present).round(1)
    found = figures_of_merit(one_rating_a_case(scores, present))
    flat = scores.reshape(4, 30)
    assert found.values.ravel() == pytest.approx([auc(one[present], one[~present]) for one in flat])
    # The jackknife's covariance is DeLong's but for n/(n − 1), which here differs between classes.
    delong = delong_covariance(flat[:, present], flat[:, ~present])
    assert found.covariance.reshape(4, 4) == pytest.approx(delong, rel=0.1, abs=1e-4)
    assert figures_of_merit(one_rating_a_case(scores, present), FigureOfMerit("hr-auc")).values == pytest.approx(
        found.values
    )


def test_with_one_mark_an_image_it_is_the_lroc_area() -> None:
    rng = np.random.default_rng(5)
    readings = [CaseReading("A", "ann", f"c{index}") for index in range(40)]
    lesions = [TrueLesion(f"c{index}", "x") for index in range(20)]
    marks = [
        ScoredMark("A", "ann", f"c{i}", "x" if i < 20 and rng.random() < 0.6 else None, float(rating))
        for i, rating in enumerate(rng.normal(size=40).round(1))
    ]
    study = MarkStudy.of(readings, lesions, marks)
    ratings = lroc_study(study)
    wanted = auc(ratings.scores[0, 0, :20], ratings.scores[0, 0, 20:])
    for name in ("lroc", "wafroc", "afroc"):
        assert figures_of_merit(study, FigureOfMerit(name)).values[0, 0] == pytest.approx(wanted)


def test_sensitivity_at_a_number_of_false_marks() -> None:
    study = simulated(6, 30, 30)
    found = figures_of_merit(study, FigureOfMerit("sensitivity@0.5"))
    for m, r in np.ndindex(*found.values.shape):
        wanted = sensitivity_on(froc_curve(study, m, r), np.array([0.5]))[0]
        assert found.values[m, r] == pytest.approx(wanted)
    # Beyond all marks it is the fraction of lesions marked: its variance is that of a ratio of sums over cases.
    at_end = figures_of_merit(study, FigureOfMerit("sensitivity@50"))
    marked = np.isfinite(study.highest_on_lesions()[0, 0])
    assert at_end.values[0, 0] == pytest.approx(marked.mean())
    residual = np.bincount(study.lesion_case, marked - marked.mean(), 30)
    variance = (residual**2).sum() / len(marked) ** 2
    # A variance of 1,000 bootstrap values strays by 4.5 %; 5 standard errors, and the ratio's own 1/n.
    assert at_end.covariance[0, 0, 0, 0] == pytest.approx(variance, rel=5 * np.sqrt(2 / N_BOOTSTRAP) + 0.07)


def test_mean_against_the_integral() -> None:
    model, rng = SearchModel((1.2,)), np.random.default_rng(7)
    values = [figures_of_merit(model.simulate(rng, 1, 40, 40)).values[0, 0] for _ in range(400)]
    # 5 standard errors: false alarm 6e-7.
    assert abs(np.mean(values) - model.mean(0)) < 5 * np.std(values) / np.sqrt(len(values))


@pytest.mark.parametrize("name", ["", "jafroc2", "sensitivity@", "sensitivity@0", "sensitivity@-1", "sensitivity@1e3"])
def test_figures_that_are_none(name: str) -> None:
    with pytest.raises(UserError, match="there is no figure of merit"):
        FigureOfMerit(name)


def test_studies_without_a_figure() -> None:
    readings = [CaseReading("A", r, c) for r in ("ann", "bob") for c in ("one", "two", "three")]
    lesions = [TrueLesion("one", "x"), TrueLesion("two", "x")]
    with pytest.raises(UserError, match=r"too few cases without a lesion \(1\)"):
        figures_of_merit(MarkStudy.of(readings, lesions, []))
    with pytest.raises(UserError, match=r"too few cases with a lesion \(1\)"):
        figures_of_merit(MarkStudy.of(readings, lesions[:1], []))
    with pytest.raises(UserError, match="reader 'bob' did not read case 'three' in modality 'A' \\(1 readings"):
        figures_of_merit(MarkStudy.of(readings[:-1], lesions, []))
    assert figures_of_merit(MarkStudy.of(readings, lesions, []), FigureOfMerit("wafroc1")).values.tolist() == [
        [0.5, 0.5]
    ]
