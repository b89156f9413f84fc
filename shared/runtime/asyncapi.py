"""The AsyncAPI document of a service, by FastStream from the service's own declarations."""

from collections.abc import Sequence
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification.asyncapi import AsyncAPI

from shared.topics import Topic


def describe(service: str, inputs: Sequence[Topic[Any]], outputs: Sequence[Topic[Any]]) -> dict[str, Any]:
    """AsyncAPI 3.0 as plain JSON values.

    Args:
        service: its name.
        inputs: the topics it reads, reference topics included.
        outputs: the topics it writes.
    """
    broker = KafkaBroker("broker:9092", logger=None)
    for topic in inputs:
        union: Any = topic.event._type  # noqa: SLF001  # the annotation that the adapter was made of

        async def read(body) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # annotated below
            """Read one record."""

        read.__annotations__["body"] = union
        broker.subscriber(topic.name, title=f"{topic.name}:read", description=topic.about)(read)
    for topic in outputs:
        broker.publisher(
            topic.name,
            title=f"{topic.name}:write",
            description=topic.about,
            schema=topic.event._type,  # noqa: SLF001
        )
    specification = AsyncAPI(broker, title=f"Labelstream {service}", version="1", schema_version="3.0.0")
    document: dict[str, Any] = specification.to_specification().to_jsonable()
    return document
