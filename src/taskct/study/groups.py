"""Which head judges a trial: one for all, or one for every region, site or shape of signal."""

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.errors import UserError
from taskct.names import setting_text
from taskct.tasks.shape_registry import SHAPES
from taskct.trials.trials import Trials

MAX_GROUPS = 64


def group_labels(settings: Settings) -> tuple[str, ...]:
    """Names of the groups of `training.head_per`, one if all share a head; a `UserError` if none or too many."""
    per, s, g = settings.training.head_per, settings.scanner, settings.signal
    if per == "study":
        return ("all",)
    if per == "region":
        labels = tuple(f"region {i + 1}" for i in range(s.region_count**2))
    elif per == "shape":
        labels = tuple(dict.fromkeys(g.shape))
    elif g.site == "list":
        labels = tuple(f"({setting_text(x)}, {setting_text(y)}) mm" for x, y in g.sites_mm)
    else:
        raise UserError(
            f"training.head_per is site but signal.site is {g.site}: a head per site needs signal.site=list"
        )
    if len(labels) > MAX_GROUPS:
        raise UserError(f"training.head_per={per} makes {len(labels)} heads: at most {MAX_GROUPS} are allowed")
    return labels


def group_of(settings: Settings, trials: Trials) -> NDArray[np.int64]:
    """The group of every trial, as an index into `group_labels`, `(n,)`.

    A signal-absent trial belongs where its signal might have been.
    """
    per, s, truth = settings.training.head_per, settings.scanner, trials.truth
    n_groups = len(group_labels(settings))
    if n_groups == 1:
        return np.zeros(len(trials), dtype=np.int64)
    if per == "shape":
        names = group_labels(settings)
        index = np.array([names.index(shape) if shape in names else -1 for shape in SHAPES])
        group: NDArray[np.int64] = index[truth["shape"].astype(np.int64)]
        return group
    if per == "region":
        place = np.stack([truth["region_x_mm"], truth["region_y_mm"]], axis=1)
        axis = (np.arange(s.region_count) - (s.region_count - 1) / 2.0) * s.region_step_mm
        centers = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    else:
        place = np.stack([truth["x_mm"], truth["y_mm"]], axis=1)
        centers = np.asarray(settings.signal.sites_mm, dtype=np.float64)
    # The nearest: images that are kept as they are move a place by less than a pixel.
    distance = np.linalg.norm(place[:, None] - centers[None], axis=2)
    nearest: NDArray[np.int64] = distance.argmin(axis=1)
    return nearest
