"""Write `docs/validation.md`: every claim of the statistics and observers, measured.

.venv/bin/python tests/validation/page.py
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from validation.check import Check

PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
AREAS = {
    "roc": "ROC analysis",
    "linear_observers": "Hotelling, prewhitening and non-prewhitening observers",
    "small_regions": "Non-prewhitening observers on small and odd regions",
    "channelized": "Channelized Hotelling observers and their exact interval",
    "localization": "Detection with localization, and learning curves",
    "ideal_observers": "Approximations of the ideal observer",
    "mrmc": "Multi-reader multi-case analysis",
    "obuchowski_rockette": "Obuchowski–Rockette analysis and Hillis' degrees of freedom",
    "free_response": "Marks: FROC and AFROC figures of merit",
    "proportions": "Proportions over readers and cases",
    "sizing": "Sizing of reader studies",
    "programs": "A program against readers",
    "agreement": "Agreement of readers",
    "shared_backgrounds": "A study whose test trials share backgrounds",
    "observing": "Observers on a user's images",
    "cross_validated": "Observers cross-validated over repeated scans",
    "dose_curves": "Curves against dose",
    "denoising": "What a denoiser changes",
    "human": "Observers fitted to people",
}
HEAD = """# Validation

`python tests/validation/page.py` writes this page. A test computes every line again, holds it to its bounds and
compares it with this page.

- *Expected* is a closed form or a law.
- *Allowed* follows from a standard error, a requirement or an allowance, which the last column names. It never follows
  from what came out. Lines that are reported as they are say so: those are known shortfalls.
- All random numbers are seeded.
"""


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def row(check: Check) -> str:
    """One line of a table."""
    expected = "" if check.expected is None else number(check.expected)
    allowed = f"{number(check.low)} to {number(check.high)}"
    return f"| {check.claim} | {expected} | {allowed} | {number(check.measured)} | {check.basis} |"


def section(area: str, checks: Sequence[Check]) -> str:
    """The table of one area."""
    head = "| claim | expected | allowed | measured | basis of what is allowed |\n|---|---|---|---|---|"
    return "\n".join([f"## {AREAS[area]}", "", head, *map(row, checks)]) + "\n"


def checks_of(area: str) -> list[Check]:
    """Measure one area."""
    checks: list[Check] = importlib.import_module(f"validation.{area}").checks()
    return checks


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    for area in AREAS:
        checks = checks_of(area)
        failed = [check.claim for check in checks if not check.passes]
        sys.stdout.write(f"{area}: {len(checks)} checks, {len(failed)} outside their bounds {failed}\n")
        parts.append(section(area, checks))
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
