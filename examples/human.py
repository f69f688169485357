# %% [markdown]
# # An observer that does as well as people
#
# A model observer without noise of its own does better than people. Here a panel of readers is simulated: each is a
# channelized Hotelling observer (CHO) with internal noise of 0.8 in proportion to its test statistic, give or take
# 20 % from reader to reader. They choose among four images, in sizes and contrasts of two kinds of image. The noise is
# then sought from their answers. With readers of your own, `taskct human` does the same from a table.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import taskct
from taskct.metrics.forced_choice import proportion_correct
from taskct.metrics.internal_noise import ModelDecisions, NoiseModel
from taskct.metrics.noise_fit import FittedNoiseModel
from taskct.metrics.reader_counts import ReaderCounts
from taskct.observers.internal_noise import noise_units

rng = np.random.default_rng(0)
row, column = np.indices((32, 32)) - 15.5
CONDITIONS = [(blur, size, contrast) for blur in (0.8, 1.4) for size, contrast in ((2, 18), (2, 28), (3, 12), (3, 20))]


def images_of(n: int, blur_px: float, size_px: float, contrast_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """Regions, HU, and their truth: a Gaussian signal in half of them, noise of 20 HU with some correlation."""
    noise = ndimage.gaussian_filter(rng.standard_normal((n, 32, 32)), (0, blur_px, blur_px), mode="wrap")
    signal = contrast_hu * np.exp(-(row**2 + column**2) / (2.0 * size_px**2))
    present = np.arange(n) % 2 == 0
    return 20.0 * noise / noise.std() + present[:, None, None] * signal, present


# %% [markdown]
# The observer learns each condition from images of its own and reads others. `noise_units` tells what each kind of
# noise adds to its test statistic at a strength of 1.

# %%
read, d_primes = [], []
for condition in CONDITIONS:
    train, truth = images_of(1200, *condition)
    cho = taskct.make_observer("cho_lg", width_px=10.0, n_channels=6).fit(train, truth)
    images, present = images_of(6000, *condition)
    t = cho.test_statistic(images)
    read.append((t[present], t[~present], noise_units(cho, train, truth)))
    d_primes.append((t[present].mean() - t[~present].mean()) / np.sqrt((t[present].var() + t[~present].var()) / 2.0))


def some_trials(n: int = 300) -> list[ModelDecisions]:
    """What the observer made of so many images of each class, as many as a study might have."""
    return [ModelDecisions(rng.choice(t1, n, False), rng.choice(t0, n, False), units) for t1, t0, units in read]


# %% [markdown]
# A panel reads 100 trials of each condition.


# %%
def panel(n_readers: int = 5) -> ReaderCounts:
    """How often simulated readers were right."""
    alphas = 0.8 * np.exp(0.2 * rng.standard_normal(n_readers))
    p = [proportion_correct(np.array(d_primes) / np.sqrt(1.0 + alpha**2), 4) for alpha in alphas]
    return ReaderCounts(np.full((n_readers, len(CONDITIONS)), 100.0), rng.binomial(100, p).astype(float), 4)


models, counts = some_trials(), panel()
for kind in ("proportional", "constant", "channels", "uniform-channels"):
    fit = FittedNoiseModel(NoiseModel(models, kind, 4), counts)
    a = fit.alpha
    print(
        f"{kind}: strength {a.value:.2f} [{a.ci_low:.2f}, {a.ci_high:.2f}], conditions left out are predicted within "
        f"{fit.left_out.rmse:.3f}, lack of fit p = {fit.goodness.p_readers:.2f}"
    )

# %% [markdown]
# Once is no proof. 200 panels of other readers, each with other images, show how often the interval holds the strength
# that describes the average reader: that of a panel of 5,000.

# %%
average = FittedNoiseModel(NoiseModel(some_trials(3000), "proportional", 4), panel(5000), n_bootstrap=2).alpha.value
fits = [
    FittedNoiseModel(NoiseModel(some_trials(), "proportional", 4), panel(), n_bootstrap=40, seed=number)
    for number in range(200)
]
covered = np.mean([fit.alpha.ci_low <= average <= fit.alpha.ci_high for fit in fits])
error = np.mean([fit.left_out.rmse for fit in fits])
print(f"200 panels: {100 * covered:.1f} % of intervals hold {average:.2f}; conditions left out: within {error:.3f}")

# %%
fit = FittedNoiseModel(NoiseModel(models, "proportional", 4), counts)
figure, ax = plt.subplots(figsize=(5, 5))
ax.plot([0.25, 1], [0.25, 1], color="0.7")
ax.plot(proportion_correct(d_primes, 4), counts.proportion, "o", markerfacecolor="none", label="CHO without noise")
ax.plot(fit.proportion, counts.proportion, "o", label="CHO with the noise of people")
ax.set(xlabel="proportion correct, observer", ylabel="proportion correct, readers", aspect="equal")
ax.legend(frameon=False)
plt.show()
