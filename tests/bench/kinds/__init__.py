"""Consensus of every kind on recorded crowds and on generated annotators: `python -m tests.bench.kinds`."""
