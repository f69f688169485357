"""`taskct mrmc --program`: which modalities are compared, what is said, and what is refused."""

import json

import numpy as np
import pytest

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study import sections_of
from taskct.apply.reader_study.program import program_section
from taskct.apply.reader_study.sizes import sizes_section
from taskct.apply.reader_study.wanted import Wanted
from taskct.cli.mrmc_sections import page_sections, sections_json
from taskct.errors import UserError
from taskct.metrics.mrmc.program import compare_program
from taskct.metrics.mrmc.ratings import Ratings

TRUTH = np.arange(80) < 40
PEOPLE = ("Ann", "Ben", "Cy", "Dee")


def study(*, own_modality, clusters=None, lift=0.0):
    """Two modalities that four people rated, and a program that rated one of its own, or both of theirs."""
    rng = np.random.default_rng(11)
    case = rng.normal(size=80) + 1.3 * TRUTH
    scores = np.full((3 if own_modality else 2, 5, 80), np.nan)
    scores[:2, :4] = case + 0.9 * rng.normal(size=(2, 4, 80))
    program = case + 0.5 * rng.normal(size=80) + lift * TRUTH
    if own_modality:
        scores[2, 4] = program
    else:
        scores[:, 4] = [program, program + 0.4 * rng.normal(size=80)]
    names = ("old", "new", "AI's own")[: len(scores)]
    ratings = Ratings(scores, TRUTH, names, (*PEOPLE, "AI"), tuple(map(str, range(80))))
    return ReaderStudy(ratings, (("old", "new"),), (), clusters)


def test_a_program_of_its_own_modality_is_compared_in_each_of_the_peoples():
    made = study(own_modality=True)
    section = program_section(made, Wanted(programs=("AI",)))
    programs = section.content["programs"]
    assert [(one["program"], one["modality"]) for one in programs] == [("AI", "old"), ("AI", "new")]
    scores = made.ratings.scores
    wanted = compare_program(scores[2, 4], scores[1, :4], TRUTH)
    assert programs[1]["difference"]["value"] == wanted.difference.difference
    assert list(programs[1]["readers"]) == list(PEOPLE)
    assert max(one["difference"]["p_holm"] for one in programs) <= 1.0


def test_one_that_rated_the_peoples_modalities_is_compared_in_those():
    made = study(own_modality=False)
    programs = program_section(made, Wanted(programs=("AI",))).content["programs"]
    wanted = [compare_program(s[4], s[:4], TRUTH).difference.difference for s in made.ratings.scores]
    assert [one["difference"]["value"] for one in programs] == wanted


def test_nothing_is_made_where_no_program_is_named():
    assert program_section(study(own_modality=True), Wanted()) is None
    assert not sections_of(study(own_modality=True), Wanted())


def test_margin_and_size_are_told_and_the_page_names_nobody():
    made = study(own_modality=True)
    section = program_section(made, Wanted(programs=("AI",), margin=0.2, detect=0.01))
    assert any("AI not inferior to the mean reader in old within 0.2: shown" in text for text in section.answers)
    assert [one["non-inferiority"]["margin"] for one in (p["difference"] for p in section.content["programs"])] == [
        0.2
    ] * 2
    assert all(size["power"] >= 0.8 for one in section.content["programs"] for size in one["sizes"])
    json.dumps(sections_json([section]), allow_nan=False)
    (page,) = page_sections([section], {name: f"reader {i}" for i, name in enumerate(PEOPLE)})
    text = repr(page)
    assert "reader 2" in text
    assert not any(f"'{name}'" in text or f" {name} " in text for name in PEOPLE)


def test_what_cannot_be_said_of_one_modality_leaves_the_others():
    made = study(own_modality=True)
    made.ratings.scores[0, 2, TRUTH] = np.nan
    section = program_section(made, Wanted(programs=("AI",)))
    assert [one["modality"] for one in section.content["programs"]] == ["new"]
    assert any(
        note.startswith("AI in old: a comparison with a program needs 2 signal-present") for note in section.notes
    )
    made.ratings.scores[1, 2, TRUTH] = np.nan
    with pytest.raises(UserError, match="AI in old: a comparison"):
        program_section(made, Wanted(programs=("AI",)))


def test_the_next_study_of_people_is_sized_from_people():
    made = study(own_modality=False)
    alone = ReaderStudy(made.ratings.part(readers=range(4)), made.pairs, ())
    found = sizes_section(made, Wanted(programs=("AI",), detect=0.05))
    assert found.content == sizes_section(alone, Wanted(detect=0.05)).content
    assert found.content != sizes_section(made, Wanted(detect=0.05)).content


def test_a_better_program_is_called_better():
    section = program_section(study(own_modality=True, lift=1.5), Wanted(programs=("AI",)))
    assert section.answers[0].startswith("AUC of AI is above that of the mean reader in old: +")
    assert {row[3] for row in section.grids[1].rows} == {"program"}


def test_patients_are_respected_and_prevent_sizing():
    labels = np.tile(np.arange(40), 2)
    made = study(own_modality=True, clusters=labels)
    section = program_section(made, Wanted(programs=("AI",), detect=0.05))
    scores = made.ratings.scores
    wanted = compare_program(scores[2, 4], scores[0, :4], TRUTH, clusters=labels)
    assert section.content["programs"][0]["difference"]["std_error"] == wanted.difference.error.std_error
    assert any("cases that are independent" in note for note in section.notes)


def test_what_is_missing_is_noted():
    made = study(own_modality=True)
    made.ratings.scores[2, 4, 3] = np.nan
    made.ratings.scores[0, 1, 5] = np.nan
    notes = program_section(made, Wanted(programs=("AI",))).notes
    assert "AI in old: 1 cases that the readers rated and the program did not are left out" in notes
    assert any("not every reader rated every case" in note for note in notes)
    few = program_section(made, Wanted(programs=("AI", "Ann", "Ben")))
    assert any("nothing can be said of others" in note for note in few.notes)
    assert {one["difference"]["population"] for one in few.content["programs"]} == {"cases"}


@pytest.mark.parametrize(
    ("programs", "why"),
    [(("Eve",), "no such reader"), ((*PEOPLE, "AI"), "names every reader")],
)
def test_what_cannot_be_compared_is_refused(programs, why):
    with pytest.raises(UserError, match=why):
        program_section(study(own_modality=True), Wanted(programs=programs))


def test_a_program_that_rated_nothing_that_was_chosen_is_refused():
    made = study(own_modality=True)
    chosen = ReaderStudy(made.ratings.part(modalities=[0, 1]), (), ())
    with pytest.raises(UserError, match="it rated nothing among those that were chosen"):
        program_section(chosen, Wanted(programs=("AI",)))
