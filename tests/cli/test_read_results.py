"""`taskct read STUDY --results`: what known observers answered comes back as files, tables and a page."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from command_line import call, refused
from reading_studies import RADIUS_PX, disc, make_disc_study
from taskct.io.marks_files import read_marks
from taskct.io.ratings_files import read_imrmc, read_ratings_csv
from taskct.metrics.mrmc import analyze
from taskct.metrics.roc import auc
from taskct.reading_room.answer import Answer, Mark
from taskct.reading_room.answers import ANSWERS, AnswerBook, now

__all__ = ["call", "refused"]  # fixtures

READERS = ("Ann", "Bo", "Cleo")


def read_all(study, *, noise_hu=40.0, upto=None, whole=()):
    """Every reader answers by a matched filter with noise of their own; but for the `whole`, the first `upto`."""
    p, template = study.protocol, disc(study.protocol.height, 15.5, 15.5, 1.0)
    template -= template.mean()
    with AnswerBook(study.path / ANSWERS) as book:
        book.bind(study.digest)
        for number, (reader, order) in enumerate(study.orders.items()):
            rng = np.random.default_rng(number)
            for position, shown in enumerate(order if reader in whole else order[:upto]):
                images = study.images[list(shown.images)].astype(np.float64)
                seen = images + rng.normal(0.0, noise_hu, images.shape)
                values = (seen * template).sum(axis=(1, 2)) / np.pi / RADIUS_PX**2
                place = np.unravel_index(images[0].argmax(), images[0].shape)
                rating = int(np.clip(50 + 2 * values[0], 0, 100))
                marks = (Mark(float(place[0]), float(place[1]), rating),) if p.design in ("locate", "froc") else ()
                book.record(
                    Answer(
                        reader,
                        "reading",
                        position,
                        shown.trial,
                        1.0 + number,
                        now(),
                        choice=shown.images[int(values.argmax())] if p.n_alternatives > 1 else None,
                        rating=rating if p.design in ("rating", "locate") else None,
                        marks=marks,
                    ),
                    {"centre_hu": 50.0, "width_hu": 200.0, "zoom": 2},
                )


def test_forced_choice(tmp_path, call):
    study = make_disc_study(tmp_path / "study", "2afc", readers=READERS, n_cases=30)
    read_all(study)
    code, out, err = call("read", study.path, "--results", "--page", tmp_path / "page.html", "--margin", 0.2)
    assert code == 0, err
    assert "3 readers, 30 sets of 2 images in each arm; chance is 50%" in out
    assert "plain-other" in out
    assert "not worse than" in out
    assert "still open, every reader has read all" in err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Percent correct" in page
    assert "Cleo" not in page
    assert "reader 3" in page
    rows = list(csv.DictReader((study.path / "results" / "answers.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 3 * 60
    share = np.mean([row["correct"] == "1" for row in rows if row["arm"] == "plain"])
    areas = analyze(read_imrmc(study.path / "results" / "choices.imrmc"))
    assert areas.modalities["plain"].auc == pytest.approx(share, abs=1e-12)
    code, out, _ = call("read", study.path, "--results", "--json")
    found = json.loads(out)["choices"]
    assert found["arms"]["plain"]["interval"]["value"] == pytest.approx(share, abs=1e-12)
    assert found["arms"]["plain"]["d_prime"]["value"] > 0.5


def test_ratings_are_those_of_mrmc(tmp_path, call):
    study = make_disc_study(tmp_path / "study", "rating", readers=READERS, n_cases=30)
    read_all(study)
    code, out, err = call("read", study.path, "--results", "--json")
    assert code == 0, err
    found, ratings = json.loads(out), read_ratings_csv(study.path / "results" / "ratings.csv")
    again = read_imrmc(study.path / "results" / "ratings.imrmc")
    present = ratings.scores[0, 0, ratings.signal_present], ratings.scores[0, 0, ~ratings.signal_present]
    modality, reader = ratings.modalities[0], ratings.readers[0]
    assert found["readers"][reader][modality]["auc"] == pytest.approx(auc(*present), abs=1e-12)
    assert analyze(again).modalities[modality].auc == pytest.approx(found["modalities"][modality]["auc"], abs=1e-12)
    code, out, err = call("mrmc", study.path / "results" / "ratings.csv", "--json")
    assert json.loads(out)["modalities"] == found["modalities"]


@pytest.mark.parametrize("design", ["locate", "froc"])
def test_places_become_marks(tmp_path, call, design):
    study = make_disc_study(tmp_path / "study", design, readers=READERS, n_cases=24, contrast_hu=60.0)
    read_all(study)
    code, out, err = call("read", study.path, "--results")
    assert code == 0, err
    assert ("LROC" if design == "locate" else "AFROC") in out
    marks = read_marks(study.path / "results" / "marks.csv")
    assert marks.readers == READERS
    assert marks.modalities == study.read_key().arms  # whichever of them was read first
    assert len(marks.mark_rating) == 3 * 48


@pytest.mark.parametrize("design", ["2afc", "locate"])
def test_one_reader_is_one(tmp_path, call, design):
    study = make_disc_study(tmp_path / "study", design, readers=READERS[:1], n_cases=12)
    read_all(study)
    code, out, err = call("read", study.path, "--results")
    assert code == 0, err
    assert "1 reader, " in out
    assert "alone" in out
    assert "readers and" not in out


def test_a_study_that_goes_on_says_so(tmp_path, call):
    study = make_disc_study(tmp_path / "study", "rating", readers=READERS, n_cases=30)
    read_all(study, upto=40)
    code, out, err = call("read", study.path, "--results")
    assert code == 0, err
    assert "some trials are not read yet" in err
    assert "not fully crossed" in out


def test_a_reader_who_answers_always_the_same_is_told_and_stays(tmp_path, call):
    study = make_disc_study(tmp_path / "study", "rating", readers=("Ann", "Bo"), n_cases=20)
    read_all(study)
    with AnswerBook(study.path / ANSWERS) as book:
        kept = book.answers()
    (study.path / ANSWERS).unlink()
    with AnswerBook(study.path / ANSWERS) as book:
        book.bind(study.digest)
        for one in kept:
            book.record(replace(one, rating=50) if one.reader == "Bo" else one, {})
    code, out, err = call("read", study.path, "--results")
    assert code == 0, err
    assert re.search(r"'Bo': the same answer \d+ times on end; nothing is left out", err)
    assert re.search(r"Bo +0\.5000", out)


def test_marks_are_analysed_of_readers_who_have_read_all(tmp_path, call, refused):
    study = make_disc_study(tmp_path / "study", "locate", readers=READERS, n_cases=12, contrast_hu=60.0)
    read_all(study, upto=5)
    assert "no reader has read all 24 trials yet" in refused("read", study.path, "--results")
    assert (study.path / "results" / "answers.csv").is_file()
    (study.path / ANSWERS).unlink()
    read_all(study, whole=READERS[:2], upto=5)
    code, out, err = call("read", study.path, "--results")
    assert code == 0, err
    assert "left out so far: Cleo (5 of 24)" in err
    assert "2 readers, " in out
    assert "LROC" in out


def test_answers_of_another_study_are_refused(tmp_path, refused):
    for name, seed in (("study", 0), ("other", 1)):
        read_all(make_disc_study(tmp_path / name, "rating", readers=READERS, seed=seed))
    shutil.copy(tmp_path / "other" / ANSWERS, tmp_path / "study" / ANSWERS)
    assert "its answers belong to other images" in refused("read", tmp_path / "study", "--results")
    assert "its answers belong to other images" in refused("human", tmp_path / "study", "--observer", "cho-gabor")


def test_what_is_refused(tmp_path, refused):
    study = make_disc_study(tmp_path / "study", "2afc", readers=READERS)
    assert "no answers yet" in refused("read", study.path, "--results")
    read_all(study)
    (study.path / "key.json").unlink()
    assert "key.json is missing" in refused("read", study.path, "--results")
