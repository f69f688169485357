"""Every line of `docs/validation.md`, computed again."""

import math

import pytest

from validation.page import AREAS, HEAD, PAGE, checks_of, row, section

SLOW = {
    "channelized",
    "cross_validated",
    "denoising",
    "dose_curves",
    "free_response",
    "human",
    "ideal_observers",
    "mrmc",
    "observing",
    "proportions",
    "obuchowski_rockette",
    "programs",
    "roc",
    "shared_backgrounds",
}
"""Areas of thousands of studies: more than 20 s of a core each."""


@pytest.mark.parametrize("area", [pytest.param(one, marks=pytest.mark.slow) if one in SLOW else one for one in AREAS])
def test_every_claim_holds_and_stands_on_the_page(area):
    checks = checks_of(area)
    assert checks
    assert PAGE.read_text(encoding="utf-8").startswith(HEAD)
    for check in checks:
        assert check.low < check.high, check
        assert check.passes, check
    page = PAGE.read_text(encoding="utf-8").splitlines()
    rewrite = "write the page anew: python tests/validation/page.py"
    for check in checks:
        written = next((line for line in page if line.startswith(f"| {check.claim} |")), None)
        assert written is not None, f"{check.claim} is not on the page; {rewrite}"
        cells = [cell.strip() for cell in written.split("|")]
        assert cells[:4] == [cell.strip() for cell in row(check).split("|")][:4], rewrite
        # Another processor may round a sum otherwise and turn a rank: a hundredth of what is allowed.
        assert cells[5] == check.basis, rewrite
        width = check.high - check.low
        strays = 0.01 * (width if math.isfinite(width) else 0.0) + 1e-3 * abs(check.measured)
        assert abs(float(cells[4]) - check.measured) <= strays, rewrite
    listed = section(area, checks).count("\n| ")
    start = page.index(f"## {AREAS[area]}")
    of_area = page[start : next((i for i in range(start + 1, len(page)) if page[i].startswith("## ")), len(page))]
    assert sum(line.startswith("| ") for line in of_area) == listed, f"a line too many on the page; {rewrite}"
