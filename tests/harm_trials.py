"""Test trials with signals of two contrasts on smooth backgrounds in white noise, and their meter of harm."""

import numpy as np
from scipy import ndimage

from taskct.config import make_settings
from taskct.study.harm import HarmMeter
from taskct.tasks.shapes import render, signal_site
from taskct.tasks.signals import SignalRanges, draw_signals
from taskct.trials.trials import Trials

N, SIDE, PIXEL_MM = 400, 48, 0.8
NOISE_HU = 12.0


def study(inserted: bool = False):
    return make_settings(
        {
            "signal": {"contrast_hu": [-60, -20], "diameter_mm": [4, 7]},
            "absent_signal": {"inserted": inserted},
            "scanner": {"pixel_mm": PIXEL_MM},
            "trials": {"region_pixels": SIDE, "margin_pixels": 0},
            "evaluation": {"n_bootstrap": 200},
        }
    )


def make_trials() -> Trials:
    rng = np.random.default_rng(0)
    ranges = SignalRanges(["disc"], contrast_hu=(-60, -20), diameter_mm=(4, 7))
    signals = draw_signals(rng, N, ranges)
    columns = signals.columns() | {"x_mm": rng.uniform(-6, 6, N), "y_mm": rng.uniform(-6, 6, N)}
    truth = columns | {name: np.zeros(N) for name in ("region_x_mm", "region_y_mm")} | {"case": np.arange(float(N))}
    present = np.arange(N) % 2 == 0
    placed = type(signals).from_columns(truth)
    drawn = render(placed, n_pixels=SIDE, pixel_mm=PIXEL_MM, placed=True) * present[:, None, None]
    background = ndimage.gaussian_filter(rng.normal(0.0, 30.0, (N, SIDE, SIDE)), (0, 2, 2), mode="wrap")
    reference = (40.0 + background + drawn).astype(np.float32)
    noisy = reference + rng.normal(0.0, NOISE_HU, reference.shape).astype(np.float32)
    return Trials(noisy, reference, present, truth | {"inserted": present.astype(float)})


def make_meter(test_trials: Trials) -> HarmMeter:
    signals = type(draw_signals(np.random.default_rng(0), 1, SignalRanges(["disc"], (1, 1), (1, 1))))
    site = signal_site(signals.from_columns(test_trials.truth), n_pixels=SIDE, pixel_mm=PIXEL_MM)
    return HarmMeter(study(), test_trials, site)
