"""What a process frees is there for its next arrays, without new pages."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from shared.runtime.memory import keep_freed
if sys.argv[1] == "kept":
    assert keep_freed()
def work():
    return sum(float(np.ones(n * 40_000).sum()) for n in range(1, 20) for _ in [np.ones(400_000)])
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told how to give memory back")
def test_memory_that_was_freed_is_used_again() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", FAULTS, how]))  # noqa: S603  # this text
        for how in ("kept", "given back")
    }
    assert faults["kept"] < 100 < faults["given back"] / 10
