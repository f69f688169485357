"""What `taskct observe` lets a user choose by a word; apart from what computes, so that `--help` answers at once."""

from typing import Literal

Mode = Literal["whole", "centred", "scanning"]
"""What observers see and search; see `Task.mode`."""

CaseFrom = Literal["series", "acquisition", "file"]
"""What makes images one case; see `cases_of`."""

PairBy = Literal["auto", "name"]
"""How images are paired with those that they are compared with; see `pair`."""
