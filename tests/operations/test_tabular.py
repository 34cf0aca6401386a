"""Arrow batches of changes and items: what a damaged image does to its batch."""

from __future__ import annotations

import pytest

from backstream.errors import Damaged
from backstream.model.changes.entry import Entry
from backstream.model.columns.schema import ColumnSchema
from backstream.operations.changes import SeenChange
from backstream.operations.tabular.batches import BatchBuilder, ItemRow

SOUND = b'{"id":{"S":"a"},"n":{"N":"1"}}'
DAMAGED = [b"{", b'{"id":{"S":"b"},"n":{"X":"1"}}', b'{"id":{"S":"\xff"}}', b'{"id":{"S":"b"},"l":{"L":["\xff"]}}']


def entry(event: str = "MODIFY") -> Entry:
    return Entry("2026-01-01T00:00:00.000", "123", 1_000_000, event, "", None, b'{"id":{"S":"b"}}')


@pytest.mark.parametrize("image", DAMAGED)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_damaged_image_is_named_and_the_other_changes_of_its_batch_are_there(image: bytes, is_new: bool) -> None:  # noqa: FBT001
    images = (SOUND, image) if is_new else (image, SOUND)
    seen = [
        SeenChange(b'{"id":{"S":"a"}}', entry("INSERT"), None, SOUND),
        SeenChange(b'{"id":{"S":"b"}}', entry(), *images),
        SeenChange(b'{"id":{"S":"c"}}', entry("REMOVE"), SOUND, None),
    ]
    with pytest.raises(Damaged, match=r'the change 123 of {"id":{"S":"b"}}'):
        BatchBuilder(ColumnSchema()).changes(seen, [None] * 3)
    told = list[Damaged]()
    batch = BatchBuilder(ColumnSchema(), told.append).changes(seen, ["me", None, None])
    assert len(told) == 1
    assert batch.column("id_s").to_pylist() == ["a", "b", "c"]
    assert batch.column("n_n").to_pylist() == ["1", None, None]
    assert batch.column("sequence").to_pylist() == ["123".zfill(40)] * 3
    assert [note is None for note in batch.column("note").to_pylist()] == [True, False, True]
    assert batch.column("changed").to_pylist() == [["id", "n"], [], ["id", "n"]]


@pytest.mark.parametrize("image", DAMAGED)
def test_a_damaged_item_is_named_and_left_out(image: bytes) -> None:
    items = [ItemRow(b'{"id":{"S":"a"}}', entry(), SOUND), ItemRow(b'{"id":{"S":"b"}}', entry(), image)]
    with pytest.raises(Damaged, match=r'the item {"id":{"S":"b"}}'):
        BatchBuilder(ColumnSchema()).items(items)
    told = list[Damaged]()
    batch = BatchBuilder(ColumnSchema(), told.append).items(items)
    assert (len(told), batch.column("image").to_pylist()) == (1, [SOUND.decode()])


def test_fields_tell_the_true_names() -> None:
    image = '{"id":{"S":"a"},"Größe.cm":{"N":"1"}}'.encode()
    batch = BatchBuilder(ColumnSchema()).items([ItemRow(b'{"id":{"S":"a"}}', entry(), image)])
    field = batch.schema.field(len(batch.schema) - 1)
    assert field.metadata == {b"attribute": "Größe.cm".encode(), b"type": b"N"}
    assert field.name.isascii()
