"""Whether a list names all children of a closed shard, as far as it tells."""

from __future__ import annotations

import pytest

from backstream.operations.capture.children import all_listed
from backstream.ports import Shard


def shard(name: str, parent: str | None = None, hashes: tuple[int, int] | None = None, adjacent: str | None = None) -> Shard:
    return Shard(name, parent, "1", None, adjacent, hashes)


@pytest.mark.parametrize(
    ("children", "sure"),
    [
        ([], False),
        ([shard("b", "a")], None),
        ([shard("b", "a"), shard("c", "a")], True),
    ],
)
def test_of_a_dynamodb_stream_an_only_child_may_have_a_sibling(children: list[Shard], sure: bool | None) -> None:  # noqa: FBT001
    assert all_listed(shard("a"), children) is sure


@pytest.mark.parametrize(
    ("children", "sure"),
    [
        ([], False),
        ([shard("b", "a", (0, 49))], False),
        ([shard("c", "a", (50, 99))], False),
        ([shard("c", "a", (50, 99)), shard("b", "a", (0, 49))], True),
        ([shard("b", "a", (0, 48)), shard("c", "a", (50, 99))], False),
        ([shard("m", "a", (0, 199), adjacent="z")], True),
        ([shard("m", "z", (0, 99), adjacent="a")], True),
        ([shard("b", "a")], None),
    ],
)
def test_of_a_kinesis_stream_the_hash_keys_tell(children: list[Shard], sure: bool | None) -> None:  # noqa: FBT001
    assert all_listed(shard("a", hashes=(0, 99)), children) is sure
