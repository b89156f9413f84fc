"""What the trainer does on its own clock."""
