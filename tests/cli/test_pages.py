"""Pages of `taskct observe`, `taskct mrmc` and `taskct compare`: what they say is what the commands found."""

import json

import numpy as np
import pytest

from command_line import call, refused
from taskct.io.ratings_files import write_imrmc
from taskct.metrics.mrmc import Design, RoeMetz
from taskct.metrics.mrmc.ratings import Ratings

__all__ = ["call", "refused"]  # fixtures


def _plain(path):
    text = path.read_text(encoding="utf-8")
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


def _interval(found, value, sign=""):
    return f"{found[value]:{sign}.3f} [{found['ci_low']:{sign}.3f}, {found['ci_high']:{sign}.3f}]"


@pytest.fixture
def stacks(tmp_path):
    """Images with and without a signal, and the same with more noise."""
    rng = np.random.default_rng(0)
    signal = 1.2 * np.exp(-(np.square(np.mgrid[:16, :16] - 7.5).sum(axis=0)) / 8)
    paths = []
    for name, noise in (("sharp", 1.0), ("noisy", 1.5)):
        for present in (True, False):
            path = tmp_path / f"{name}-{present}.npy"
            np.save(path, (rng.normal(0, noise, (160, 16, 16)) + present * signal).astype(np.float32))
            paths.append(path)
    return paths


def test_page_of_observers_has_the_numbers_of_the_json(call, stacks, tmp_path):
    out = tmp_path / "found"
    present, absent, other_present, other_absent = stacks
    options = ("--observers", "npw,cho-lg", "--pair-by", "name", "--training-sets", 1, "--out", out)
    code, _, err = call(
        "observe",
        "--present",
        present,
        "--absent",
        absent,
        "--versus",
        other_present,
        "--versus",
        other_absent,
        *options,
    )
    assert code == 0, err
    content, page = json.loads((out / "observe.json").read_text()), _plain(out / "observe.html")
    for name in ("npw", "cho-lg"):
        found = content["observers"][name]
        assert _interval(found, "auc") in page
        assert _interval(found["difference"], "delta_auc", "+") in page
    assert "Wagner and Brown" in page  # npw
    assert "Myers and Barrett" in page  # channels
    assert "DeLong: over test trials, for one training set [4]" in page
    assert "Gallas" not in page  # one training set: no reader
    assert "<script src" not in page
    assert str(tmp_path) not in page


@pytest.fixture
def named(tmp_path):
    """A reader study with names of people."""
    model = RoeMetz.published("HH", 0.855, mu=(2.0, 1.5))
    drawn = model.simulate(np.random.default_rng(3), Design(3, 20, 20))
    ratings = Ratings(
        drawn.scores,
        drawn.signal_present,
        modalities=("<b>new</b>", "old"),
        readers=("Grace Hopper", "Ada Lovelace", "Emmy Noether"),
        cases=drawn.cases,
    )
    path = tmp_path / "study.imrmc"
    write_imrmc(path, ratings)
    return path


def test_page_of_a_reader_study_numbers_its_readers(call, named, tmp_path):
    page_file = tmp_path / "page.html"
    code, out, err = call("mrmc", named, "--page", page_file, "--json")
    assert code == 0, err
    found, page = json.loads(out), _plain(page_file)
    (difference,) = found["differences"].values()
    assert _interval(difference, "auc", "+") in page
    for modality in found["modalities"].values():
        assert _interval(modality, "auc") in page
    for reader in found["readers"]:
        assert reader not in page
    assert "reader 3" in page
    assert "&lt;b&gt;new" in page
    assert "Gallas, Acad. Radiol." in page


def test_page_of_a_run_has_training_seeds(call, tmp_path):
    rng, present = np.random.default_rng(1), np.arange(60) % 2 == 0
    folder = tmp_path / "run"
    folder.mkdir()
    rows = ["arm,lambda,seed,observer,fitted,trial,signal_present,test_statistic"]
    for arm in ("lambda=0", "lambda=0.9"):
        for seed in (0, 1, 2):
            scores = rng.normal(size=60) + present
            rows += [f"{arm},,{seed},ho,fresh,{i},{int(present[i])},{score:.6g}" for i, score in enumerate(scores)]
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")
    page_file = tmp_path / "page.html"
    code, out, err = call("mrmc", folder, "--observer", "ho", "--page", page_file)
    assert code == 0, err
    assert f"Page: {page_file}" in out
    page = _plain(page_file)
    assert "3 training seeds, 30 cases with the signal and 30 without" in page
    assert "seed 2" in page
    assert "reader 1" not in page


def test_places_that_are_none_are_refused(refused, named, tmp_path):
    assert "is no folder: choose another --page" in refused("mrmc", named, "--page", tmp_path / "no" / "page.html")
    assert "is no folder: choose another --out" in refused("compare", "a", "b", "--out", tmp_path / "no" / "page.html")
    assert "give 2 to 26 to compare" in refused("compare", tmp_path, "--out", tmp_path / "page.html")
