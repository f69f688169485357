"""`taskct human`: from a table or a reading study to a fitted observer, its page, and what is refused."""

import csv
import json

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from command_line import call, refused
from reading_studies import RADIUS_PX, disc, make_disc_study
from taskct.cli.human_study import _condition, _Place
from taskct.metrics.forced_choice import proportion_correct
from taskct.observers import make_observer, read_fitted_noise
from taskct.reading_room.answer import Answer
from taskct.reading_room.answers import ANSWERS, AnswerBook, now
from taskct.reading_room.key import Key, KeyTrial, Lesion

__all__ = ["call", "refused"]  # fixtures

READERS = ("Anna", "Bert", "Cleo")
ALPHA = 1.0
SIDE = 16
COLUMNS = ("condition", "reader", "n_trials", "n_correct", "size_mm", "contrast_hu", "arm", "present", "absent")


def images_of(n, size_px, contrast_hu, seed):
    axis = np.arange(SIDE) - (SIDE - 1) / 2.0
    blob = contrast_hu * np.exp(-(axis[:, None] ** 2 + axis**2) / (2.0 * size_px**2))
    return (np.random.default_rng(seed).normal(0.0, 20.0, (n, SIDE, SIDE)) + blob).astype(np.float32)


def write_table(path, rows, columns=COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def read_all(study, *, noise_hu=40.0):
    """Every reader answers by a matched filter with noise of their own in every pixel."""
    p, template = study.protocol, disc(study.protocol.height, 15.5, 15.5, 1.0)
    template -= template.mean()
    with AnswerBook(study.path / ANSWERS) as book:
        book.bind(study.digest)
        for number, (reader, order) in enumerate(study.orders.items()):
            rng = np.random.default_rng(number)
            for position, shown in enumerate(order):
                seen = study.images[list(shown.images)].astype(np.float64)
                seen += rng.normal(0.0, noise_hu, seen.shape)
                values = (seen * template).sum(axis=(1, 2)) / np.pi / RADIUS_PX**2
                said = {"choice": shown.images[int(values.argmax())]}
                if p.n_alternatives == 1:
                    said = {"rating": int(np.clip(50 + 2 * values[0], 0, 100))}
                book.record(Answer(reader, "reading", position, shown.trial, 1.0, now(), **said), {})


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """4 readers with the internal noise 1 of a CHO, in sizes and contrasts of two kinds of image."""
    root, rng, rows = tmp_path_factory.mktemp("panel"), np.random.default_rng(0), []
    for number, (size, contrast, arm) in enumerate(
        [(s, c, a) for a, gain in (("plain", 1.0), ("smooth", 1.3)) for s in (1, 2) for c in (15 * gain, 22 * gain)]
    ):
        name = f"{arm} {size} mm {contrast:g} HU"
        for what, hu, seed in (("p", contrast, 2 * number), ("a", 0.0, 2 * number + 1)):
            np.save(root / f"{number}{what}.npy", images_of(300, size, hu, seed))
        both = np.concatenate([images_of(3000, size, contrast, 900), images_of(3000, size, 0.0, 901)])
        d = make_observer("cho_lg", width_px=3.2, n_channels=4).fit(both, np.arange(6000) < 3000).snr_
        p = proportion_correct(d / np.sqrt(1.0 + ALPHA**2), 2)
        for reader in ("Anna", "Bert", "Carla", "Dora"):
            k = rng.binomial(200, p)
            rows.append((name, reader, 200, k, size, contrast, arm, f"{number}p.npy", f"{number}a.npy"))
    return write_table(root / "conditions.csv", rows)


MODEL = ("--observer", "cho-lg", "--channel", "width_px=3.2", "--channels", 4, "--pixel-mm", 0.7)


def test_a_table_gives_the_noise_back(tmp_path, call, panel):
    code, out, err = call("human", panel, *MODEL, "--out", tmp_path / "h.json", "--page", tmp_path / "h.html", "--json")
    assert code == 0, err
    found, kept = json.loads(out), read_fitted_noise(tmp_path / "h.json")
    alpha = found["models"]["proportional"]["alpha"]
    assert alpha["ci_low"] <= ALPHA <= alpha["ci_high"]
    assert (kept.observer, kept.kind, kept.alpha) == ("cho_lg", "proportional", alpha["value"])
    assert kept.settings == {"n_channels": 4, "width_px": 3.2}
    assert kept.fitted_on["n_readers"] == 4
    assert len(kept.fitted_on["sha256"]) == 64
    assert len(found["conditions"]) == 8
    assert {"Size", "Contrast", "Images"} == set(found["properties"])
    assert found["models"]["none"]["left_out_rmse"] > found["models"]["proportional"]["left_out_rmse"]
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert "Anna" not in page
    assert "Anna" not in out + (tmp_path / "h.json").read_text(encoding="utf-8")
    assert "reader 4" in page
    assert "do as well as people" in page or "does as well as people" in page


def test_the_terminal_tells_conditions_and_kinds(call, panel):
    code, out, err = call("human", panel, *MODEL, "--noise", "channels")
    assert code == 0, err
    for words in ("plain 1 mm 15 HU", "proportional", "uniform-channels", "efficiency", "left-out RMSE"):
        assert words in out


def test_areas_are_choices_between_two(tmp_path, call, panel):
    rows = list(csv.DictReader(panel.read_text(encoding="utf-8").splitlines()))
    columns = ("condition", "reader", "auc", "n_present", "n_absent", "present", "absent")
    table = [
        (r["condition"], r["reader"], int(r["n_correct"]) / 200, 80, 80, panel.parent / r["present"],
         panel.parent / r["absent"])
        for r in rows
    ]  # fmt: skip
    code, out, err = call("human", write_table(tmp_path / "areas.csv", table, columns), *MODEL, "--json")
    assert code == 0, err
    assert json.loads(out)["fitted"]["fitted_on"]["from_areas"]


def test_the_fitted_observer_is_for_a_study(tmp_path, call, panel):
    call("human", panel, *MODEL, "--out", tmp_path / "h.json")
    code, out, err = call("config", "--yaml", "--set", f"observers.human={tmp_path / 'h.json'}")
    assert code == 0, err
    assert "h.json" in out


def test_observe_takes_the_fitted_observer(tmp_path, call, refused, panel):
    """Its noise divides d' by √(1 + α²); both AUCs are of the same 300 + 300 trials."""
    call("human", panel, *MODEL, "--out", tmp_path / "h.json")
    images = ("--present", panel.parent / "3p.npy", "--absent", panel.parent / "3a.npy", "--pixel-mm", 0.7)
    options = ("--observers", "human,cho-lg", "--channel", "width_px=3.2", "--channels", 4, "--json")
    code, out, err = call("observe", *images, "--human", tmp_path / "h.json", *options)
    assert code == 0, err
    areas = {name: one["auc"] for name, one in json.loads(out)["observers"].items()}
    alpha = read_fitted_noise(tmp_path / "h.json").alpha
    expected = ndtr(ndtri(areas["cho-lg"]) / np.sqrt(1.0 + alpha**2))
    assert areas["human"] == pytest.approx(expected, abs=0.05)  # two standard errors of the draw of its noise
    assert areas["human"] < areas["cho-lg"]
    assert "needs --human" in refused("observe", *images, "--observers", "human")


@pytest.mark.parametrize("design", ["2afc", "rating"])
def test_a_reading_study_is_fitted_on_its_own_images(tmp_path, call, design):
    study = make_disc_study(tmp_path / "study", design, readers=READERS, n_cases=60)
    read_all(study)
    options = ("--observer", "cho-lg", "--channels", 3, "--page", tmp_path / "page.html", "--json")
    code, out, err = call("human", study.path, *options)
    assert code == 0, err
    found = json.loads(out)
    assert [one["arm"] for one in found["conditions"]] == ["plain", "other"]
    assert found["fitted"]["fitted_on"]["n_readers"] == len(READERS)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Cleo" not in page + out
    assert "reader 3" in page


def test_sizes_and_contrasts_of_strata_are_those_of_all_that_share_them():
    """Middles differ by chance from stratum to stratum; conditions of one span are compared as one."""
    strata = {"4 to 5 mm, 30 to 50 HU": (4.2, 33.0), "4 to 5 mm, 50 to 70 HU": (4.8, 61.0)}
    trials = [
        KeyTrial("mse", f"trial {n}", (n,), 0, (Lesion(8.0, 8.0, size, hu),), group=group)
        for n, (group, (size, hu)) in enumerate(strata.items())
    ]
    found = [_condition(Key(tuple(trials), ("mse",)), _Place("mse", group)) for group in strata]
    assert [one.size_mm for one in found] == [4.5, 4.5]
    assert [one.contrast_hu for one in found] == [33.0, 61.0]


def test_people_who_do_better_are_not_said_to_be_matched(tmp_path, call, panel):
    rows = list(csv.reader(panel.read_text(encoding="utf-8").splitlines()))[1:]
    rows = [(*row[:3], 195, *row[4:7], panel.parent / row[7], panel.parent / row[8]) for row in rows]
    options = ("--page", tmp_path / "h.html", "--law", "scores")
    code, _, err = call("human", write_table(tmp_path / "t.csv", rows), *MODEL, *options)
    assert code == 0, err
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert "People do better than cho_lg without noise" in page
    assert "does as well as people" not in page
    assert "test statistics as they are" in page


def test_a_condition_that_the_others_do_not_predict_is_told_and_the_rest_is_there(tmp_path, call, panel):
    """Without the last condition people are at chance."""
    rows = list(csv.reader(panel.read_text(encoding="utf-8").splitlines()))[1:13]
    rows = [
        (*row[:3], 190 if number >= 8 else 100, *row[4:7], panel.parent / row[7], panel.parent / row[8])
        for number, row in enumerate(rows)
    ]
    table = write_table(tmp_path / "t.csv", rows)
    code, out, err = call("human", table, *MODEL, "--json", "--page", tmp_path / "h.html")
    assert code == 0, err
    found = json.loads(out)
    assert [one["left_out_prediction"] is None for one in found["conditions"]] == [False, False, True]
    assert found["best_left_out"] is None
    assert found["models"]["proportional"]["left_out_rmse"] is None
    assert any("cannot be predicted from the other conditions" in line for line in found["notes"])
    assert "predicts conditions that were left out best" not in (tmp_path / "h.html").read_text(encoding="utf-8")


def test_one_condition_tells_of_no_disagreement(tmp_path, call, panel):
    rows = list(csv.reader(panel.read_text(encoding="utf-8").splitlines()))[1:5]
    rows = [(*row[:7], panel.parent / row[7], panel.parent / row[8]) for row in rows]
    table = write_table(tmp_path / "t.csv", rows)
    code, out, err = call("human", table, *MODEL, "--json", "--page", tmp_path / "h.html")
    assert code == 0, err
    assert json.loads(out)["conditions"][0]["p_holm"] == 1.0
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert "one condition cannot tell whether people and observer disagree" in page
    sources = [page.index(words) for words in ("J. Opt. Soc. Am. A 4", "90370P", "Percept. Psychophys.", "Scand. J.")]
    assert sources == sorted(sources)  # as they are cited


def test_conditions_of_different_pixel_sizes_are_refused(tmp_path, refused):
    rows = []
    for name, mm in (("a", 1.0), ("b", 0.5)):
        for what, hu in (("p", 20.0), ("n", 0.0)):
            header = f"NDims = 3\nDimSize = {SIDE} {SIDE} 40\nElementType = MET_FLOAT\nElementSpacing = {mm} {mm} 1\n"
            content = f"{header}ElementByteOrderMSB = False\nElementDataFile = LOCAL\n".encode()
            (tmp_path / f"{name}{what}.mha").write_bytes(content + images_of(40, 2, hu, 3).astype("<f4").tobytes())
        rows.append((name, "Ann", 100, 80, "", "", "", f"{name}p.mha", f"{name}n.mha"))
    table = write_table(tmp_path / "t.csv", rows)
    assert "'b' has pixels of 0.5 mm" in refused("human", table, "--observer", "npw")


def test_what_is_refused_of_reading_studies(tmp_path, refused):
    study = make_disc_study(tmp_path / "froc", "froc", readers=READERS, n_cases=24)
    assert "design froc" in refused("human", study.path)
    empty = make_disc_study(tmp_path / "empty", "2afc", readers=READERS, n_cases=24)
    with AnswerBook(empty.path / ANSWERS) as book:
        book.bind(empty.digest)
    assert "nobody has answered" in refused("human", empty.path)
    assert "no reading study" in refused("human", tmp_path)


ROW = ("a", "Ann", "10", "8", "", "", "", "p.npy", "a.npy")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no lines below its header"),
        ([ROW, ROW], "stand on an earlier line"),
        ([(*ROW[:3], "11", *ROW[4:])], "n_correct is '11'; give a whole number from 0 to 10"),
        ([(*ROW[:2], "1.5", *ROW[3:])], "n_trials is '1.5'"),
        ([(*ROW[:2], "nan", *ROW[3:])], "n_trials is 'nan'"),
        ([("", *ROW[1:])], "condition is empty"),
        ([(*ROW[:7], "", "")], "names its present images"),
        ([ROW, ("a", "Bo", *ROW[2:7], "q.npy", "a.npy")], "more than one present"),
        ([ROW[:5]], "5 fields; the header has 9"),
        ([(*ROW[:4], "big", *ROW[5:])], "size_mm is 'big'"),
    ],
)
def test_tables_that_are_refused_in_one_line(tmp_path, refused, rows, words):
    assert words in refused("human", write_table(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("condition", "reader", "n_trials", "n_correct", "present"), "the column 'absent' is missing"),
        (("condition", "reader", "hits", "present", "absent"), "unknown column 'hits'"),
        (("condition", "reader", "n_trials", "n_correct", "auc", "present", "absent"), "give either the columns"),
        (("condition", "condition", "n_trials", "n_correct", "present", "absent"), "a column stands twice"),
    ],
)
def test_headers_that_are_refused(tmp_path, refused, columns, words):
    assert words in refused("human", write_table(tmp_path / "t.csv", [], columns))


def test_options_that_are_refused(tmp_path, refused, panel):
    assert "no such file" in refused("human", tmp_path / "none.csv")
    assert "unknown observer" in refused("human", panel, "--observer", "eagle", "--pixel-mm", 0.7)
    assert "takes no fitted noise" in refused("human", panel, "--observer", "ho", "--pixel-mm", 0.7)
    assert "--noise is 'loud'" in refused("human", panel, "--noise", "loud")
    assert "give --pixel-mm" in refused("human", panel)
    assert "is not for npwe" in refused("human", panel, "--observer", "npwe", "--pixel-mm", 0.7, "--noise", "channels")
    assert "--run is for a reading study" in refused("human", panel, "--run", tmp_path)
    (tmp_path / "there.json").write_text("{}")
    assert "nothing is overwritten" in refused("human", panel, "--out", tmp_path / "there.json")
