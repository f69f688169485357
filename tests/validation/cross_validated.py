"""Observers cross-validated over scans: what their intervals cover, with 10 to 200 scans of each class."""

import warnings

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from taskct.apply.observe.crossed import cross_validate, crossed_difference
from taskct.apply.observe.scans_needed import Pilot, scans_needed
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.intervals import Interval
from taskct.observers.fresh import Eye, observer_told
from validation.check import Check

N = 500
SIDE = 12
EYE = Eye(pixel_mm=0.7, viewing_distance_mm=500.0, magnification=1.0, internal_noise_hu=3.0)
AXIS = np.arange(SIDE) - (SIDE - 1) / 2.0
BLOB = np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 8.0)
BLOB /= np.linalg.norm(BLOB)
SUM = "93.5 to 96.5 %, and 3 Monte Carlo standard errors of 500 studies"
LOW, HIGH = 0.935 - 0.029, 0.965 + 0.029
WIDE = "at least 93.5 %, less 3 Monte Carlo standard errors: with ten scans near an AUC of 1 it covers more"
CHANNELS, REPEATS = {"n_channels": 4}, 4


def checks():
    """Every line of this area."""
    return [*coverage(), *scans_of_both_classes(), *differences(), *known_difference(), *planned()]


def scans(rng, n, snr, *, shared=0.0):
    """`n` scans of each class, white noise of 1 and a blob; `shared` is the part of the variance that pairs share."""
    images = rng.normal(size=(2 * n, SIDE, SIDE)) * np.sqrt(1.0 - shared)
    if shared:
        images += np.tile(rng.normal(size=(n, SIDE, SIDE)), (2, 1, 1)) * np.sqrt(shared)
    images[:n] += snr * BLOB
    return images, np.arange(2 * n) < n


def expected(name, n, snr, channels, n_templates=400):
    """Mean AUC of an observer trained on `n` scans of each class."""
    rng, areas = np.random.default_rng(99), []
    with warnings.catch_warnings(action="ignore"):
        for _ in range(n_templates):
            template = observer_told(name, EYE, seed=0, settings=channels).fit(*scans(rng, n, snr)).template_
            areas.append(ndtr(snr * np.vdot(template, BLOB) / np.linalg.norm(template) / np.sqrt(2.0)))
    return float(np.mean(areas))


def crossed(images, present, cases=None):
    """A CHO of four channels."""
    return cross_validate("cho-lg", images, present, cases, eye=EYE, channels=CHANNELS, repeats=REPEATS)


def covers(interval, truth):
    return interval.ci_low <= truth <= interval.ci_high


def coverage():
    for name, n, area, learned in (
        ("cho-lg", 10, 0.8, 9),
        ("cho-lg", 10, 0.95, 9),
        ("npw", 10, 0.9, 9),
        ("cho-lg", 20, 0.8, 19),
        ("cho-lg", 50, 0.8, 45),
        ("cho-lg", 200, 0.8, 180),
    ):
        snr, channels = float(np.sqrt(2.0) * ndtri(area)), CHANNELS if name == "cho-lg" else None
        truth, rng, hits = expected(name, learned, snr, channels), np.random.default_rng([1, n, round(100 * area)]), []
        for _ in range(N):
            images, present = scans(rng, n, snr)
            found = cross_validate(name, images, present, None, eye=EYE, channels=channels, repeats=REPEATS)
            hits.append(covers(found.auc, truth))
        about = f"{name}, {n} + {n} scans, AUC {area:g} at best and {truth:.2f} as trained"
        wide = n <= 20 and area > 0.85
        claim = f"cross-validated AUC of {about}, {N} studies: coverage"
        yield Check(claim, LOW, 1.0 if wide else HIGH, float(np.mean(hits)), 0.95, WIDE if wide else SUM)


def scans_of_both_classes():
    for n, shared in ((12, 0.0), (20, 0.3)):
        snr, rng, hits = float(np.sqrt(2.0) * ndtri(0.85)), np.random.default_rng([2, n]), []
        truth = expected("cho-lg", n - (2 if n <= 40 else n // 10), snr, CHANNELS)
        for _ in range(N):
            images, present = scans(rng, n, snr, shared=shared)
            cases = np.tile(np.arange(n), 2)
            hits.append(covers(crossed(images, present, cases).auc, truth))
        about = f"{n} scans that hold both classes, {shared:.0%} of their noise in common, {N} studies"
        yield Check(f"cross-validated AUC of cho-lg, {about}: coverage", LOW, HIGH, float(np.mean(hits)), 0.95, SUM)


def differences():
    for n in (10,):
        snr, rng, claimed = float(np.sqrt(2.0) * ndtri(0.8)), np.random.default_rng([3, n]), []
        for _ in range(N):
            images, present = scans(rng, n, snr)
            other = images * np.sqrt(0.5) + rng.normal(size=images.shape) * np.sqrt(0.5)
            other[present] += snr * (1.0 - np.sqrt(0.5)) * BLOB
            both = [crossed(one, present) for one in (images, other)]
            claimed.append(crossed_difference(*both)[0].p_value < 0.05)
        about = f"{n} + {n} scans, noise correlated by ½, {N} studies"
        claim = f"difference of two cross-validated AUCs that are equal, {about}: claims by a test of size 5 %"
        yield Check(claim, 0.0, 0.08, float(np.mean(claimed)), 0.05, "at most 5 % and 3 Monte Carlo standard errors")


def known_difference():
    """The exact interval of four channels, and how much shorter a known signal makes it."""
    rng, snr, hits, widths = np.random.default_rng(4), float(np.sqrt(2.0) * ndtri(0.85)), [], []
    difference = np.array([snr, 0.0, 0.0, 0.0])
    for _ in range(2 * N):
        present, absent = rng.normal(size=(2, 10, 4))
        two = [exact_cho_interval(present + difference, absent, known_difference=d) for d in (None, difference)]
        hits.append([covers(one, 0.85) for one in two])
        widths.append([one.ci_high - one.ci_low for one in two])
    for what, share in zip(("", ", known signal"), np.mean(hits, axis=0), strict=True):
        claim = f"exact interval of a CHO of 4 channels, 10 + 10 scans{what}, {2 * N:,} studies: coverage"
        error = 4.0 * np.sqrt(0.95 * 0.05 / (2 * N))
        yield Check(
            claim, 0.95 - error, 0.95 + error, float(share), 0.95, "nominal 0.95 and 4 Monte Carlo standard errors"
        )
    ratio = float(np.mean(widths, axis=0)[1] / np.mean(widths, axis=0)[0])
    yield Check("its mean width with the known signal over that without", 0.0, 0.7, ratio, None, "that it is shorter")


def planned():
    """What a plan foretells against what studies of that size have."""
    snr, rng = float(np.sqrt(2.0) * ndtri(0.85)), np.random.default_rng(5)
    pilots, widths, exact = [], [], []
    for _ in range(60):
        images, present = scans(rng, 15, snr)
        found = crossed(images, present)
        assert found.limit is not None
        pilots.append(Pilot(15, found.auc, found.readings.standard_error(), 0.95))
        images, present = scans(rng, 50, snr)
        found = crossed(images, present)
        assert found.limit is not None
        widths.append(found.auc.ci_high - found.auc.ci_low)
        exact.append(found.limit.ci_high - found.limit.ci_low)
    foretold = [
        next(row.width for row in scans_needed(pilot, 0.1).needed[0].table if row.n_cases == 50) for pilot in pilots
    ]
    basis = "35 %: a pilot of 15 scans, whose AUC is lower for want of training"
    claim = "width of the interval with 50 + 50 scans, foretold from 15 + 15, over what it is; medians of 60 studies"
    yield Check(claim, 0.8, 1.35, float(np.median(foretold) / np.median(widths)), 1.0, basis)
    known = Pilot(
        15, Interval(0.85, 0.7, 0.95), 0.08, 0.95, Interval(float(norm.cdf(snr / np.sqrt(2.0))), 0.7, 0.95), 4
    )
    rows = next(one for one in scans_needed(known, 0.1).needed if one.what == "limit").table
    width = next(row.width for row in rows if row.n_cases == 50)
    claim = "width of the exact interval with 50 + 50 scans, foretold from the true AUC, over its median in 60 studies"
    yield Check(claim, 0.9, 1.1, float(width / np.median(exact)), 1.0, "10 %")
