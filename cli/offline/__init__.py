"""The engines on files: the same code as in the services, without a broker or a database."""
