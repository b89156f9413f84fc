"""`labelstream drift`: the detectors over a recorded stream."""
