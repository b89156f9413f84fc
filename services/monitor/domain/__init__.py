"""The pure part of monitor: facts, counters, windows, and the relabel decision."""
