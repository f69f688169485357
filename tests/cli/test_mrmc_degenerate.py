"""`taskct mrmc` of files that allow little: no number that is none, no name where it does not belong."""

import re

import numpy as np
import pytest

from command_line import call, refused

__all__ = ["call", "refused"]  # fixtures


@pytest.fixture
def ratings(tmp_path):
    """Write a CSV of three readers and two modalities; `score` takes reader, case and truth, None for no rating."""

    def write(score, *, names=("Ann", "Bob", "Cy"), modalities=("A", "B"), n=8):
        lines = ["reader,case,modality,signal_present,score"]
        for modality in modalities:
            for r, name in enumerate(names):
                for case in range(2 * n):
                    present = int(case < n)
                    value = score(r, case, present)
                    if value is not None:
                        lines.append(f"{name},c{case},{modality},{present},{value}")
        path = tmp_path / "ratings.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


def _noisy(seed=0):
    rng = np.random.default_rng(seed)
    return lambda reader, case, present: round(present + rng.normal(), 3)


def _text(page):
    html = re.sub(
        r"<style.*?</style>|<script.*?</script>|data:[^\"]*", "", page.read_text(encoding="utf-8"), flags=re.S
    )
    return re.sub(r"<[^>]*>", " ", html)


@pytest.mark.parametrize(
    "score",
    [
        lambda reader, case, present: None if (case + reader) % 4 == 0 else 5 * present + case / 16,
        lambda reader, case, present: 3 + reader,
        lambda reader, case, present: (1e300 if case % 3 else 2e300) * (1 + present),
    ],
    ids=["perfect with missing ratings", "each reader says one thing", "huge"],
)
def test_what_is_not_known_is_left_out(call, ratings, tmp_path, score):
    page = tmp_path / "page.html"
    code, out, err = call("mrmc", ratings(score), "--agreement", "--cutoff", "1", "--margin", "0.1", "--page", page)
    assert code == 0, err
    for text in (out, err, _text(page)):
        assert not re.search(r"\b(nan|inf|None)\b", text)


def test_a_page_without_a_curve(call, ratings, tmp_path):
    path = ratings(lambda reader, case, present: case if case % 3 == reader else None, n=3)
    code, _, err = call("mrmc", path, "--page", tmp_path / "page.html")
    assert code == 0, err


def test_modalities_that_are_called_as_readers_keep_their_names_on_the_page(call, ratings, tmp_path):
    page = tmp_path / "page.html"
    path = ratings(_noisy(), names=("A", "B", "Cy"))
    assert call("mrmc", path, "--cutoff", "0.5", "--agreement", "--page", page)[0] == 0
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)).strip() for row in page.read_text().split("</tr>")]
    assert sum(row.startswith("sensitivity A ") for row in rows) == 1
    assert sum(row.startswith("A reader 1 0.5 ") for row in rows) == 1
    assert sum(row.startswith("reader 1 reader 2 A ") for row in rows) == 1
    assert "Cy" not in _text(page)


def test_notes_that_hold_a_number_stay_though_readers_are_numbers(call, ratings, tmp_path):
    page = tmp_path / "page.html"
    call("mrmc", ratings(_noisy(), names=("0", "5", "r")), "--cutoff", "0.5", "--agreement", "--page", page)
    assert "no modality holds second readings" in _text(page)


def test_confidence_with_all_its_digits(call, ratings):
    out = call("mrmc", ratings(_noisy()), "--confidence", "0.975", "--cutoff", "0.5")[1]
    assert "AUC (97.5%)" in out
    assert "[97.5% interval" in out


def test_one_reader_is_no_sample_of_readers(call, ratings):
    out = call("mrmc", ratings(_noisy(), names=("Ann",)), "--cutoff", "0.5")[1]
    assert "interval, of the choice of cases alone]" in out
    assert "as random effects" not in out


@pytest.mark.parametrize(
    "where", ["ratings.csv", "", "nowhere/page.html"], ids=["the ratings", "a folder", "no folder"]
)
def test_a_page_replaces_nothing_but_a_page(refused, ratings, tmp_path, where):
    path = ratings(_noisy())
    before = path.read_bytes()
    assert "choose another --page" in refused("mrmc", path, "--page", tmp_path / where)
    assert path.read_bytes() == before
