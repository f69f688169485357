"""Forced choice: what is said where little was answered, and numbers as they were asked for."""

import numpy as np
import pytest

from taskct.apply.reader_study.choices import ForcedChoices, choices_section, choices_sections
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError


def _choices(n_arms=2, n_readers=3, n_sets=40, **more):
    rng = np.random.default_rng(0)
    correct = (rng.random((n_arms, n_readers, n_sets)) < 0.8).astype(np.float64)
    return ForcedChoices(correct, ("A", "B")[:n_arms], tuple("xyz"[:n_readers]), 2, **more)


def _tables(section):
    return " ".join(cell for grid in section.grids for row in grid.rows for cell in row)


def test_confidence_and_margin_have_all_their_digits():
    section = choices_section(_choices(), Wanted(confidence=0.975, margin=0.025))
    assert all("97.5% interval" in grid.title for grid in section.grids)
    assert "not worse than B by 2.5% or more" in " ".join(section.answers)


def test_one_answer_is_no_study_yet():
    choices = _choices(n_arms=1, n_readers=1, n_sets=1)
    with pytest.raises(UserError, match="nothing can be said of percent correct yet"):
        choices_section(choices, Wanted())


def test_a_reader_of_one_background_has_no_interval():
    choices = _choices(clusters=np.repeat(np.arange(4), 10))
    choices.correct[:, 2, 10:] = np.nan
    choices.correct[:, 0] = 1.0  # whose d′ is infinite
    section = choices_section(choices, Wanted())
    assert "nan" not in _tables(section)
    assert "inf" not in _tables(section)
    assert "∞" in _tables(section)


def test_one_arm_sizes_nothing_and_says_so():
    (section,) = choices_sections(_choices(n_arms=1), Wanted(detect=0.1))
    assert "no two arms are compared" in " ".join(section.notes)


def test_one_reader_is_no_sample_of_readers():
    section = choices_section(_choices(n_readers=1), Wanted())
    assert "random effects" not in section.grids[0].title
