"""The identity of a Kafka that we format."""

from uuid import UUID

from cli.stack.kafka.broker import new_cluster_id

DASHED, PLAIN = UUID(bytes=b"\xf8" + bytes(15)), UUID(bytes=b"\x04" + bytes(15))


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    drawn = iter([DASHED, PLAIN])
    assert new_cluster_id(lambda: next(drawn)) == "BAAAAAAAAAAAAAAAAAAAAA"
