"""Internal noise as `taskct human` fits it, for tests that need some."""

from taskct.observers.internal_noise import FittedNoise

HUMAN_NOISE = FittedNoise(
    observer="cho_lg",
    settings={"width_px": 4.0, "n_channels": 3},
    kind="proportional",
    alpha=0.5,
    ci_low=0.3,
    ci_high=0.7,
    confidence=0.95,
    pixel_mm=0.7,
    viewing_distance_mm=500.0,
    magnification=1.0,
)
