"""Keys go where every other client of Kafka puts them."""

from aiokafka import partitioner
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.partition import murmur2, partition_of


@given(st.binary(max_size=70))
def test_the_hash_is_that_of_aiokafka(key: bytes) -> None:
    assert murmur2(key) == partitioner.murmur2(key)


@given(st.binary(max_size=70), st.integers(1, 50))
def test_the_partition_is_that_of_aiokafka(key: bytes, number: int) -> None:
    partitions = list(range(number))
    assert partition_of(key, partitions) == partitioner.DefaultPartitioner()(key, partitions, partitions)


def test_the_hash_is_that_of_the_java_client() -> None:
    """Values of org.apache.kafka.common.utils.UtilsTest.testMurmur2."""
    java = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    assert {key: murmur2(key) for key in java} == {key: value & 0xFFFFFFFF for key, value in java.items()}


def test_without_a_key_any_partition_will_do() -> None:
    assert {partition_of(None, [0, 1, 2]) for _ in range(200)} == {0, 1, 2}
