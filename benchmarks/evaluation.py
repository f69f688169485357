"""Speed of evaluating one arm at the sizes of the demo, and what each further arm costs.

    .venv/bin/python benchmarks/evaluation.py

Observers on 2,000 + 1,000 trials of 52² pixels, and image quality of 4,000 trials. The peers do less, in the same run:
scikit-learn's LogisticRegression (lbfgs, each strength from the one before) over the same path of weight decays, with
its own tolerance and with one that comes nearer to the precision of the SLNN's; its LinearDiscriminantAnalysis
(solver="eigen") for ONE shrinkage where we take eight ridges; SSIM of torchmetrics on the same images. No peer chooses
anything or scores a trial.
"""

import warnings

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from timing import seconds
from torchmetrics.functional.image import structural_similarity_index_measure

from taskct.metrics.image_quality import mse_hu2, peak_disc_hu, psnr_db, site_bias_hu, ssim
from taskct.observers import SLNN, Hotelling, HotellingEye, SmallSampleWarning
from taskct.observers.base import TrainingTrials
from taskct.observers.choice import fit_chosen

SIDE, N_FRESH, N_VALIDATION, N_TEST = 52, 2000, 1000, 4000
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
WEIGHT_DECAYS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
RANGE = {"data_range_hu": 400.0, "low_hu": -160.0}
ARMS = (1, 2, 4)


def draw(n_trials, seed):
    """Anatomy that is smooth, noise that is less so, as a denoiser leaves it, and a weak disc near the middle."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))

    def texture(cutoff, std_hu):
        white = np.fft.rfft2(rng.standard_normal((n_trials, SIDE, SIDE), dtype=np.float32))
        smooth = np.fft.irfft2(white * np.exp(-((frequency / cutoff) ** 2)), s=(SIDE, SIDE))
        return (std_hu / smooth.std() * smooth).astype(np.float32)

    reference, noise = texture(0.05, 12.0), texture(0.3, 10.0)
    signal_present = np.arange(n_trials) % 2 == 0
    axis = np.arange(SIDE) - (SIDE - 1) / 2.0
    site = np.empty(reference.shape, dtype=bool)
    for one, (x, y) in zip(site, rng.uniform(-6.0, 6.0, (n_trials, 2)), strict=True):
        one[:] = np.hypot(axis - x, axis[:, None] - y) <= 2.6
    reference[site & signal_present[:, None, None]] += 30.0
    return reference + noise, reference, signal_present, site


def main():
    for category in (SmallSampleWarning, ConvergenceWarning):
        warnings.simplefilter("ignore", category)
    fresh, _, fresh_present, _ = draw(N_FRESH, 0)
    unseen, _, truth, _ = draw(N_VALIDATION, 1)
    test, reference, _, site = draw(N_TEST, 2)
    eye = HotellingEye(pixel_mm=1.0, viewing_distance_mm=1500.0, internal_noise_hu=3.0)
    paths = {"SLNN": (SLNN(), WEIGHT_DECAYS), "Hotelling": (Hotelling(), RIDGES), "behind the eye": (eye, RIDGES)}

    def fit(names, trials):
        for name in names:
            observer, values = paths[name]
            fit_chosen(observer, trials, validation=(unseen, truth), values=values).observer.test_statistic(test)

    def trials():
        return TrainingTrials.of(fresh, fresh_present)

    def quality():
        mse_hu2(test, reference)
        psnr_db(test, reference, data_range_hu=RANGE["data_range_hu"])
        ssim(test, reference, **RANGE)
        site_bias_hu(test, reference, site)
        peak_disc_hu(test - reference, diameter_px=5.25)

    def arm():
        fit(paths, trials())
        quality()

    pixels = fresh.reshape(N_FRESH, -1).astype(float)
    scaled = (pixels - pixels.mean(axis=0)) / (pixels - pixels.mean(axis=0)).std()

    def logistic_path(tolerance):
        model = LogisticRegression(warm_start=True, max_iter=5000, tol=tolerance)
        for weight_decay in sorted(WEIGHT_DECAYS, reverse=True):
            model.set_params(C=1.0 / (N_FRESH * weight_decay)).fit(scaled, fresh_present)

    def lda():
        LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.5).fit(pixels, fresh_present)

    def similarity():
        for start in range(0, N_TEST, 100):
            x, y = (torch.from_numpy((i[start : start + 100] + 160.0) / 400.0)[:, None] for i in (test, reference))
            structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")

    print(f"{N_FRESH} + {N_VALIDATION} + {N_TEST} trials of {SIDE}² pixels, {torch.get_num_threads()} threads")
    alone = {name: seconds(lambda n=name: fit([n], trials())) for name in paths}
    peers = {
        "logistic path, tol 1e-4": lambda: logistic_path(1e-4),
        "logistic path, tol 1e-9": lambda: logistic_path(1e-9),
        "LDA, one shrinkage": lda,
        "SSIM of torchmetrics": similarity,
    }
    took = {name: seconds(work, 1, warm_up=False) for name, work in peers.items()}
    own = seconds(lambda: ssim(test, reference, **RANGE))
    rows = [
        ("SLNN, 7 weight decays", alone["SLNN"], "logistic path, tol 1e-4"),
        ("SLNN, 7 weight decays", alone["SLNN"], "logistic path, tol 1e-9"),
        ("Hotelling, 8 ridges", alone["Hotelling"], "LDA, one shrinkage"),
        ("behind the eye, 8 ridges", alone["behind the eye"], "LDA, one shrinkage"),
        ("SSIM", own, "SSIM of torchmetrics"),
    ]
    for name, mine, peer in rows:
        print(f"{name}: {mine:.2f} s; {peer} {took[peer]:.2f} s; ratio {took[peer] / mine:.1f}")
    together = seconds(lambda: fit(paths, trials()))
    print(f"the three on shared trials: {together:.2f} s; one by one {sum(alone.values()):.2f} s")
    print(f"all of image quality: {seconds(quality):.2f} s")
    for n in ARMS:
        whole = seconds(lambda n=n: [arm() for _ in range(n)], 1)
        print(f"{n} arms: {whole:.2f} s, {whole / n:.2f} s each")


if __name__ == "__main__":
    main()
