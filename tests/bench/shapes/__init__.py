"""Shapes drawn by annotators with stated noise, and what fusing them comes to: `python -m tests.bench.shapes`."""
