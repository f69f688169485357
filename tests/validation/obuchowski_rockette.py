"""The Obuchowski–Rockette analysis with Hillis' degrees of freedom, on simulated studies of the Roe–Metz model."""

import math
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.obuchowski_rockette import (
    ObuchowskiRockette,
    ORTest,
    _analyse,
    _case_covariances,
    obuchowski_rockette,
    u_statistic_covariances,
)
from taskct.metrics.mrmc.roe_metz import RoeMetz, ScoreVariances, Structure
from taskct.metrics.mrmc.sizing import Components, Design, design_df
from validation.check import Check

N_STUDIES = 1500
NULL = "4 standard errors, and 0.01 since the distribution of the test is an approximation"


@dataclass(frozen=True)
class Setting:
    """One kind of fully crossed study: all modalities alike, so that there is no difference."""

    structure: Structure
    level: float
    design: Design
    n_modalities: int = 2
    fixed: str = ""
    """`readers` or `cases`: these have no variance in the scores, so an analysis that holds them fixed is right."""

    @property
    def model(self) -> RoeMetz:
        """The model of its scores."""
        whole = RoeMetz.published(self.structure, self.level)
        mu = whole.mu[:1] * self.n_modalities
        gone = {"readers": {"var_r": 0.0, "var_tr": 0.0}, "cases": {"var_c": 0.0, "var_tc": 0.0}, "": {}}[self.fixed]
        variances: ScoreVariances = replace(whole.absent, **gone)
        return RoeMetz(mu, variances, variances)

    @property
    def name(self) -> str:
        """What it is, in few words."""
        d = self.design
        without = f" without variance of {self.fixed}" if self.fixed else ""
        return (
            f"Roe–Metz {self.structure} {self.level}{without}, {self.n_modalities} modalities, {d.n_readers} readers, "
            f"{d.n_present} + {d.n_absent} cases, {N_STUDIES} studies"
        )


RANDOM = (
    Setting("HH", 0.855, Design(5, 50, 50)),
    Setting("LL", 0.702, Design(5, 40, 60)),
    Setting("HL", 0.855, Design(8, 30, 30), n_modalities=3),
)
FIXED_READERS = Setting("HH", 0.855, Design(4, 50, 50), fixed="readers")
FIXED_CASES = Setting("HH", 0.855, Design(5, 40, 40), fixed="cases")


def checks() -> list[Check]:
    """All claims of this area."""
    found: list[Check] = []
    for seed, setting in enumerate(RANDOM):
        studies = _studies(setting, np.random.default_rng([9, seed]))
        found += [*_expectations(setting, studies), _hillis(setting, studies)]
        found += _null(setting, "random readers and cases", [study.random_readers_random_cases for study, _ in studies])
    readers = _studies(FIXED_READERS, np.random.default_rng([9, 10]))
    found += _null(FIXED_READERS, "fixed readers", [study.fixed_readers for study, _ in readers])
    cases = _studies(FIXED_CASES, np.random.default_rng([9, 11]))
    found += _null(FIXED_CASES, "fixed cases", [study.fixed_cases for study, _ in cases])
    return found


def _studies(setting: Setting, rng: np.random.Generator) -> list[tuple[ObuchowskiRockette, ObuchowskiRockette]]:
    """Every study, analysed with DeLong's covariances, as the command does, and with the unbiased ones."""
    found = []
    for study in range(N_STUDIES):
        ratings = setting.model.simulate(rng, setting.design)
        sums = moment_sums(ratings)  # once for both
        given = ratings.modalities, len(ratings.cases), sums.reader_auc
        delong = _analyse(*given, _case_covariances(sums, "delong"), 0.95)
        unbiased = _analyse(*given, u_statistic_covariances(sums), 0.95)
        if study == 0 and delong.fixed_cases != obuchowski_rockette(ratings).fixed_cases:
            raise AssertionError("`obuchowski_rockette` does not rest on `_analyse`")
        found.append((delong, unbiased))
    return found


def _expectations(setting: Setting, studies: list[tuple[ObuchowskiRockette, ObuchowskiRockette]]) -> list[Check]:
    """Mean squares and covariances of errors against the model's exact moments."""
    one, both = (_by_case(setting.model.components(*pair), setting.design) for pair in ((0,), (0, 1)))
    # Of a difference: twice one modality's own less twice what two modalities share.
    shared = {key: one[key] - both[key] / 2.0 for key in one}
    expected = {
        "var_error": one["cases"] + one["own"],
        "cov1": shared["cases"] + shared["own"],
        "cov2": one["cases"],
        "cov3": shared["cases"],
        "ms_tr": (both["reader"] + both["own"]) / 2.0,
        "ms_r": one["reader"] + one["own"] + (setting.n_modalities - 1) * (shared["reader"] + shared["own"]),
    }
    found = []
    for key, value in expected.items():
        ratio = np.array([getattr(unbiased, key) for _, unbiased in studies]) / value
        margin = 4.0 * float(ratio.std(ddof=1)) / math.sqrt(len(ratio))
        claim = f"{key} (unbiased covariances), mean over theory: {setting.name}"
        found.append(
            Check(claim, 1.0 - margin, 1.0 + margin, float(ratio.mean()), expected=1.0, basis="4 standard errors")
        )
    return found


def _by_case(components: Components, design: Design) -> dict[str, float]:
    """Parts of the variance of one reader's AUC: of the reader, of cases that all share, and of the reader's own."""
    reader, present, absent, pa, rp, ra, rpa = astuple(components)
    p, a = design.n_present, design.n_absent
    return {
        "reader": reader,
        "cases": present / p + absent / a + pa / (p * a),
        "own": rp / p + ra / a + rpa / (p * a),
    }


def _hillis(setting: Setting, studies: list[tuple[ObuchowskiRockette, ObuchowskiRockette]]) -> Check:
    """Hillis' degrees of freedom at the mean of mean squares and covariances, against those of the model."""
    r, m = setting.design.n_readers, setting.n_modalities
    parts = np.array([[x.ms_tr, x.ms_tr + r * (x.cov2 - x.cov3)] for _, x in studies])
    mean_square, error = parts.mean(axis=0).tolist()
    df = (r - 1) * (m - 1) * (error / mean_square) ** 2
    # The model's are those of two modalities; each more adds as many again.
    theory = (m - 1) * design_df(setting.model.components(0, 1), setting.design, method="hillis")
    relative: NDArray[np.float64] = 2.0 * (parts[:, 1] / error - parts[:, 0] / mean_square)
    margin = 4.0 * float(relative.std(ddof=1)) / math.sqrt(len(relative))
    claim = f"Hillis' degrees of freedom, of mean squares averaged over studies, over theory: {setting.name}"
    return Check(claim, 1.0 - margin, 1.0 + margin, df / theory, expected=1.0, basis="4 standard errors (delta method)")


def _null(setting: Setting, kind: str, tests: list[ORTest]) -> list[Check]:
    """Size of the F test, and coverage of the interval of a difference, where modalities are alike."""
    spread = 4.0 * math.sqrt(0.05 * 0.95 / len(tests)) + 0.01
    rejected = float(np.mean([test.p_value < 0.05 for test in tests]))
    bounds = [test.differences["A-B"] for test in tests]
    covered = float(np.mean([part.ci_low <= 0.0 <= part.ci_high for part in bounds]))
    size = f"false alarms of the test of no difference at 0.05, {kind}: {setting.name}"
    coverage = f"coverage of the 95 % interval of a difference, {kind}: {setting.name}"
    return [
        Check(size, 0.05 - spread, 0.05 + spread, rejected, expected=0.05, basis=NULL),
        Check(coverage, 0.95 - spread, 0.95 + spread, covered, expected=0.95, basis=NULL),
    ]
