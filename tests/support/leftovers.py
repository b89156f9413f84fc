"""Sockets that a client library let fall when it was refused or cut off."""

import gc
import warnings


def collect_left_behind() -> None:
    """Collect garbage now; such sockets are no error here, and none later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
