"""Doses at equal AUC and non-inferiority at each dose, on simulated scans whose true curves are known."""

import math

import numpy as np
from scipy.special import ndtr, ndtri

from taskct.apply.curves.scoring import areas_of
from taskct.apply.observe.crossed import cross_validate
from taskct.metrics.dose_areas import DoseCell, DoseReading, auc_by_dose
from taskct.metrics.dose_curves import dose_at_equal, noninferiority_by_dose
from taskct.observers.fresh import Eye
from validation.check import Check

TRUE_DOSE = 50.0
"""Dose at which B has the AUC that A has at 100, in every curve below."""
RHO = 0.7
"""Correlation of what an observer says of one scan in both reconstructions."""
THREE, FIVE = (10.0, 55.0, 100.0), (10.0, 25.0, 50.0, 75.0, 100.0)


def root(dose):
    return math.sqrt(dose / TRUE_DOSE)


def saturating(dose):
    return math.sqrt(dose / TRUE_DOSE) * math.sqrt(1.0 + TRUE_DOSE / 100.0) / math.sqrt(1.0 + dose / 100.0)


def quarter(dose):
    return (dose / TRUE_DOSE) ** 0.25


CURVES = {"rises with √dose": root, "saturates": saturating, "rises with dose^¼": quarter}


def readings(rng, n, doses, d_prime, rods=("r",)):
    """Test statistics of A and B, paired by scan; `d_prime[name](dose)`, and rods apart."""
    mix = np.linalg.cholesky([[1.0, RHO], [RHO, 1.0]])
    for dose in doses:
        for rod in rods:
            present, absent = (mix @ rng.standard_normal((2, n)) for _ in range(2))
            for name, t1, t0 in zip("AB", present, absent, strict=True):
                scans = [[f"{dose} {kind} {i}" for i in range(n)] for kind in ("p", "a")]
                yield DoseReading(DoseCell(name, dose, rod), t1 + d_prime[name](dose), t0, *scans)


def equal_doses(rng, n_studies, n, doses, curve, height):
    """Dose of B at the AUC of A at 100, with its bounds, in each study that tells one."""
    found = []
    for seed in range(n_studies):
        d_prime = {"A": lambda dose: height * math.sqrt(dose / 100.0), "B": lambda dose: height * curve(dose)}
        areas = auc_by_dose(list(readings(rng, n, doses, d_prime)))
        equal, _ = dose_at_equal(areas, reference="A", rival="B", rod="r", n_draws=1000, seed=seed)
        found += [(one.dose, one.ci_low, one.ci_high) for one in equal if one.reference_dose == doses[-1]]
    return np.array(found)


def checks():
    """Every line of the area."""
    return [*coverage(), *claims(), *cross_validated()]


def coverage(n_studies=400):
    """Coverage of the interval of a dose at equal AUC, and its median."""
    rng = np.random.default_rng(0)
    spread = math.sqrt(0.95 * 0.05 / n_studies)
    for n, doses, height, highest in ((20, THREE, 1.6, 1.0), (50, THREE, 1.6, 0.965), (50, FIVE, 1.6, 0.965)):
        for words, curve in CURVES.items():
            found = equal_doses(rng, n_studies, n, doses, curve, height)
            covered = float(((found[:, 1] <= TRUE_DOSE) & (found[:, 2] >= TRUE_DOSE)).mean())
            yield Check(
                f"95 % interval of the dose at equal AUC covers, {n} + {n} scans at {len(doses)} doses, d′ of B "
                f"{words}, {n_studies} studies",
                0.935 - 2.0 * spread,
                min(highest + 2.0 * spread, 1.0),
                covered,
                0.95,
                "93.5 to 96.5 %, and 2 standard errors of the simulation"
                if highest < 1.0
                else "at least 93.5 %, and 2 standard errors of the simulation: bounds out of range make it wide",
            )
    for words, curve in CURVES.items():
        found = equal_doses(rng, 200, 200, FIVE, curve, 1.6)
        error = 1.2533 * float(np.std(np.log(found[:, 0][np.isfinite(found[:, 0])]))) / math.sqrt(200)
        allowed = 0.05 + 4.0 * error
        yield Check(
            f"median dose at equal AUC, 200 + 200 scans at 5 doses, d′ of B {words}, 200 studies",
            TRUE_DOSE * (1.0 - allowed),
            TRUE_DOSE * (1.0 + allowed),
            float(np.median(found[:, 0])),
            TRUE_DOSE,
            "5 %, and 4 standard errors of a median",
        )


def claims(n_studies=1500):
    """Share of studies on the margin that claim non-inferiority."""
    rng = np.random.default_rng(1)
    margin = 0.05
    d_a = 1.5
    d_b = math.sqrt(2.0) * float(ndtri(ndtr(d_a / math.sqrt(2.0)) - margin))
    flat = {"A": lambda _: d_a, "B": lambda _: d_b}
    for n, rods, doses in ((10, "r", (1.0,)), (50, "r", (1.0,)), (20, "rs", (1.0, 2.0, 3.0))):
        many = n_studies if len(doses) == 1 else 500
        claimed = 0
        for _ in range(many):
            areas = auc_by_dose(list(readings(rng, n, doses, flat, tuple(rods))))
            found = noninferiority_by_dose(areas, reference="A", rivals=["B"], margin=margin)
            claimed += any(one.shown for one in found)
        family = "it" if len(doses) == 1 else f"any of {len(rods) * len(doses)} (Holm)"
        yield Check(
            f"false claims of non-inferiority, {family}, true loss equal to the margin, {n} + {n} scans, {many:,} "
            "studies",
            0.0,
            0.025 + 3.0 * math.sqrt(0.025 * 0.975 / many),
            claimed / many,
            0.025,
            "size 2.5 %, and 3 standard errors of the simulation",
        )


def cross_validated(n_studies=100, side=4):
    """The whole chain: a channelized observer learns from the scans that it reads, each left out in turn."""
    rng = np.random.default_rng(2)
    spread = math.sqrt(0.95 * 0.05 / n_studies)
    profile = np.ones((side, side)) / side
    eye = Eye(0.7, 500.0, 1.0, 0.0, 0.0)
    for n in (10, 20):
        covered, told = 0, 0
        present = np.arange(2 * n) < n
        for seed in range(n_studies):
            said = {}
            for dose in THREE:
                common = rng.normal(size=(2 * n, side, side))
                for name, gain in (("A", 1.0), ("B", 100.0 / TRUE_DOSE)):
                    own = rng.normal(size=common.shape)
                    images = math.sqrt(RHO) * common + math.sqrt(1.0 - RHO) * own
                    images[present] += 2.2 * math.sqrt(dose / 100.0 * gain / 2.0) * profile
                    crossed = cross_validate(
                        "cho-lg", images, present, None, eye=eye, seed=seed, channels={"n_channels": 3}, repeats=2
                    )
                    said[DoseCell(name, dose, "r")] = crossed.readings
            equal, _ = dose_at_equal(areas_of(said)[0], reference="A", rival="B", rod="r", n_draws=500, seed=seed)
            for one in equal:
                if one.reference_dose == THREE[-1]:
                    told += 1
                    covered += one.ci_low <= TRUE_DOSE <= one.ci_high
        yield Check(
            f"95 % interval of the dose at equal AUC covers, cross-validated CHO of 3 channels, {n} + {n} scans, "
            f"{n_studies} studies",
            0.935 - 2.0 * spread,
            1.0,
            covered / told,
            0.95,
            "at least 93.5 %, and 2 standard errors of the simulation: bounds out of range make it wide",
        )
