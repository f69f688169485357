"""Whole slices hold the trials of the store at their places."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.simulation.simulate import simulate
from taskct.simulation.whole import WholeSlices
from taskct.trials.store import CHUNK_TRIALS
from tiny_study import tiny_settings

SMALL = {"n_train": 4, "n_validation": 20, "n_fresh": 12, "n_test": 8, "region_pixels": 20, "margin_pixels": 2}


@pytest.mark.parametrize(
    "scanner",
    [
        {},
        {"region_count": 3, "region_step_mm": 30.0},
        {"region_count": 2, "region_step_mm": 60.0, "bin_offset": 0.25},
        {"pixel_mm": 2.0, "energy": "poly", "exposure": "noise"},
    ],
    ids=["one place", "nine places", "four places", "a spectrum"],
)
def test_windows_of_the_slices_are_the_trials(scanner):
    settings = tiny_settings(scanner=scanner, trials={**SMALL, "n_validation": CHUNK_TRIALS // 4})
    trials, whole = simulate(settings), WholeSlices(settings, "cpu")
    assert whole.side * settings.scanner.pixel_mm <= whole.maker.scanner.geometry.field_of_view_mm
    for split in ("validation", "test"):
        first = 0
        for slices, corners in whole.slices(split):
            for image, (row, column) in zip(slices, corners, strict=True):
                window = image[row : row + whole.window, column : column + whole.window]
                assert np.abs(window - trials[split].noisy[first]).max() < 0.02
                first += 1
        assert first == len(trials[split])
    truth = {name: column[:3] for name, column in trials["fresh"].truth.items()}
    for image, place in zip(whole.signals(truth), range(3), strict=True):
        centers = [truth["region_y_mm"][place], truth["region_x_mm"][place]]
        row, column = (round(c / settings.scanner.pixel_mm + (whole.side - whole.window) / 2) for c in centers)
        window = image[row : row + whole.window, column : column + whole.window]
        assert np.abs(window - whole.maker.scanner.signals_of(truth)[place]).max() < 0.02


def test_places_between_pixels_are_refused():
    settings = tiny_settings(scanner={"region_count": 3, "region_step_mm": 30.5}, trials=SMALL)
    with pytest.raises(UserError, match="on one grid of pixels"):
        WholeSlices(settings, "cpu")
