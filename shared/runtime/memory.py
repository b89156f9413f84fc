"""How the C library gives memory back: what a batch frees is kept for the next one, up to a limit."""

import ctypes

KEPT = 64 * 1024 * 1024
"""Bytes at the end of the heap that are not given back, and the smallest array that has pages of its own."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def keep_freed() -> bool:
    """Set it for this process; whether there was anything to set: only the GNU C library has it.

    Else arrays of some hundred kilobytes come from pages that are taken anew for each of them: a sixth of the time in
    which one item with many polygons is fused.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(change(name, KEPT) == 1 for name in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
