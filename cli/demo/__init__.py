"""The whole of Labelstream in a minute, on real images: embedded stack, first model, simulated people, final report."""
