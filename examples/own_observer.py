# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # An observer of your own
#
# An observer learns from trials whose truth is known (`fit`) and then gives every image a test statistic, which is
# higher where it takes a signal to be present. taskct's conformance suite says whether your class can be relied on.

# %%
import numpy as np

from taskct.metrics.roc import auc
from taskct.observers import LinearObserver, make_observer
from taskct.testing import check_observer, correlated_task, observer_checks

# %% [markdown]
# This one compares the mean of the pixels where the signal is strongest with the mean of all others. It is linear in
# the image, so it only has to set a template (1/HU) and an offset. The base class does the rest, and refuses trials
# that cannot be judged.


# %%
class RegionMean(LinearObserver):
    """Mean of the `n_pixels` pixels where the signal is strongest, less the mean of the others."""

    def __init__(self, n_pixels: int = 9) -> None:
        self.n_pixels = n_pixels

    def _learn(self, images: np.ndarray, signal_present: np.ndarray) -> None:
        signal = images[signal_present].mean(axis=0) - images[~signal_present].mean(axis=0)
        contrast = np.abs(signal - np.median(signal))
        inside = contrast >= np.sort(contrast, axis=None)[-self.n_pixels]
        weights = inside / inside.sum() - ~inside / (~inside).sum()
        weights *= np.sign((weights * signal).sum())  # a dark signal too
        self.template_ = weights / images.std()
        self.offset_ = -float((self.template_ * images.mean(axis=0)).sum())


# %% Every law that taskct's own observers keep
check_observer(RegionMean)
print(*observer_checks(RegionMean), sep="\n")

# %% How good is it? The best possible AUC of these trials is known.
task = correlated_task()
images, truth = task.draw(2000, seed=1)
unseen, unseen_truth = task.draw(2000, seed=2)
for name, observer in {"region mean": RegionMean(), "Hotelling": make_observer("ho")}.items():
    statistic = observer.fit(images, truth).test_statistic(unseen)
    print(f"{name}: AUC {auc(statistic[unseen_truth], statistic[~unseen_truth]):.3f} (ideal {task.ideal_auc:.3f})")
