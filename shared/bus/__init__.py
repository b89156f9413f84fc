"""Kafka: reading with offsets in PostgreSQL, publishing through an outbox, dead letters, reference topics."""
