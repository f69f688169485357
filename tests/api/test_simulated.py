"""Trials of a study in memory."""

import numpy as np
import pytest

import taskct
from taskct.simulation.simulate import simulate_store
from taskct.trials.store import read_trials
from taskct.trials.trials import SPLITS
from tiny_study import TINY, tiny_settings, tiny_yaml

SECTIONS = {name: value for name, value in TINY.items() if name in ("background", "signal", "scanner", "trials")}


def test_they_are_those_of_a_run_folder(tmp_path, capsys):
    """Bit by bit, from settings given section by section."""
    seen = []
    made = taskct.simulate("demo", device="cpu", progress=lambda *told: seen.append(told), **SECTIONS)
    assert capsys.readouterr() == ("", "")
    assert seen[-1] == (160, 160, "test")
    simulate_store(tmp_path / "trials", tiny_settings())
    assert list(made) == list(SPLITS)
    for name, trials in made.items():
        stored = read_trials(tmp_path / "trials", name)
        np.testing.assert_array_equal(trials.noisy, stored.noisy)
        np.testing.assert_array_equal(trials.reference, stored.reference)
        np.testing.assert_array_equal(trials.signal_present, stored.signal_present)
        assert {key: column.tobytes() for key, column in trials.truth.items()} == {
            key: column.tobytes() for key, column in stored.truth.items()
        }
        assert (trials.margin, trials.pixel_mm) == (2, 1.0)


def test_a_study_from_a_file_settings_or_a_preset(tmp_path):
    file = tiny_yaml(tmp_path / "tiny.yaml")
    settings = taskct.read_study(file)
    assert settings == taskct.read_study(str(file)) == tiny_settings()
    assert taskct.read_study(settings, seed=3) == tiny_settings(seed=3)
    assert taskct.read_study("smoke", trials={"n_test": 300}).trials.n_test == 300
    assert taskct.read_study().name == "demo"
    one, same, other = (taskct.simulate(settings, device="cpu", seed=seed)["test"].noisy for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_what_is_no_study():
    with pytest.raises(taskct.UserError, match=r"^no study 'smok': give a \.yaml file, or one of the presets .*smoke"):
        taskct.simulate("smok")
    with pytest.raises(taskct.UserError, match=r"none\.yaml"):
        taskct.simulate("none.yaml")
    with pytest.raises(taskct.UserError, match=r"unknown setting scanner\.dose: did you mean"):
        taskct.simulate("smoke", scanner={"dose": 0.1})
    with pytest.raises(taskct.UserError, match="unknown setting progres"):
        taskct.simulate("smoke", progres=print)
    with pytest.raises(taskct.UserError, match="choose auto, cpu or cuda"):
        taskct.simulate("smoke", device="gpu")
