"""Servers that ask who is there: Apache Kafka and PostgreSQL with TLS, passwords, tokens and rights."""
