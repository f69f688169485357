"""What a denoiser changes: contrast, noise, resolution and detection efficiency, on images where each is known."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from taskct.config import make_settings
from taskct.metrics.spectra import cross_power, first_below, frequencies_per_mm, noise_power
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm
from taskct.study.efficiency import efficiency
from taskct.study.harm import HarmMeter
from taskct.study.resampling import Unit
from taskct.tasks.shapes import render, signal_site
from taskct.tasks.signals import SignalRanges, Signals, draw_signals
from taskct.trials.trials import Trials
from validation.check import Check

N_STUDIES = 400
SIDE, N_TRIALS, SHARE, NOISE_HU = 16, 240, 0.6, 5.0
SETTINGS = make_settings(
    {
        "trials": {"region_pixels": SIDE, "margin_pixels": 0},
        "signal": {"site": "list", "contrast_hu": [20, 40]},
        "scanner": {"pixel_mm": 1.0},
        "evaluation": {"n_bootstrap": 400},
    }
)


def covering(n_backgrounds: int) -> tuple[float, float]:
    """Coverage of the intervals of contrast recovery and of noise: trials on so many backgrounds, each with its own."""
    present = np.arange(N_TRIALS) // 2 % 2 == 0
    case = np.arange(N_TRIALS) * n_backgrounds // N_TRIALS
    site = np.zeros((N_TRIALS, SIDE, SIDE), dtype=bool)
    site[:, 6:10, 6:10] = True
    kept = noise = 0
    for seed in range(N_STUDIES):
        rng = np.random.default_rng(seed)
        contrast = rng.uniform(20, 40, N_TRIALS)
        truth = {name: np.zeros(N_TRIALS) for name in ("region_x_mm", "region_y_mm", "x_mm", "y_mm")}
        truth |= {"case": case.astype(float), "diameter_mm": np.full(N_TRIALS, 4.0), "contrast_hu": contrast}
        signal = contrast[:, None, None] * (site & present[:, None, None])
        background = rng.normal(0.0, 8.0, (n_backgrounds, SIDE, SIDE))[case]
        # What a background does to its trials: the denoiser darkens or brightens all of them alike.
        own = rng.normal(0.0, 2.0, n_backgrounds)[case, None, None]
        error = own + rng.normal(0.0, NOISE_HU, signal.shape)
        reference = (background + signal).astype(np.float32)
        test = Trials(reference, reference, present, truth)
        found = HarmMeter(SETTINGS, test, site).of((background + SHARE * signal + error).astype(np.float32)).numbers
        recovery, size = found["contrast_recovery"], found["noise_hu"]
        kept += recovery["ci_low"] < SHARE < recovery["ci_high"]
        noise += size["ci_low"] < math.hypot(NOISE_HU, 2.0) < size["ci_high"]
    return kept / N_STUDIES, noise / N_STUDIES


def ratios(n_studies: int, d_a: tuple[float, float], correlation: float) -> float:
    """Coverage of the interval of a ratio of d_a² on binormal test statistics."""
    n = 1000
    present = np.arange(n) % 2 == 0
    unit, hits = Unit(present, None, n, True), 0
    for seed in range(n_studies):
        rng = np.random.default_rng(seed)
        common, own = rng.normal(size=n), rng.normal(size=(2, n))
        t = math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own + np.outer(d_a, present)
        results = [
            ArmResult(Arm(ArmName.parse(f"{name} seed=0")), {"ho": row}, {}, {}, {}, 1.0, None)
            for name, row in zip(("low-dose", "mse"), t, strict=True)
        ]
        ratio = efficiency(results, unit, chosen="none", seed=0)["rows"][1]["ratio"]
        hits += ratio["ci_low"] < (d_a[1] / d_a[0]) ** 2 < ratio["ci_high"]
    return hits / n_studies


def blurred_discs(sigma_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transfer function of a blur from discs on backgrounds that have nothing to do with them, and its frequencies."""
    rng, n, side = np.random.default_rng(0), 1000, 48
    y, x = np.mgrid[:side, :side]
    place = rng.uniform(18, 30, (n, 2, 1, 1))
    signal = 50.0 * (np.hypot(y - place[:, 0], x - place[:, 1]) < rng.uniform(2.0, 3.5, (n, 1, 1)))
    background = rng.normal(0.0, 20.0, signal.shape)
    image = ndimage.gaussian_filter(signal + background, (0, sigma_px, sigma_px), mode="wrap")
    shared, own = cross_power(signal, image, pixel_mm=1.0)
    return shared.sum(axis=0) / own.sum(axis=0), frequencies_per_mm((side, side), 1.0)


def covering_half(n_studies: int, sigma_px: float) -> float:
    """Coverage of the interval of the frequency at half, of discs on backgrounds of their own and a Gaussian blur."""
    n, side, pixel_mm = 400, 48, 0.8
    settings = make_settings(
        {
            "trials": {"region_pixels": side, "margin_pixels": 0},
            "signal": {"contrast_hu": [-60, -20], "diameter_mm": [4, 7]},
            "scanner": {"pixel_mm": pixel_mm},
            "evaluation": {"n_bootstrap": 200},
        }
    )
    present, hits = np.arange(n) % 2 == 0, 0
    ranges = SignalRanges(["disc"], contrast_hu=(-60, -20), diameter_mm=(4, 7))
    steepness = 2.0 * (math.pi * sigma_px * pixel_mm) ** 2
    # Half of what is left at the lowest frequency.
    half = math.sqrt(math.log(2.0) / steepness + (1.0 / (side * pixel_mm)) ** 2)
    for seed in range(n_studies):
        rng = np.random.default_rng(seed)
        truth = draw_signals(rng, n, ranges).columns()
        truth |= {"x_mm": rng.uniform(-6, 6, n), "y_mm": rng.uniform(-6, 6, n), "case": np.arange(float(n))}
        truth |= {"region_x_mm": np.zeros(n), "region_y_mm": np.zeros(n)}
        signals = Signals.from_columns(truth)
        drawn = render(signals, n_pixels=side, pixel_mm=pixel_mm, placed=True) * present[:, None, None]
        background = ndimage.gaussian_filter(rng.normal(0, 30, drawn.shape), (0, 2, 2), mode="wrap")
        reference = (background + drawn).astype(np.float32)
        meter = HarmMeter(
            settings,
            Trials(reference, reference, present, truth),
            signal_site(signals, n_pixels=side, pixel_mm=pixel_mm),
        )
        blurred = ndimage.gaussian_filter(reference, (0, sigma_px, sigma_px), mode="wrap")
        found = meter.of(blurred).numbers["ttf50_per_mm"]
        hits += found["ci_low"] < half < found["ci_high"]
    return hits / n_studies


def within(n: int, rate: float = 0.95) -> tuple[float, float]:
    """A rate give or take three standard errors of n studies."""
    error = 3.0 * math.sqrt(rate * (1.0 - rate) / n)
    return rate - error, min(rate + error, 1.0)


def checks() -> list[Check]:
    """Measure this area."""
    found = []
    for n_backgrounds, text in ((N_TRIALS, "each on a background of its own"), (60, "on 60 backgrounds")):
        kept, noise = covering(n_backgrounds)
        low, high = within(N_STUDIES)
        skewed = (
            "three standard errors, and 4 points: percentiles of a skewed mean square fall short, reported as it is"
        )
        for what, measured, short, basis in (
            ("contrast recovery", kept, 0.0, "three standard errors"),
            ("noise magnitude", noise, 0.04, skewed),
        ):
            claim = f"95 % interval of {what}, {N_TRIALS} trials {text}, {N_STUDIES} studies: coverage"
            found.append(Check(claim, low - short, high, measured, 0.95, basis))
    for d_a, correlation in (((1.0, 1.3), 0.8), ((1.0, 1.0), 0.0), ((2.0, 1.4), 0.5)):
        low, high = within(1000)
        areas = " and ".join(f"{float(ndtr(one / math.sqrt(2))):.3f}" for one in d_a)
        claim = (
            f"95 % interval of a ratio of d_a², AUCs of {areas}, 500 + 500 trials, correlation {correlation}, "
            "1,000 studies: coverage"
        )
        measured = ratios(1000, d_a, correlation)
        found.append(Check(claim, low, high, measured, 0.95, "three standard errors"))
    for sigma_px in (1.0, 1.5):
        curve, frequency = blurred_discs(sigma_px)
        half = math.sqrt(math.log(2.0) / 2.0) / (math.pi * sigma_px)
        measured = float(first_below(curve[None], frequency, 0.5)[0])
        claim = f"Gaussian blur of {sigma_px:g} mm, 1,000 discs: frequency at half of the transfer function, cycles/mm"
        found.append(Check(claim, 0.95 * half, 1.05 * half, measured, half, "5 %: rings, and the background's chance"))
    low, high = within(100)
    claim = "95 % interval of the frequency at half, Gaussian blur, 200 + 200 trials of discs, 100 studies: coverage"
    found.append(Check(claim, low, high, covering_half(100, 1.3), 0.95, "three standard errors"))
    noise = np.random.default_rng(1).normal(0.0, 7.0, (4000, 32, 32))
    power = noise_power(noise, pixel_mm=0.8).mean()
    expected = 49.0 * 0.64
    error = 3.0 * expected * math.sqrt(2.0 / (4000 * 32 * 32 * 0.7))
    claim = "white noise of 7 HU, pixels of 0.8 mm, 4,000 images: mean of the noise-power spectrum, HU² mm²"
    found.append(Check(claim, expected - 5 * error, expected + 5 * error, float(power), expected, "rings weigh alike"))
    return found
