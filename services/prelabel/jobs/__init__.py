"""What prelabel does beside its handlers: follows the live models, and reads the sources."""
