"""What signals add to images, told from a truth table alone."""

import numpy as np

from taskct.simulation.scan import Scanner
from taskct.simulation.simulate import simulate_store
from taskct.trials.store import read_trials
from tiny_study import tiny_settings


def test_the_table_tells_what_a_scan_made_of_the_signals(tmp_path):
    """Of the fresh trials the scan itself kept it; of three places of the region each has its own."""
    settings = tiny_settings(scanner={"region_count": 2, "region_step_mm": 30.0})
    simulate_store(tmp_path / "trials", settings)
    fresh = read_trials(tmp_path / "trials", "fresh")
    assert len(np.unique(fresh.truth["region_x_mm"])) == 2
    found = Scanner(settings, "cpu").signals_of(fresh.truth)
    assert np.abs(found).max() > 1.0
    np.testing.assert_allclose(found, fresh.signal, atol=1e-3)
