"""The `labelstream` command: one module per command; the only package that may import everything."""
