"""The whole stack on one machine without Docker: broker, PostgreSQL and the four services as child processes.

For laptops and tests, never for production. Everything listens on 127.0.0.1, on ports that were free.
"""
