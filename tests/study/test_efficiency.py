"""The chain of detection efficiency on binormal data, whose d_a is known."""

import numpy as np
import pytest
from scipy.special import ndtr

from taskct.metrics.intervals import Interval
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm
from taskct.study.efficiency import efficiency, limits_of
from taskct.study.resampling import Unit, interval_json

N = 2000
PRESENT = np.arange(N) % 2 == 0
UNIT = Unit(PRESENT, None, N, True)


def results(distance: dict[str, float], seed: int = 0, correlation: float = 0.8) -> list[ArmResult]:
    """Test statistics by "arm/observer" with these distances between the classes, and noise in common."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=N)
    found: dict[str, ArmResult] = {}
    for name, d in distance.items():
        arm, observer = name.split("/")
        own = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.normal(size=N)
        made = found.setdefault(arm, ArmResult(Arm(ArmName.parse(f"{arm} seed=0")), {}, {}, {}, {}, 1.0, None))
        made.scores[observer] = own + d * PRESENT
    return list(found.values())


CHAIN = {"low-dose/cnn": 1.6, "low-dose/ho": 1.0, "mse/ho": 1.2, "lambda=0.9/ho": 1.5}


def test_ratios_are_those_of_the_squared_distances() -> None:
    rows = efficiency(results(CHAIN), UNIT, chosen="lambda=0.9", seed=0)["rows"]
    assert [row["observer"] for row in rows] == ["cnn", "ho", "ho", "ho"]
    assert rows[0]["ratio"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0}
    for row, d in zip(rows, CHAIN.values(), strict=True):
        assert row["d_a_squared"]["ci_low"] < d**2 < row["d_a_squared"]["ci_high"]
        assert row["ratio"]["ci_low"] <= (d / 1.6) ** 2 <= row["ratio"]["ci_high"]
        assert row["ratio"]["value"] == pytest.approx(row["d_a_squared"]["value"] / rows[0]["d_a_squared"]["value"])


def test_the_interval_of_a_ratio_covers() -> None:
    """200 studies: 95 % within 3 standard errors of 1.5 %, so 90.4 % or more."""
    hits = 0
    for seed in range(200):
        row = efficiency(results({"low-dose/ho": 1.0, "mse/ho": 1.3}, seed=seed), UNIT, chosen="none", seed=0)["rows"][
            1
        ]
        hits += row["ratio"]["ci_low"] < 1.3**2 < row["ratio"]["ci_high"]
    assert hits >= 181


def test_pairing_narrows_the_ratio() -> None:
    widths = []
    for correlation in (0.0, 0.9):
        found = results({"low-dose/ho": 1.0, "mse/ho": 1.0}, correlation=correlation)
        ratio = efficiency(found, UNIT, chosen="none", seed=0)["rows"][1]["ratio"]
        widths.append(ratio["ci_high"] - ratio["ci_low"])
    assert widths[1] < 0.5 * widths[0]


def test_a_step_that_has_a_limit_counts_at_it() -> None:
    area = float(ndtr(1.4 / np.sqrt(2)))
    rows = [
        {
            "arm": "low-dose",
            "seed": 1,
            "observer": "ho",
            "limit": interval_json(Interval(area, area - 0.01, area + 0.01)),
        },
        {"arm": "mse", "seed": 1, "observer": "ho", "limit": interval_json(Interval(0.99, 0.98, 1.0))},
        {"arm": "lambda=0.9", "seed": 0, "observer": "ho", "limit": None},
    ]
    limits = limits_of({"rows": rows}, seed=0)  # the low-dose images are those of every seed
    assert list(limits) == [("low-dose", "ho")]
    rows = efficiency(results(CHAIN), UNIT, chosen="lambda=0.9", seed=0, limits=limits)["rows"]
    assert [row["limit"] for row in rows] == [False, True, False, False]
    assert rows[1]["auc"]["value"] == area
    assert rows[1]["d_a_squared"]["value"] == pytest.approx(1.4**2)
    assert rows[1]["ratio"]["value"] == pytest.approx(1.4**2 / rows[0]["d_a_squared"]["value"])
    assert rows[1]["ratio"]["ci_low"] < rows[1]["ratio"]["value"] < rows[1]["ratio"]["ci_high"]


def test_without_a_bound_the_chain_begins_at_the_linear_observer() -> None:
    found = results({"low-dose/ho": 1.0, "mse/ho": 1.2, "lambda=0.9/slnn": 1.0})
    assert [row["arm"] for row in efficiency(found, UNIT, chosen="lambda=0.9", seed=0)["rows"]] == ["low-dose", "mse"]
    assert efficiency([], UNIT, chosen="lambda=0.9", seed=0) == {"rows": [], "left_out": []}


def test_no_distance_to_divide_by_leaves_no_ratio() -> None:
    chance = results({"low-dose/ho": -0.5, "mse/ho": 1.2})
    rows = efficiency(chance, UNIT, chosen="none", seed=0)["rows"]
    assert rows[1]["ratio"] is None
    perfect = results({"low-dose/ho": 1.0, "mse/ho": 50.0})
    found = efficiency(perfect, UNIT, chosen="none", seed=0)
    assert [row["arm"] for row in found["rows"]] == ["low-dose"]
    assert found["left_out"] == [{"step": "HO after MSE denoising", "why": "an AUC of 1 has no finite d_a²"}]
    # Without the first step there is nothing to compare with.
    turned = results({"low-dose/ho": 50.0, "mse/ho": 1.2})
    assert efficiency(turned, UNIT, chosen="none", seed=0)["rows"][0]["ratio"] is None
