"""What the trainer decides: pure, synchronous, deterministic."""
