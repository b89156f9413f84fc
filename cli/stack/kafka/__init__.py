"""Apache Kafka on the local JVM: one node in KRaft mode, from its Maven artifacts."""

from cli.stack.kafka.broker import Kafka
from cli.stack.kafka.jars import resolve

__all__ = ["Kafka", "resolve"]
