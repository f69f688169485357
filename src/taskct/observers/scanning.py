"""Scanning observers: search for a signal whose place is not known, and say where it is."""

import copy
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from taskct.errors import UserError
from taskct.observers.base import Array, LinearObserver, Observer, check_images
from taskct.observers.crops import centred_crops, pixels_of, window_corners
from taskct.ranges import Range, check_ranges

_BATCH_PIXELS = 2**16  # of images transformed at a time: 512 KiB, small enough for a cache

SCAN_RANGES = {name: Range(1, unit="pixels", whole=True) for name in ("size_px", "stride_px")}


class Scanning:
    """An observer trained on centred windows that is taken to every candidate site [1].

    The test statistic is the largest over the sites and the reported place the site where it is reached, the first one
    of a tie. A linear observer is scanned by a correlation with its template (FFT); any other by reading the windows of
    one site after another.

    Parameters
    ----------
    observer
        Any observer; it is copied, and left as it was.
    size_px
        Side of its window, pixels; `centred_crops` says where the site lies in it.
    sites, stride_px
        Candidate sites, (row, column) in pixels, shape `(n_sites, 2)`. None: every pixel around which the window fits,
        at a stride, pixels.
    seed
        Of the internal noise, if the observer has one.

    Attributes
    ----------
    observer_
        The fitted observer.

    Notes
    -----
    The statistic of a site is the observer's, with one offset for all sites. What the mean background does from site to
    site is not subtracted: on a background that is not uniform a linear observer is drawn to where its template meets a
    high mean, signal or not. Where that mean is known, subtract it from the images first.

    Internal noise (an observer with `internal_std_`) is drawn afresh for every image and every site, from the seed at
    every call, so trial i meets the same noise in every arm. Sites whose windows overlap would share part of such noise
    in a reader; here they do not, so give sites about one signal apart where internal noise matters.

    References
    ----------
    .. [1] Gifford et al., IEEE TMI 24, 160 (2005): scanning channelized observers for localization.

    Examples
    --------
    >>> from taskct.observers.hotelling import Hotelling
    >>> rng = np.random.default_rng(0)
    >>> images, centres = rng.normal(size=(80, 16, 16)), rng.integers(2, 14, size=(80, 2))
    >>> signal_present = np.arange(80) < 40
    >>> images[np.arange(40), *centres[:40].T] += 8.0
    >>> scanning = Scanning(Hotelling(), size_px=3).fit(images, signal_present, centres)
    >>> statistic, found = scanning.locate(images)
    >>> bool(np.mean((found == centres)[:40]) > 0.9)
    True
    """

    observer_: Observer

    def __init__(
        self,
        observer: Observer,
        *,
        size_px: int,
        sites: NDArray[np.number] | None = None,
        stride_px: int = 1,
        seed: int = 0,
    ) -> None:
        check_ranges(SCAN_RANGES, size_px=size_px, stride_px=stride_px)
        if sites is not None and len(sites) == 0:
            raise UserError("there are no candidate sites; give one or more, or leave sites out for all")
        self.observer = observer
        self.size_px = size_px
        self.sites = None if sites is None else pixels_of(sites)
        self.stride_px = stride_px
        self.seed = seed

    def fit(
        self, images: NDArray[np.floating], signal_present: NDArray[np.bool_], centres_px: NDArray[np.number]
    ) -> Self:
        """Fit the observer on windows around known sites.

        Parameters
        ----------
        images, signal_present
            As for `Observer.fit`.
        centres_px
            Site of every trial, (row, column), pixels, shape `(n_trials, 2)`; for a signal-absent trial one drawn from
            the same distribution.

        Raises
        ------
        UserError
            If a window leaves its image.
        """
        crops = centred_crops(images, centres_px, size_px=self.size_px)
        self.observer_ = copy.deepcopy(self.observer).fit(crops, signal_present)
        return self

    def candidate_sites(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Candidate sites in images of a shape (height, width): (row, column), pixels, shape `(n_sites, 2)`."""
        if self.sites is not None:
            window_corners(self.sites, shape, self.size_px)
            return self.sites
        window_corners(np.zeros((0, 2), dtype=np.intp), shape, self.size_px)  # the window must fit somewhere
        rows, columns = (np.arange(0, n - self.size_px + 1, self.stride_px) for n in shape)
        corners = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
        return np.asarray(corners + self.size_px // 2, dtype=np.intp)

    def site_statistics(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Test statistic at every candidate site, `(n_trials, n_sites)`, sites in the order of `candidate_sites`.

        Images are in HU, `(n_trials, height, width)`; their shape need not be that of the training images. A
        `UserError` says that a window leaves them.
        """
        if not hasattr(self, "observer_"):
            raise RuntimeError("Scanning has not been fitted; call fit first")
        checked = check_images(images)
        sites = self.candidate_sites(checked.shape[1:])
        corners = sites - self.size_px // 2
        observer = self.observer_
        if (
            not isinstance(observer, LinearObserver)
            or type(observer).test_statistic is not LinearObserver.test_statistic
        ):
            windows = sliding_window_view(checked, (self.size_px, self.size_px), axis=(1, 2))
            by_site = [observer.test_statistic(windows[:, row, column]) for row, column in corners]
            return np.stack(by_site, axis=1)
        statistics = _correlate(checked, observer.template_, corners) + observer.offset_
        if observer.internal_std_ > 0.0:
            statistics += observer.internal_std_ * np.random.default_rng(self.seed).standard_normal(statistics.shape)
        return statistics

    def locate(self, images: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Largest test statistic of every image, `(n_trials,)`, and its site (row, column), pixels, `(n_trials, 2)`."""
        statistics = self.site_statistics(images)
        best = statistics.argmax(axis=1)
        return statistics[np.arange(len(best)), best], self.candidate_sites(np.shape(images)[1:])[best]

    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Largest test statistic over the sites, shape `(n_trials,)`; see `locate`."""
        return self.locate(images)[0]


def _correlate(images: Array, template: Array, corners: NDArray[np.intp]) -> Array:
    """Σ template · window for the windows at the corners, shape `(n_trials, n_sites)`.

    Circular correlation of whole images: a window that lies inside the image never wraps.
    """
    shape = [fft.next_fast_len(n, real=True) for n in images.shape[1:]]
    spectrum = np.conj(fft.rfft2(template, s=shape))
    result = np.empty((len(images), len(corners)))
    batch = max(1, _BATCH_PIXELS // (shape[0] * shape[1]))
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        correlated = fft.irfft2(fft.rfft2(images[part], s=shape) * spectrum, s=shape)
        result[part] = correlated[:, corners[:, 0], corners[:, 1]]
    return result
