"""What prelabel decides: pure, synchronous, deterministic. Arrays and values in, predictions and items out."""
