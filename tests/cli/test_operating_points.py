"""`taskct mrmc --cutoff` and `--clusters`: what is printed, written and refused."""

import csv
import json

import numpy as np
import pytest

from command_line import call, refused
from taskct.io.ratings_files import read_clustered_ratings, write_imrmc, write_ratings_csv
from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_difference, clustered_readers_interval
from taskct.metrics.mrmc import Design, RoeMetz
from taskct.metrics.mrmc.cutoffs import operating_points
from taskct.metrics.roc import delong_interval

__all__ = ["call", "refused"]  # fixtures


@pytest.fixture
def study():
    """Two modalities, 4 readers, 30 cases of each class, two of each in every cluster."""
    return RoeMetz.published("HL", 0.855, mu=(1.9, 1.4)).simulate(np.random.default_rng(2), Design(4, 30, 30))


@pytest.fixture
def files(study, tmp_path):
    """Ratings as `.imrmc` and the table of their clusters."""
    write_imrmc(tmp_path / "study.imrmc", study)
    rows = "".join(f"{case},patient {index % 30 // 2}\n" for index, case in enumerate(study.cases))
    (tmp_path / "clusters.csv").write_text(f"case,cluster\n{rows}")
    return tmp_path


def test_rates_at_a_cutoff_are_printed_and_written(call, files, study):
    args = ("mrmc", files / "study.imrmc", "--cutoff", "0.8", "--cutoff", "reader2=1.1", "--margin", "0.1")
    code, out, err = call(*args, "--page", files / "page.html")
    assert code == 0, err
    assert "Sensitivity of A" in out
    assert "Specificity of A not inferior to that of B within 0.1: " in out
    expected = operating_points(study, np.array([0.8, 1.1, 0.8, 0.8]))
    value = expected.sensitivity.modalities["A"].interval
    assert f"{value.value:.3f} [{value.ci_low:.3f}, {value.ci_high:.3f}]" in out
    page = (files / "page.html").read_text()
    assert "Sensitivity and specificity" in page
    assert "reader2" not in page.replace("reader 2", "")
    content = json.loads(call(*args, "--json")[1])["operating_points"]
    assert content["cutoffs"] == {"reader1": 0.8, "reader2": 1.1, "reader3": 0.8, "reader4": 0.8}
    two = content["specificity"]["differences"]["A-B"]
    assert two["p_value"] == pytest.approx(expected.specificity.differences["A-B"].p_value)
    both = [content[measure]["differences"]["A-B"] for measure in ("sensitivity", "specificity")]
    assert min(one["p_holm"] for one in both) == pytest.approx(min(1.0, 2.0 * min(one["p_value"] for one in both)))
    assert (two["p_not_inferior"] < 0.025) == (two["interval"]["ci_low"] > -0.1)


def test_a_program_is_no_part_of_the_averages(call, files, study):
    args = ("mrmc", files / "study.imrmc", "--cutoff", "0.8", "--json")
    whole = json.loads(call(*args)[1])["operating_points"]
    people = json.loads(call(*args, "--program", "reader4")[1])["operating_points"]
    expected = operating_points(study.part(readers=[0, 1, 2]), np.full(3, 0.8))
    value = expected.sensitivity.modalities["A"].interval.value
    assert people["sensitivity"]["modalities"]["A"]["interval"]["value"] == pytest.approx(value)
    assert people["sensitivity"]["readers"] == whole["sensitivity"]["readers"]


@pytest.mark.parametrize(
    ("cutoffs", "words"),
    [
        (("high",), "give a score such as 3.5"),
        (("1_0",), "give a score such as 3.5"),
        (("inf",), "give a score such as 3.5"),
        (("anna=1",), "no such reader; there are reader1"),
        (("reader1=1", "reader1=2"), "has one already"),
        (("1", "2"), "given twice"),
        (("reader1=1",), "lacks reader2, reader3, reader4"),
    ],
)
def test_a_wrong_cutoff_is_one_line(refused, files, cutoffs, words):
    options = [part for cutoff in cutoffs for part in ("--cutoff", cutoff)]
    assert words in refused("mrmc", files / "study.imrmc", *options)


def test_a_cutoff_beyond_all_scores_is_said(call, files):
    _, _, err = call("mrmc", files / "study.imrmc", "--cutoff", "99")
    assert "all scores of 4 readers lie below the cut-off" in err
    assert "every answer is the same" in err


def test_aucs_with_clusters_are_those_of_clustered_readers(call, files, study):
    args = ("mrmc", files / "study.imrmc", "--clusters", files / "clusters.csv", "--cutoff", "0.8", "--margin", "0.1")
    code, out, err = call(*args)
    assert code == 0, err
    assert "60 cases are of 15 clusters." in out
    assert "the first table count cases as independent" in err
    content = json.loads(call(*args, "--json")[1])
    labels = np.arange(60) % 30 // 2
    present, absent = study.scores[..., :30], study.scores[..., 30:]
    clusters = Clusters.of(labels[:30], labels[30:])
    expected = clustered_readers_interval(present[0], absent[0], clusters)
    assert content["clustered"]["modalities"]["A"]["ci_low"] == pytest.approx(expected.ci_low)
    difference, _ = clustered_readers_difference(present, absent, clusters)
    found = content["clustered"]["differences"]["A-B"]
    assert found["p_value"] == pytest.approx(difference.p_value)
    assert found["non_inferiority"]["shown"] == (found["interval"]["ci_low"] > -0.1)
    rates = operating_points(study, np.full(4, 0.8), clusters=labels)
    low = content["operating_points"]["sensitivity"]["modalities"]["A"]["interval"]["ci_low"]
    assert low == pytest.approx(rates.sensitivity.modalities["A"].interval.ci_low)


def test_one_reader_has_the_clustered_interval_of_delong(call, tmp_path, study):
    one, labels = study.part(readers=[0]), np.arange(60) % 30 // 2
    write_ratings_csv(tmp_path / "one.csv", one, clusters=labels)
    content = json.loads(call("mrmc", tmp_path / "one.csv", "--json")[1])["clustered"]
    expected = delong_interval(one.scores[0, 0, :30], one.scores[0, 0, 30:], Clusters.of(labels[:30], labels[30:]))
    assert content["modalities"]["A"]["ci_high"] == pytest.approx(expected.ci_high)


def test_clusters_are_exported_and_not_given_twice(call, refused, files):
    args = ("mrmc", files / "study.imrmc", "--clusters", files / "clusters.csv")
    assert call(*args, "--export", files / "out.csv")[0] == 0
    _, clusters = read_clustered_ratings(files / "out.csv")
    assert clusters.tolist() == (np.arange(60) % 30 // 2).tolist()
    line = refused("mrmc", files / "out.csv", "--clusters", files / "clusters.csv")
    assert "leave --clusters out" in line
    (files / "clusters.csv").write_text("case,cluster\npresent1,x\n")
    assert "(59 cases lack one)" in refused(*args)


def test_missing_ratings_leave_aucs_without_clusters(call, files, study):
    study.scores[0, 0, 0] = np.nan
    write_ratings_csv(files / "part.csv", study)
    code, out, err = call("mrmc", files / "part.csv", "--clusters", files / "clusters.csv", "--cutoff", "0.8")
    assert code == 0, err
    assert "AUC with clusters needs every reader to rate every case" in err
    assert "sensitivity" in out


@pytest.mark.parametrize("unit", ["trial", "background"])
def test_a_run_says_itself_which_trials_share_a_background(call, refused, tmp_path, unit):
    rng, folder = np.random.default_rng(5), tmp_path / "run"
    folder.mkdir()
    (folder / "task.json").write_text(json.dumps({"resampling": {"unit": unit}}))
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = ["arm", "lambda", "seed", "observer", "fitted", "trial", "signal_present", "test_statistic", "case"]
        writer.writerow(names)
        for arm in ("mse", "low-dose"):
            for seed in (0, 1, 2):
                for i in range(40):
                    writer.writerow([arm, "", seed, "ho", "fresh", i, i % 2, rng.normal() + i % 2, 100 + i // 4])
    args = ("mrmc", folder, "--observer", "ho")
    code, out, err = call(*args)
    assert code == 0, err
    assert ("40 cases are of 10 clusters." in out) == (unit == "background")
    assert "retraining.json" not in err
    (tmp_path / "clusters.csv").write_text("case,cluster\n0,1\n")
    assert "leave --clusters out" in refused(*args, "--clusters", tmp_path / "clusters.csv")
