"""Sizing: variance, degrees of freedom and power against simulated studies, a second implementation and laws."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import nct, norm, t

from taskct.errors import UserError
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.one_shot import contrast, one_shot
from taskct.metrics.mrmc.proportions import proportion_analysis
from taskct.metrics.mrmc.roe_metz import RoeMetz
from taskct.metrics.mrmc.sizing import (
    Aim,
    Components,
    Design,
    components_from_obuchowski_rockette,
    components_of_proportions,
    design_df,
    design_variance,
    size_study,
    study_power,
)

MODEL = RoeMetz.published("HH", 0.855, mu=(2.0, 1.5))
PARTS = MODEL.components(0, 1)
DELTA = float(MODEL.expected_auc()[0] - MODEL.expected_auc()[1])


def anova(difference: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Mean, unbiased variance of the mean and BDG degrees of freedom of fully crossed studies, by three-way ANOVA.

    `difference` is (studies, readers, present, absent): success in one modality minus success in the other.
    """
    extent = difference.shape[1:]
    everything = (1, 2, 3)
    grand = difference.mean(axis=everything)
    squares: dict[tuple[int, ...], tuple[NDArray[np.float64], int]] = {}
    for kept in [(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), everything]:
        means = difference.mean(axis=tuple(a for a in everything if a not in kept))
        total = (means**2).reshape(len(grand), -1).sum(axis=1) * math.prod(extent) / means[0].size
        inside = sum(squares[part][0] for part in squares if set(part) < set(kept))
        sum_of_squares = total - math.prod(extent) * grand**2 - inside
        squares[kept] = (sum_of_squares, math.prod(extent[a - 1] - 1 for a in kept))
    mean_square = {kept: total / df for kept, (total, df) in squares.items()}
    signed = sum((-1) ** (len(kept) - 1) * value for kept, value in mean_square.items())
    variance = signed / math.prod(extent)
    terms = sum((mean_square[(a,)] / math.prod(extent)) ** 2 / (extent[a - 1] - 1) for a in everything)
    return grand, variance, np.maximum(variance**2 / terms, min(extent) - 1)


def analysed(model: RoeMetz, design: Design, n: int) -> tuple[NDArray[np.float64], ...]:
    """ANOVA of n simulated studies."""
    rng, parts = np.random.default_rng(7), []
    for _ in range(n // 250):
        scores = model.sample(rng, design, n_studies=250)
        success = scores[..., : design.n_present, None] > scores[..., None, design.n_present :]
        parts.append(anova(success[:, 0].astype(float) - success[:, 1]))
    return tuple(np.concatenate(of) for of in zip(*parts, strict=True))


def test_power_against_simulated_studies() -> None:
    design, n = Design(6, 24, 30), 2000
    mean, variance, df = analysed(MODEL, design, n)
    predicted = study_power(PARTS, design, DELTA)
    # 5 standard errors: false alarm 6e-7.
    assert abs(variance.mean() - predicted.std_error**2) < 5 * variance.std() / math.sqrt(n)
    assert np.median(df) == pytest.approx(predicted.df, rel=0.15)  # one is a ratio of estimates, the other of means

    statistic = mean / np.sqrt(np.maximum(variance, 1e-12))
    rejected = float((np.abs(statistic) > t.isf(0.025, df)).mean())
    # 4 standard errors, false alarm 6e-5, and 0.02 since the t distribution is itself an approximation.
    assert abs(rejected - predicted.power) < 4 * math.sqrt(predicted.power * (1 - predicted.power) / n) + 0.02


@pytest.mark.parametrize(("aim", "in_std_errors"), [("non-inferiority", 2.5), ("equivalence", 3.0)])
def test_power_within_a_margin_against_simulated_studies(aim: Aim, in_std_errors: float) -> None:
    # Modalities alike: only then are the estimate and its standard error uncorrelated, as the t distribution wants.
    design, n, model = Design(6, 24, 30), 2000, RoeMetz.published("HH", 0.855)
    parts = model.components(0, 1)
    margin = in_std_errors * math.sqrt(design_variance(parts, design))
    mean, variance, df = analysed(model, design, n)
    lower = mean if aim == "non-inferiority" else -np.abs(mean)
    shown = float(((lower + margin) / np.sqrt(np.maximum(variance, 1e-12)) > t.isf(0.05, df)).mean())
    power = study_power(parts, design, 0.0, aim=aim, noninferiority_margin=margin).power
    assert 0.7 < power < 0.9
    assert abs(shown - power) < 4 * math.sqrt(power * (1 - power) / n) + 0.02


def test_components_rebuild_the_variance_of_groups() -> None:
    # Split-plot is independent small studies, averaged.
    whole, part = Design(6, 30, 60, n_groups=3), Design(2, 10, 20)
    assert design_variance(PARTS, whole) == pytest.approx(design_variance(PARTS, part) / 3)


def test_laws_of_the_variance() -> None:
    variances = [design_variance(PARTS, Design(5, n, n)) for n in (10, 100, 1000, 10**7)]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] == pytest.approx(PARTS.reader / 5, rel=1e-3)
    assert design_df(PARTS, Design(5, 10**7, 10**7)) == pytest.approx(4.0, rel=1e-2)
    assert design_variance(PARTS, Design(10**7, 50, 40)) == pytest.approx(
        PARTS.present / 50 + PARTS.absent / 40 + PARTS.present_absent / 2000, rel=1e-3
    )
    # With as many readings, a split-plot study with more cases is the more precise one (Chen, Gong & Gallas 2018).
    assert design_variance(PARTS, Design(6, 120, 120, n_groups=2)) < design_variance(PARTS, Design(6, 60, 60))


def test_degrees_of_freedom() -> None:
    assert design_df(PARTS, Design(5, 50, 50), method="hillis") > design_df(PARTS, Design(5, 50, 50)) > 4.0
    # Only present cases vary: theirs is the only mean square.
    only_cases = Components(0, 0.01, 0, 0, 0, 0, 0)
    assert design_df(only_cases, Design(5, 60, 40)) == pytest.approx(59.0)
    assert design_df(only_cases, Design(5, 60, 40), method="hillis") == math.inf
    # Readers that share their cases differ between groups too: all that varies is 3 groups, at 2 of 6 readers each.
    # S² of readers is then (4/5) of the variance of a group's mean.
    design = Design(6, 60, 30, n_groups=3)
    scatter = 0.01 / 20 * 4 / 5
    expected = (0.01 / 60) ** 2 / ((scatter / 6) ** 2 / 5)
    assert design_df(only_cases, design, method="hillis") == pytest.approx(max(expected, 5.0))


def test_split_plot_scatter_by_simulation() -> None:
    """Variance among all present-case means of a split-plot study, as `design_df` takes it."""
    rng, n, groups, r, p, a = np.random.default_rng(3), 4000, 3, 2, 4, 5
    reader, present, rp = rng.standard_normal((n, groups, r, 1)), rng.standard_normal((n, groups, 1, p)), 1.0
    noise = rng.standard_normal((n, groups, r, p)) * math.sqrt(rp)
    means = (reader + present + noise).mean(axis=2).reshape(n, -1)
    observed = means.var(axis=1, ddof=1)
    # From the degrees of freedom with that term alone, were it alone: invert the formula for components 1, 1, 1.
    parts = Components(1.0, 1.0, 0, 0, rp, 0, 0)
    design = Design(groups * r, groups * p, groups * a, n_groups=groups)
    scatter = 1.0 + rp / r + (1.0 / r) * (groups * p - p) / (groups * p - 1)
    assert abs(observed.mean() - scatter) < 5 * observed.std() / math.sqrt(n)  # false alarm 6e-7
    others = [
        ((1 + rp / p + (1 / p) * (6 - 2) / 5) / 6) ** 2 / 5,
        ((1 / r + 1 / p + rp / (r * p)) * (15 - 5) / 14 / 15) ** 2 / 14,
    ]
    expected = design_variance(parts, design) ** 2 / ((scatter / 12) ** 2 / 11 + sum(others))
    assert design_df(parts, design) == pytest.approx(max(expected, 5.0))


def test_power_of_known_tests() -> None:
    # Readers alone: the paired t test of n readers.
    readers = Components(0.0064, 0, 0, 0, 0, 0, 0)
    design, noncentrality = Design(16, 10, 10), 0.05 / 0.02
    critical = t.isf(0.025, 15)
    expected = nct.sf(critical, 15, noncentrality) + nct.cdf(-critical, 15, noncentrality)
    assert study_power(readers, design, 0.05, method="hillis").power == pytest.approx(expected, abs=1e-9)
    assert study_power(readers, design, 0.0).power == pytest.approx(0.05, abs=1e-9)
    at_edge = study_power(readers, design, -0.1 + 1e-9, aim="non-inferiority", noninferiority_margin=0.1)
    assert at_edge.power == pytest.approx(0.05, abs=1e-6)
    # Equivalence with infinite degrees of freedom: two normal tests at once.
    cases = Components(0, 0.01, 0, 0, 0, 0, 0)
    power = study_power(
        cases, Design(4, 100, 100), 0.005, aim="equivalence", noninferiority_margin=0.03, method="hillis"
    ).power
    z = norm.isf(0.05)
    assert power == pytest.approx(norm.cdf(2.5 - z) - norm.cdf(-3.5 + z), abs=1e-4)


def test_equivalence_with_few_readers_by_simulation() -> None:
    rng, n = np.random.default_rng(5), 200_000
    mean = 0.01 + 0.02 * rng.standard_normal(n)
    std_error = 0.02 * np.sqrt(rng.chisquare(4, n) / 4)
    simulated = float((np.abs(mean) + t.isf(0.05, 4) * std_error < 0.05).mean())
    power = study_power(
        Components(0.002, 0, 0, 0, 0, 0, 0), Design(5, 10, 10), 0.01, aim="equivalence", noninferiority_margin=0.05
    ).power
    assert abs(power - simulated) < 5 * math.sqrt(power * (1 - power) / n)  # false alarm 6e-7


@pytest.mark.parametrize("n_groups", [1, 2])
@pytest.mark.parametrize("absent_per_present", [0.5, 1.0, 3.0])
def test_sizes_are_the_smallest(n_groups: int, absent_per_present: float) -> None:
    sizes = size_study(
        PARTS,
        0.08,
        n_readers=[4, 6, 10, 20],
        power=0.8,
        absent_per_present=absent_per_present,
        n_groups=n_groups,
    )
    assert [size.design.n_readers for size in sizes] == [6, 10, 20]  # 4 are too few, however many cases
    assert [size.design.n_present for size in sizes] == sorted((s.design.n_present for s in sizes), reverse=True)
    for size in sizes:
        design = size.design
        assert size.power >= 0.8
        per_group = design.n_present // n_groups
        assert design.n_absent == n_groups * math.ceil(absent_per_present * per_group)
        fewer = replace(
            design,
            n_present=n_groups * (per_group - 1),
            n_absent=n_groups * math.ceil(absent_per_present * (per_group - 1)),
        )
        assert study_power(PARTS, fewer, 0.08).power < 0.8


def test_obuchowski_rockette_parameters_give_its_variance_and_df() -> None:
    # Their expected mean square of modality by reader and the test's variance, written out (Hillis 2007).
    var_tr, var_error, cov1, cov2, cov3, r = 0.0004, 0.0020, 0.0009, 0.0008, 0.0005, 7
    parts = components_from_obuchowski_rockette(
        var_tr=var_tr, var_error=var_error, cov1=cov1, cov2=cov2, cov3=cov3, n_present=60, n_absent=40
    )
    mean_square = var_tr + var_error - cov1 - (cov2 - cov3)
    numerator = mean_square + r * (cov2 - cov3)
    design = Design(r, 60, 40)
    assert design_variance(parts, design) == pytest.approx(2.0 / r * numerator)
    df = numerator**2 / (mean_square**2 / (r - 1))
    assert design_df(parts, design, method="hillis") == pytest.approx(df)
    # Twice the cases halve the error and leave the interaction.
    assert design_variance(parts, Design(r, 120, 80)) == pytest.approx(
        2.0 / r * (var_tr + (mean_square - var_tr + r * (cov2 - cov3)) / 2)
    )


def test_sizing_a_published_model_through_obuchowski_rockette_agrees() -> None:
    """The same study described twice; the second without telling the classes apart."""
    n = 200
    a, b, both = MODEL.components(0), MODEL.components(1), PARTS
    cases = {name: (getattr(a, name) + getattr(b, name)) / 2 for name in ("present", "absent", "present_absent")}
    shared_cov = (PARTS.present + PARTS.absent) / n + PARTS.present_absent / n**2
    cov2 = (cases["present"] + cases["absent"]) / n + cases["present_absent"] / n**2
    own = (both.reader_present + both.reader_absent) / n + both.reader_present_absent / n**2
    parts = components_from_obuchowski_rockette(
        var_tr=both.reader / 2,
        var_error=cov2 + own / 2,
        cov1=cov2 - shared_cov / 2,
        cov2=cov2,
        cov3=cov2 - shared_cov / 2,
        n_present=n,
        n_absent=n,
    )
    for design in (Design(8, n, n), Design(20, n, n)):
        assert design_variance(parts, design) == pytest.approx(design_variance(PARTS, design))
        assert design_df(parts, design, method="hillis") == pytest.approx(design_df(PARTS, design, method="hillis"))


def test_negative_components_count_as_zero() -> None:
    negative, zero = replace(PARTS, reader=-0.001), replace(PARTS, reader=0.0)
    design = Design(5, 50, 50)
    assert study_power(negative, design, 0.05) == study_power(zero, design, 0.05)
    # A split-plot pilot with one reader in each group cannot tell some components (NaN).
    for useless in (Components(-1, 0, 0, 0, 0, 0, 0), replace(PARTS, present_absent=math.nan)):
        with pytest.raises(UserError, match="pilot is too small"):
            study_power(useless, design, 0.05)


@pytest.mark.parametrize("design", [Design(4, 10, 12), Design(4, 20, 24, n_groups=2)])
def test_pilots_find_the_components_of_the_model(design: Design) -> None:
    rng, n = np.random.default_rng(11), 400
    pilots = np.array(
        [astuple(contrast(one_shot(moment_sums(MODEL.simulate(rng, design))), 0, 1).components) for _ in range(n)]
    )
    # 7 components, two designs, at 5 standard errors: false alarm 8e-6.
    assert (np.abs(pilots.mean(0) - astuple(PARTS)) < 5 * pilots.std(0) / math.sqrt(n)).all()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"delta": 1.5}, "between -1 and 1"),
        ({"alpha": 0.6}, "alpha is 0.6"),
        ({"noninferiority_margin": 0.05}, "no margin"),
        ({"aim": "equivalence"}, "margin is 0"),
        ({"aim": "non-inferiority", "noninferiority_margin": 0.05, "delta": -0.05}, "no study can show"),
        ({"power": 0.05}, "power wanted"),
        ({"absent_per_present": 0.0}, "absent cases for each"),
        ({"delta": 0.001, "n_readers": [5]}, "no number of cases"),
        ({"n_readers": [5], "n_groups": 2}, "do not split into 2"),
        ({"n_readers": [5], "n_groups": 0}, "0 groups"),
        ({"n_readers": [1]}, "1 readers"),
    ],
)
def test_mistakes(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        size_study(PARTS, **{"delta": 0.08, "n_readers": [10], **keywords})  # type: ignore[arg-type]  # settings by name


def test_components_of_proportions_give_back_those_that_answers_were_drawn_with():
    """Known variances of readers, cases and the rest: means of 300 studies within 4.5 standard errors, 7e-6 each."""
    rng = np.random.default_rng(8)
    wanted = np.array([0.02, 0.05, 0.3])
    found = []
    for _ in range(300):
        reader, case = (rng.normal(0.0, wanted[i] ** 0.5, n) for i, n in enumerate((5, 40)))
        parts = components_of_proportions(reader[:, None] + case + rng.normal(0.0, wanted[2] ** 0.5, (5, 40)))
        found.append((parts.reader, parts.present, parts.reader_present))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(300)
    assert (np.abs(np.mean(found, axis=0) - wanted) < 4.5 * error).all()
    assert astuple(parts)[2:4] == (0.0, 0.0)


def test_components_of_proportions_are_the_variance_of_the_mean():
    """In the study that they come from: the U-statistic of the proportions themselves."""
    rng = np.random.default_rng(9)
    right = (rng.random((2, 6, 50)) < 0.3 + 0.5 * rng.random((1, 1, 50))).astype(float)
    parts = components_of_proportions(right[0] - right[1])
    difference = proportion_analysis(right, modalities=("A", "B"), readers=tuple("abcdef")).differences["A-B"]
    assert design_variance(parts, Design(6, 50, 50)) == pytest.approx(difference.variance, rel=1e-9)
