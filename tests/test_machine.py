"""What the process keeps of the memory it frees."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, resource
import numpy as np
from taskct.machine import memory_kept

MIB = 2**20

def pages_asked_for():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [np.ones(2 * MIB // 8) for _ in range(72)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with memory_kept():
    pages_asked_for()
    within = pages_asked_for()
once = 144 * MIB / os.sysconf("SC_PAGE_SIZE")
print(within / once, pages_asked_for() / once)
"""
"""How often the system hands over the pages of 144 MiB that are made and freed ten times: within, and after."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_is_asked_for_once() -> None:
    """In a process of its own: what another test left on the heap would keep memory from going back."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    within, after = map(float, done.stdout.split())
    assert within < 0.5
    assert after > 5.0  # it went back
