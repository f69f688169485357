"""A program against readers: against the two-modality analyses it is a case of, and its own laws."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette
from taskct.metrics.mrmc.program import compare_program
from taskct.metrics.mrmc.program_sizing import ProgramPilot, program_power, size_program_study
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.mrmc.sizing import Components, Design
from taskct.metrics.roc import auc, paired_delong

TRUTH = np.arange(90) < 40


def scores(seed, n_readers=5):
    """A program's scores and readers' of the same cases."""
    rng = np.random.default_rng(seed)
    case = rng.normal(size=90) + 1.2 * TRUTH
    skill = 1.0 + 0.3 * rng.random((n_readers, 1))
    return case + 0.7 * rng.normal(size=90), skill * case + rng.normal(size=(n_readers, 90))


def as_two_modalities(program, readers):
    again = np.where(np.isnan(readers), np.nan, program)
    names = tuple(f"r{i}" for i in range(len(readers)))
    return Ratings(np.stack([again, readers]), TRUTH, ("program", "people"), names, tuple(map(str, range(90))))


def test_the_variance_is_obuchowski_and_rockettes_with_the_program_as_a_second_modality():
    program, readers = scores(0)
    found = compare_program(program, readers, TRUTH)
    study = obuchowski_rockette(as_two_modalities(program, readers))
    wanted = study.random_readers_random_cases.differences["program-people"]
    assert found.difference.difference == pytest.approx(wanted.estimate, abs=1e-12)
    assert found.difference.error.std_error == pytest.approx(wanted.std_error, rel=1e-9)
    # The mean square of differences from one program is that of the readers' own AUCs.
    assert 2.0 * study.ms_tr == pytest.approx(study.reader_auc[1].var(ddof=1), rel=1e-9)


def test_with_missing_ratings_the_variance_is_the_u_statistic_of_that_study():
    program, readers = scores(1)
    readers[np.random.default_rng(2).random(readers.shape) < 0.15] = np.nan
    found = compare_program(program, readers, TRUTH)
    wanted = analyze(as_two_modalities(program, readers)).differences["program-people"]
    assert not found.fully_crossed
    assert found.difference.difference == pytest.approx(wanted.auc, abs=1e-12)
    assert found.difference.error.std_error**2 == pytest.approx(wanted.variance_centred, rel=1e-9)
    assert found.components[2] == wanted.components


def test_one_missing_rating_changes_little():
    program, readers = scores(3)
    whole = compare_program(program, readers, TRUTH).difference
    readers[2, 7] = np.nan
    without = compare_program(program, readers, TRUTH).difference
    assert without.error.std_error == pytest.approx(whole.error.std_error, rel=0.05)
    assert without.error.of_readers == pytest.approx(whole.error.of_readers, rel=0.1)
    assert without.bounds(0.95) == pytest.approx(whole.bounds(0.95), abs=0.006)


def test_a_case_that_the_program_did_not_rate_is_left_out():
    program, readers = scores(4)
    program[[0, 80]] = np.nan
    kept = ~np.isnan(program)
    found, wanted = (
        compare_program(program, readers, TRUTH),
        compare_program(program[kept], readers[:, kept], TRUTH[kept]),
    )
    assert found == wanted
    assert (found.n_present, found.n_absent, found.fully_crossed) == (39, 49, True)


@pytest.mark.parametrize("n_readers", [1, 2])
def test_few_readers_are_these_readers_alone(n_readers):
    program, readers = scores(5, n_readers)
    found = compare_program(program, readers, TRUTH)
    assert found.population == "cases"
    assert found.difference.error.of_readers == 0.0
    own = paired_delong(np.stack([program, readers[0]])[:, TRUTH], np.stack([program, readers[0]])[:, ~TRUTH])
    assert found.readers[0].difference == own
    if n_readers == 1:
        half = (own.ci_high - own.ci_low) / 2.0
        assert found.difference.error.std_error == pytest.approx(half / 1.959964, rel=1e-6)
        # Skew, yet of much the same length as DeLong's.
        low, high = found.difference.bounds(0.95)
        assert high - low == pytest.approx(2.0 * half, rel=0.1)


def test_every_reader_is_compared_on_the_cases_that_both_rated():
    program, readers = scores(6)
    readers[1, 10:30] = np.nan
    found = compare_program(program, readers, TRUTH)
    rated = ~np.isnan(readers[1])
    assert found.readers[1].auc == pytest.approx(auc(readers[1, rated & TRUTH], readers[1, rated & ~TRUTH]))
    p = [one.difference.p_value for one in found.readers]
    assert min(one.p_holm for one in found.readers) == pytest.approx(min(1.0, 5 * min(p)))


def test_clusters_of_one_case_change_nothing_and_pairs_of_equal_cases_widen():
    program, readers = scores(7)
    alone = compare_program(program, readers, TRUTH)
    single = compare_program(program, readers, TRUTH, clusters=np.arange(90))
    assert single.difference == alone.difference
    twice = compare_program(
        np.tile(program, 2), np.tile(readers, 2), np.tile(TRUTH, 2), clusters=np.tile(np.arange(90), 2)
    )
    plain = compare_program(np.tile(program, 2), np.tile(readers, 2), np.tile(TRUTH, 2))
    assert plain.difference.error.std_error < 0.9 * twice.difference.error.std_error
    assert twice.difference.error.std_error == pytest.approx(alone.difference.error.std_error, rel=0.02)
    assert twice.components is None


def test_a_program_that_ranks_as_the_readers_do_is_no_different():
    program, _ = scores(8)
    found = compare_program(program, np.tile(program, (4, 1)), TRUTH)
    assert found.difference.difference == 0.0
    assert found.difference.error.std_error == pytest.approx(0.0, abs=1e-9)
    assert found.difference.p_value() == pytest.approx(1.0)


def test_what_cannot_be_compared_is_one_line():
    program, readers = scores(9)
    few = readers.copy()
    few[0, TRUTH] = np.nan
    with pytest.raises(UserError, match="2 signal-present cases"):
        compare_program(program, few, TRUTH)
    readers[0, 0] = np.nan
    with pytest.raises(UserError, match="clustered cases need all"):
        compare_program(program, readers, TRUTH, clusters=np.arange(90))
    with pytest.raises(UserError, match="needs all of them"):
        compare_program(program, readers[:2], TRUTH)
    with pytest.raises(ValueError, match="shapes"):
        compare_program(program[:5], readers, TRUTH)


PILOT = ProgramPilot(
    0.85,
    Components(0.002, 0.03, 0.03, 0.02, 0.02, 0.02, 0.05),
    Components(0.0, 0.04, 0.04, 0.03, 0.0, 0.0, 0.0),
    Components(0.002, 0.04, 0.04, 0.04, 0.02, 0.02, 0.05),
)


def test_power_grows_with_readers_cases_and_margin_and_is_its_size_at_the_bound():
    at = [program_power(PILOT, Design(r, n, n), 0.0, margin=m, alpha=0.025).power
          for r, n, m in ((5, 80, 0.1), (8, 80, 0.1), (8, 120, 0.1), (8, 120, 0.12))]  # fmt: skip
    assert at == sorted(at)
    nothing = program_power(PILOT, Design(8, 100, 100), -0.0999999, margin=0.1, alpha=0.025)
    assert nothing.power == pytest.approx(0.025, abs=1e-4)


def test_the_smallest_study_is_the_smallest():
    for size in size_program_study(PILOT, 0.0, n_readers=(5, 9), margin=0.1, alpha=0.025):
        d = size.design
        assert size.power >= 0.8
        less = Design(d.n_readers, d.n_present - 1, d.n_absent - 1)
        assert program_power(PILOT, less, 0.0, margin=0.1, alpha=0.025).power < 0.8
    with pytest.raises(UserError, match="no number of cases"):
        size_program_study(PILOT, 0.01, n_readers=(3,))
    with pytest.raises(UserError, match="no study can show"):
        size_program_study(PILOT, -0.2, n_readers=(5,), margin=0.1)
    with pytest.raises(UserError, match="between"):
        size_program_study(PILOT, 0.2, n_readers=(5,))
