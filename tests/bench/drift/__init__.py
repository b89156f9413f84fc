"""Drift detectors beside River's ADWIN on the same simulated streams."""
