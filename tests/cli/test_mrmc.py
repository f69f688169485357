"""`taskct mrmc`: choosing arms, each reader's AUC, seeds as readers, and what is left out."""

import csv
import json
import re

import numpy as np
import pytest
from scipy.stats import t

from command_line import call, refused
from taskct.io.ratings_files import read_imrmc, write_imrmc
from taskct.metrics.comparisons import holm
from taskct.metrics.mrmc import Design, RoeMetz, analyze
from taskct.metrics.roc import delong_interval

__all__ = ["call", "refused"]  # fixtures

ARMS = ("lambda=0", "lambda=0.9", "tv")
SEEDS = (0, 1, 2)


@pytest.fixture
def run(tmp_path):
    """A run folder with the test statistics of two observers on three arms; tv has one seed."""
    rng, present = np.random.default_rng(4), np.arange(80) % 2 == 0
    trial = rng.normal(size=80) + 1.3 * present
    folder = tmp_path / "run"
    folder.mkdir()
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic"])
        for arm in ARMS:
            for seed in SEEDS if arm != "tv" else (0,):
                for observer in ("ho", "npw"):
                    for i, value in enumerate(trial + rng.normal(size=80)):
                        writer.writerow([arm, "", seed, observer, "fresh", i, int(present[i]), f"{value:.9g}"])
    return folder


@pytest.fixture
def three(tmp_path):
    """A study of three modalities in an `.imrmc` file."""
    model = RoeMetz.published("HH", 0.855, mu=(2.0, 1.5, 1.0))
    ratings = model.simulate(np.random.default_rng(3), Design(4, 15, 15))
    path = tmp_path / "three.imrmc"
    write_imrmc(path, ratings)
    return path


def test_readers_of_a_run_are_training_seeds_and_are_called_so(call, run):
    code, out, err = call("mrmc", run, "--observer", "ho", "--detect", 0.1)
    assert code == 0, err
    assert "3 training seeds, 40 cases with the signal, 40 without; fully crossed" in out
    assert "Each training seed, with an interval of the choice of cases alone" in out
    assert "Obuchowski-Rockette, random training seeds and cases" in out
    assert re.search(r"training seeds +present +absent +power", out)
    assert re.search(r"training seeds +present +absent +present × absent", out)
    # tv has a single seed: it is named, its AUC is shown, and the others are compared.
    assert "note: tv: left out of averages and differences" in err
    assert "only training seed 'seed 0'" in err
    assert re.search(r"^tv +seed 0 +0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]$", out, re.MULTILINE)
    assert not re.search(r"^lambda=0-tv", out, re.MULTILINE)
    assert not re.search(r"\breaders?\b", out + err)


def test_arms_are_chosen(call, refused, run):
    args = ("mrmc", run, "--observer", "ho")
    code, out, err = call(*args, "--arm", "lambda=0.9", "--versus", "lambda=0", "--json")
    assert code == 0, err
    content = json.loads(out)
    assert list(content["modalities"]) == ["lambda=0.9", "lambda=0"]
    assert list(content["differences"]) == ["lambda=0.9-lambda=0"]
    assert content["reader_kind"] == "training seed"
    whole = json.loads(call(*args, "--json")[1])["differences"]["lambda=0-lambda=0.9"]
    assert content["differences"]["lambda=0.9-lambda=0"]["auc"] == pytest.approx(-whole["auc"])
    line = refused(*args, "--arm", "lambda=0.8", "--versus", "lambda=0")
    assert "--arm lambda=0.8: " in line
    assert "there are lambda=0, lambda=0.9, tv" in line
    assert "--versus fbp: " in refused(*args, "--versus", "fbp")
    assert "named by --arm and by --versus" in refused(*args, "--arm", "tv", "--versus", "tv")


def test_pairs_of_chosen_modalities(call, refused, three):
    def pairs(*args):
        code, out, err = call("mrmc", three, *args, "--json")
        assert code == 0, err
        return json.loads(out)["differences"]

    assert list(pairs()) == ["A-B", "A-C", "B-C"]
    assert list(pairs("--arm", "C", "--arm", "A")) == ["C-A"]
    against = pairs("--versus", "C")
    assert list(against) == ["A-C", "B-C"]
    # Holm's adjustment counts the comparisons that are made.
    assert [x["p_holm"] for x in against.values()] == pytest.approx(
        holm([x["p_value_interval"] for x in against.values()])
    )
    assert list(pairs("--arm", "C", "--versus", "A", "--versus", "B")) == ["C-A", "C-B"]
    assert list(pairs("--arm", "B")) == []
    assert "name those to compare" in refused("mrmc", three, "--versus", "A", "--versus", "B", "--versus", "C")


def test_a_constant_modality_can_be_left_out(call, refused, three, tmp_path):
    ratings = read_imrmc(three)
    ratings.scores[1] = 3.0
    path = tmp_path / "constant.imrmc"
    write_imrmc(path, ratings)
    assert "leave the modality out by choosing others with --arm" in refused("mrmc", path)
    assert call("mrmc", path, "--arm", "A", "--versus", "C")[0] == 0


def test_each_readers_auc_stands_in_the_table_and_in_json(call, three):
    ratings = read_imrmc(three)
    code, out, err = call("mrmc", three, "--confidence", 0.9)
    assert code == 0, err
    readers = json.loads(call("mrmc", three, "--confidence", 0.9, "--json")[1])["readers"]
    truth = ratings.signal_present
    for m, modality in enumerate(ratings.modalities):
        for r, reader in enumerate(ratings.readers):
            scores = ratings.scores[m, r]
            wanted = delong_interval(scores[truth], scores[~truth], confidence=0.9)
            found = readers[reader][modality]
            assert (found["auc"], found["ci_low"], found["ci_high"]) == pytest.approx(
                (wanted.value, wanted.ci_low, wanted.ci_high)
            )
            shown = f"{wanted.value:.4f} [{wanted.ci_low:.4f}, {wanted.ci_high:.4f}]"
            assert re.search(rf"^{modality} +{reader} +{re.escape(shown)}$", out, re.MULTILINE)
    assert "Each reader, with an interval" in out


def test_an_unrated_case_is_counted_and_costs_nothing(call, three, tmp_path):
    path = tmp_path / "more.imrmc"
    path.write_text(three.read_text().replace("BEGIN DATA:\n", "BEGIN DATA:\n-1,extra,0,1\n"))
    whole, more = (json.loads(call("mrmc", p, "--json", "--detect", 0.1)[1]) for p in (three, path))
    assert more["n_unrated"] == 1
    assert more["fully_crossed"]
    for key in ("modalities", "differences", "readers", "n_present", "obuchowski_rockette", "sizes"):
        assert more[key] == whole[key], key
    assert more["notes"][0] == "the top of the file says N1: 15, but it holds 16 signal-present cases"
    assert (
        "left out, since nobody rated them in these modalities: 1 signal-present and 0 signal-absent cases"
        in more["notes"][1]
    )


def test_one_reader_against_several_is_named_and_the_rest_analysed(call, three, tmp_path):
    ratings = read_imrmc(three)
    ratings.scores[0, 1:], ratings.scores[1:, 0] = np.nan, np.nan
    path = tmp_path / "one.imrmc"
    write_imrmc(path, ratings)
    code, out, err = call("mrmc", path, "--json")
    assert code == 0, err
    content = json.loads(out)
    rest = ratings.part(modalities=[1, 2], readers=[1, 2, 3])
    found = analyze(rest).differences["B-C"]
    assert list(content["differences"]) == ["B-C"]
    assert content["differences"]["B-C"]["p_value"] == pytest.approx(found.p_value)
    assert content["obuchowski_rockette"]["n_cases"] == 30
    assert content["readers"]["reader1"]["A"]["auc"] is not None
    assert "only reader 'reader1'" in call("mrmc", path)[2]


def test_p_values_take_the_whole_part_and_the_other_stands_beside(call, three):
    part = json.loads(call("mrmc", three, "--margin", 0.1, "--json")[1])["differences"]["A-C"]
    std_error = part["interval_variance"] ** 0.5
    assert part["df_whole"] == int(part["df_bdg"]) != part["df_bdg"]
    assert part["p_value"] == pytest.approx(2.0 * t.sf(abs(part["auc"]) / std_error, part["df_whole"]))
    assert part["p_value_fractional"] == pytest.approx(2.0 * t.sf(abs(part["auc"]) / std_error, part["df_bdg"]))
    low = part["auc"] - t.isf(0.025, part["df_whole"]) * std_error
    assert part["ci_low_symmetric"] == pytest.approx(low)
    assert part["non-inferiority"]["ci_low"] == part["ci_low"] != part["ci_low_symmetric"]
    assert part["law"]["error"]["df_readers"] == 3.0


def test_trials_that_share_backgrounds_are_told(call, refused, run):
    args = ("mrmc", run, "--observer", "ho")
    (run / "task.json").write_text(json.dumps({"resampling": {"unit": "trial"}}))
    assert "share" not in call(*args)[2]
    (run / "task.json").write_text(json.dumps({"resampling": {"unit": "background"}}))
    assert "the test trials of this run share backgrounds" in call(*args)[2]
    (run / "task.json").write_text(json.dumps({"n_trials": {}}))
    assert "task.json: broken" in refused(*args)


def test_a_study_is_sized_for_the_confidence_that_is_asked(call, three):
    """99 % needs more cases than 95 %, in the list, in the table and with a test of size 0.01."""
    found = [
        json.loads(call("mrmc", three, "--detect", 0.1, "--confidence", level, "--json")[1]) for level in (0.95, 0.99)
    ]
    usual, sure = (content["sizes"]["A-B"][3]["present"] for content in found)
    assert sure > usual
    first = [content["size_grid"]["studies"]["A-B"]["fully_crossed"][0] for content in found]
    assert first[0]["power"] > first[1]["power"] or first[0]["present"] < first[1]["present"]


def test_few_cases_are_told(call, three):
    assert "15 cases of a class are few" in call("mrmc", three)[2]
