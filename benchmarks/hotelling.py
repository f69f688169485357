"""Speed of the Hotelling observers on 64² pixels, with the choice of their regularisation.

    .venv/bin/python benchmarks/hotelling.py

The peer is scikit-learn's LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5), one fit without any choice. It
forms the covariance of all pixels whatever the number of trials, so it is run once.
"""

import warnings

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from timing import seconds

from taskct.observers.base import SmallSampleWarning
from taskct.observers.choice import RIDGES, fit_chosen
from taskct.observers.hotelling import Hotelling, HotellingEye, HotellingLedoitWolf, HotellingSVD

SIDE = 64
EIGHT_RIDGES = RIDGES[4:]


def draw(n_trials):
    """Noise that is smooth over some pixels and white beside that, and a weak blob."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    images = rng.standard_normal((n_trials, SIDE, SIDE), dtype=np.float32)
    smooth = np.fft.irfft2(np.fft.rfft2(images) * np.exp(-((frequency / 0.1) ** 2)), s=(SIDE, SIDE))
    images = (60.0 * smooth + 20.0 * rng.standard_normal(images.shape)).astype(np.float32)
    signal_present = np.arange(n_trials) % 2 == 0
    images[signal_present, 28:36, 28:36] += 6.0
    return images, signal_present


def main():
    warnings.simplefilter("ignore", SmallSampleWarning)
    images, signal_present = draw(500)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    took_peer = seconds(lambda: peer.fit(images.reshape(500, -1).astype(float), signal_present), 1, warm_up=False)
    print(f"500 trials: scikit-learn's LDA, one shrinkage, {took_peer:.2f} s")
    eye = HotellingEye(pixel_mm=0.7, internal_noise_hu=5.0)
    print(f"{SIDE}² pixels, {torch.get_num_threads()} threads")
    for n_trials in (100, 500, 1000, 10_000):
        images, signal_present = draw(n_trials)
        works = {
            "Hotelling, one ridge": lambda i=images, s=signal_present: Hotelling().fit(i, s),
            "Hotelling, choice of 8 ridges": lambda i=images, s=signal_present: fit_chosen(
                Hotelling(), i, s, values=EIGHT_RIDGES
            ),
            "Hotelling, choice of 12 ridges": lambda i=images, s=signal_present: fit_chosen(
                Hotelling(), i, s, values=RIDGES
            ),
            "behind the eye, choice of 8 ridges": lambda i=images, s=signal_present: fit_chosen(
                eye, i, s, values=EIGHT_RIDGES
            ),
            "Ledoit-Wolf": lambda i=images, s=signal_present: HotellingLedoitWolf().fit(i, s),
            "SVD, choice of ranks": lambda i=images, s=signal_present: fit_chosen(HotellingSVD(), i, s),
        }

        for name, work in works.items():
            took = seconds(work, 1 if n_trials > 2000 else 3, warm_up=n_trials <= 2000)
            print(
                f"{n_trials} trials: {name}, {took:.3f} s; {took_peer / took:.1f} × the speed of scikit-learn with 500"
            )


if __name__ == "__main__":
    main()
