"""What an item's source and client are, by the fields that its project names."""

import pytest

from services.prelabel.domain.along import along_of
from shared.events import Drift, Origin, Slice, SliceOf
from shared.events.items import Metadata
from tests.support import events as make

ORIGIN = Origin(source="shop", topic="shop.reviews", partition=3, offset=9)
METADATA: Metadata = {"client": "ios-7", "region": "eu", "beta": True, "build": 12, "none": None, "empty": ""}
VIP = Slice(name="vip", when=SliceOf(metadata={"region": ("eu",)}), policy=make.policy())


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("source", "shop"),
        ("topic", "shop.reviews"),
        ("partition", "shop.reviews/3"),
        ("slice", "vip"),
        ("metadata.region", "eu"),
        ("metadata.beta", "true"),
        ("metadata.build", "12"),
        ("metadata.none", None),
        ("metadata.empty", None),
        ("metadata.unknown", None),
    ],
)
def test_a_project_names_the_fields(field: str, found: str | None) -> None:
    spec = make.project_spec(drift=Drift(source=field, client=field), slices=(VIP,))
    assert along_of(spec, METADATA, ORIGIN)[:2] == (found, found)


def test_without_a_name_it_is_the_source_else_the_slice_and_the_client_of_the_metadata() -> None:
    spec = make.project_spec(slices=(VIP,))
    assert along_of(spec, METADATA, ORIGIN)[:2] == ("shop", "ios-7")
    assert along_of(spec, METADATA, None) == ("vip", "ios-7", "vip")
    assert along_of(spec, {}, None)[:2] == (None, None)
    assert along_of(make.project_spec(), METADATA, None)[:2] == (None, "ios-7")


def test_what_is_too_long_is_cut_and_what_is_no_field_refused() -> None:
    spec = make.project_spec()
    assert along_of(spec, {"client": "x" * 300}, None).client == "x" * 200
    with pytest.raises(ValueError, match="source"):
        Drift(source="offset")
