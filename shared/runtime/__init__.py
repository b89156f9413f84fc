"""What every service process is made of: settings, the service itself, health, metrics, logs."""
