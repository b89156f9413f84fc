"""The same stories on the embedded broker, which lists wrong ends of topics and knows no start by time."""

import pytest

from shared.runtime.settings import KafkaSettings
from tests.integration.prelabel.test_service import (
    test_a_refresh_is_answered_by_the_new_model,
    test_a_restart_goes_on_where_it_was,
    test_from_no_model_to_two_models_under_load,
)
from tests.integration.prelabel.test_sources import (
    test_a_second_start_reads_nothing_again,
    test_a_source_may_start_at_the_end,
    test_poison_goes_to_the_dead_letters_byte_for_byte,
    test_records_of_librdkafka_become_items,
    test_sampling_is_recorded,
    topic,
)

__all__ = [
    "test_a_refresh_is_answered_by_the_new_model",
    "test_a_restart_goes_on_where_it_was",
    "test_a_second_start_reads_nothing_again",
    "test_a_source_may_start_at_the_end",
    "test_from_no_model_to_two_models_under_load",
    "test_poison_goes_to_the_dead_letters_byte_for_byte",
    "test_records_of_librdkafka_become_items",
    "test_sampling_is_recorded",
    "topic",
]

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def kafka_settings(tansu_settings: KafkaSettings) -> KafkaSettings:
    return tansu_settings
