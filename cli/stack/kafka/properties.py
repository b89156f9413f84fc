"""The settings of one small Kafka node."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INTERNAL, CONTROLLER = "INTERNAL", "CONTROLLER"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of 127.0.0.1: of clients, of the controller, and of each extra listener."""

    broker: int
    controller: int
    extra: Mapping[str, int]


def server_properties(
    logs: Path, ports: Ports, extra_listeners: Mapping[str, str], overrides: Mapping[str, str]
) -> dict[str, str]:
    """Settings of a node that is broker and controller.

    Args:
        logs: its data directory.
        ports: where it listens.
        extra_listeners: name to security protocol of listeners beside the plain one, e.g. {"SECURE": "SASL_SSL"}.
        overrides: further settings of Kafka; they win.
    """
    names = {INTERNAL: ports.broker, CONTROLLER: ports.controller, **ports.extra}
    addresses = {name: f"{name}://127.0.0.1:{port}" for name, port in names.items()}
    protocols = {INTERNAL: "PLAINTEXT", CONTROLLER: "PLAINTEXT", **extra_listeners}
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",  # static: the port may change between starts
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": INTERNAL,
        "listeners": ",".join(addresses.values()),
        "advertised.listeners": ",".join(address for name, address in addresses.items() if name != CONTROLLER),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "log.dirs": str(logs),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        # After kill -9 the controller waits for the old session to end: with the defaults that takes 12 s, so 4 s.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "200",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "8388608",
        **overrides,
    }


def render(properties: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in properties.items())
