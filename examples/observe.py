# %% [markdown]
# # Numerical observers on your own images
#
# Two stacks of regions, with and without a signal, are all that it takes. Here they are made up: noise with the
# correlation of a CT image, and a faint disc. Put your own arrays in their place (HU, `(n, height, width)`), or read
# them with `taskct.io.read_images`.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import taskct
from taskct.metrics import delong_interval, paired_delong

rng = np.random.default_rng(0)
row, column = np.indices((32, 32)) - 15.5
disc = 6.0 * (np.hypot(row, column) < 4.0)


def images_of(n: int, blur_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Regions, HU, and their truth: half of them hold the disc; the noise has 15 HU whatever its correlation."""
    noise = ndimage.gaussian_filter(rng.standard_normal((n, 32, 32)), (0, blur_px, blur_px), mode="wrap")
    present = np.arange(n) % 2 == 0
    return (15.0 * noise / noise.std() + 40.0 + present[:, None, None] * disc).astype(np.float32), present


# %% [markdown]
# Observers learn from one part of the trials and are tested on the other. A linear observer needs more trials than
# pixels, or a penalty: `ridge` is one. taskct warns where trials are few.

# %%
train, train_truth = images_of(1200, blur_px=1.0)
test, truth = images_of(600, blur_px=1.0)
observers = {
    "Hotelling": taskct.make_observer("ho", ridge=0.1),
    "channelized Hotelling": taskct.make_observer("cho_lg"),
    "NPW with an eye filter": taskct.make_observer("npwe", pixel_mm=0.7, signal=disc),
}
scores = {name: observer.fit(train, train_truth).test_statistic(test) for name, observer in observers.items()}
for name, t in scores.items():
    one = delong_interval(t[truth], t[~truth])
    print(f"{name}: AUC {one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]")

# %% [markdown]
# Two observers, or two kinds of image, are compared on the same trials. The interval covers the choice of test trials,
# not another training.

# %%
first, second = scores["Hotelling"], scores["NPW with an eye filter"]
difference = paired_delong(np.stack([first[truth], second[truth]]), np.stack([first[~truth], second[~truth]]))
print(
    f"Hotelling minus NPW with an eye filter: {difference.delta_auc:+.3f} "
    f"[{difference.ci_low:+.3f}, {difference.ci_high:+.3f}], p = {difference.p_value:.2g}"
)

# %%
taskct.plot_roc(scores, truth)
plt.show()
