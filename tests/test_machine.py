"""What the process keeps of the memory it frees."""

import os
import resource
import sys

import numpy as np
import pytest

from taskct.machine import memory_kept

MIB = 2**20


def pages_asked_for() -> int:
    """Pages that the system hands over while arrays of 144 MiB together are made and freed, over and over."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [np.ones(2 * MIB // 8) for _ in range(72)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_is_asked_for_once() -> None:
    once = 144 * MIB / os.sysconf("SC_PAGE_SIZE")
    with memory_kept():
        pages_asked_for()
        assert pages_asked_for() < 0.5 * once
    assert pages_asked_for() > 5 * once  # it went back
