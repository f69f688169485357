"""What the signal of a trial adds to its image, told by the simulation, and the trial with the other truth."""

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.simulation.simulate import simulate
from taskct.study.imports import N_TWINS
from taskct.trials.store import read_trials, write_trials
from taskct.trials.trials import Trials, select

SMALL = {
    "background": {"kind": "uniform", "body_mm": 200.0},
    "scanner": {"n_views": 60, "n_bins": 184, "bin_mm": 3.7, "object_pixels": 64, "object_pixel_mm": 4.0},
    "trials": {"n_train": 4, "n_validation": 4, "n_fresh": 24, "n_test": 4, "region_pixels": 24, "margin_pixels": 4},
    "signal": {"position_mm": 3.0},
}


def fresh(contrast_hu: float, **scanner: object) -> Trials:
    own = {"signal": {"contrast_hu": [contrast_hu, contrast_hu]}, "scanner": scanner}
    return simulate(make_settings(SMALL, own))["fresh"]


@pytest.mark.parametrize("scanner", [{}, {"energy": "poly"}, {"bin_offset": 0.25, "detector": "curved"}])
def test_signal_is_what_it_adds_to_the_reference(scanner: dict[str, object]) -> None:
    # The same objects and places with a tenth of the contrast: no code of the twins is in the difference of references.
    strong, faint = fresh(40.0, **scanner), fresh(4.0, **scanner)
    assert strong.signal is not None
    present = strong.signal_present
    assert present.any()
    np.testing.assert_array_equal(present, faint.signal_present)
    added = strong.reference - faint.reference
    np.testing.assert_allclose(0.9 * strong.signal[present], added[present], atol=0.02)
    assert np.abs(added[~present]).max() < 0.02
    # Where it is absent it is what it would have been: of the same size, at its own place.
    size = strong.signal.sum(axis=(1, 2))
    weight = np.pi / 4 * strong.truth["diameter_mm"] ** 2 * 40.0
    np.testing.assert_allclose(size / weight, np.median(size / weight), rtol=0.1)


def test_twin_has_the_other_truth_and_the_same_noise() -> None:
    trials = fresh(40.0)
    twins = trials.twins
    assert twins is not None
    np.testing.assert_array_equal(twins.signal_present, ~trials.signal_present)
    np.testing.assert_allclose(twins.noisy - twins.reference, trials.noisy - trials.reference, atol=1e-3)
    back = twins.twins
    assert back is not None
    np.testing.assert_allclose(back.noisy, trials.noisy, atol=1e-3)
    few = select(trials, slice(min(3, N_TWINS))).twins
    assert few is not None
    np.testing.assert_array_equal(few.noisy, twins.noisy[:3])


def test_store_keeps_signals_where_there_are_some(tmp_path) -> None:
    splits = simulate(make_settings(SMALL))
    assert [name for name, trials in splits.items() if trials.signal is not None] == ["fresh"]
    write_trials(tmp_path / "trials", splits)
    assert read_trials(tmp_path / "trials", "test").signal is None
    read = read_trials(tmp_path / "trials", "fresh")
    np.testing.assert_array_equal(read.signal, splits["fresh"].signal)


def test_no_twins_where_the_other_trials_hold_a_signal_of_their_own() -> None:
    splits = simulate(make_settings(SMALL, {"absent_signal": {"inserted": True}}))
    assert splits["fresh"].signal is None
    assert splits["fresh"].twins is None


def test_signal_of_another_shape_is_refused() -> None:
    trials = fresh(40.0)
    with pytest.raises(ValueError, match="signal has shape"):
        Trials(trials.noisy, trials.reference, trials.signal_present, trials.truth, signal=trials.noisy[:, 1:])
