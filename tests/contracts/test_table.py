"""The contract of `ports.Table`, on each implementation: memory, and DynamoDB's protocol over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Failed, MissingTable, TargetNotEmpty
from backstream.model.changes.change import VIEW
from backstream.model.tables.creation import on_demand
from backstream.model.tables.settings import PARTS
from backstream.model.tables.settings_changes import differences
from backstream.model.tables.setup import DYNAMODB, SetupStep, TableNames, plan
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.ports import MOST_AT_ONCE, ConditionalWrite, Delete, Put, ScanPage, Table, Write
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.memory import MemoryTable
from kit import furnished, images
from kit.aws import Aws
from kit.transports import TRANSPORTS, dynamodb


@pytest.fixture(params=["memory", *TRANSPORTS])
def absent(request: pytest.FixtureRequest, table_name: str) -> Table:
    """A table that does not exist yet."""
    if request.param == "memory":
        return MemoryTable(table_name, SystemClock(), page_items=10)
    aws: Aws = request.getfixturevalue("aws")
    return DynamoTable(dynamodb(aws, request.param), table_name, SystemClock())


@pytest.fixture
def table(absent: Table) -> Table:
    """A new, empty table of `images.SCHEMA`."""
    absent.create(on_demand(images.SCHEMA))
    return absent


def by_key(table: Iterable[bytes]) -> dict[bytes, bytes]:
    """Images by canonical key; fails on a key that comes twice."""
    found = [(wire.key_of(images.SCHEMA, image), image) for image in table]
    assert len(dict(found)) == len(found), "a key came twice"
    return dict(found)


def content(table: Table) -> dict[bytes, bytes]:
    """All of a table."""
    return by_key(image for page in table.scan() for image in page)


def protection(table: Table) -> SetupStep:
    """A step for any table."""
    request = {"TableName": table.name, "DeletionProtectionEnabled": True}
    return SetupStep("deletion protection", DYNAMODB, "UpdateTable", request)


def fill(table: Table, items: Iterable[bytes]) -> None:
    """Put items, 25 at a time."""
    puts = [Put(item) for item in items]
    for start in range(0, len(puts), 25):
        assert table.write(puts[start : start + 25]) == []


# --- images -----------------------------------------------------------------------------------------------------------------------


def test_hard_items_come_back_as_they_went_in(table: Table) -> None:
    hard = images.hard_images()
    fill(table, hard.values())
    scanned = content(table)
    fetched = by_key(table.fetch(list(hard.values())))
    assert len(scanned) == len(fetched) == len(hard)
    for name, image in hard.items():
        key = wire.key_of(images.SCHEMA, image)
        assert wire.same_image(scanned[key], image), f"scan: {name}"
        assert wire.same_image(fetched[key], image), f"fetch: {name}"


@pytest.mark.parametrize(
    ("schema", "item"),
    [
        (KeySchema(KeyAttribute("id", "S")), b'{"id":{"S":"a"}}'),
        (KeySchema(KeyAttribute("id", "N")), b'{"id":{"N":"-0.5"},"x":{"NULL":true}}'),
        (KeySchema(KeyAttribute("id", "B")), b'{"id":{"B":"AP8="}}'),
        (KeySchema(KeyAttribute("z", "B"), KeyAttribute("a", "B")), b'{"a":{"B":"AA=="},"z":{"B":"/w=="}}'),
        (KeySchema(KeyAttribute("z", "N"), KeyAttribute("a", "S")), b'{"a":{"S":"a|b"},"z":{"N":"1E+2"}}'),
    ],
)
def test_keys_of_every_type(absent: Table, schema: KeySchema, item: bytes) -> None:
    absent.create(on_demand(schema))
    assert absent.facts().schema == schema
    assert absent.write([Put(item)]) == []
    (found,) = absent.fetch([wire.key_of(schema, item)])
    assert wire.same_image(found, item)
    assert absent.write([Delete(wire.key_of(schema, item))]) == []
    assert absent.is_empty()[0]


# --- writes -----------------------------------------------------------------------------------------------------------------------


def test_one_batch_puts_replaces_and_deletes(table: Table) -> None:
    fill(table, [images.image("a", n, v={"S": "old"}) for n in range(3)])
    batch: list[Write] = [
        Put(images.image("a", 0, v={"S": "new"})),
        Delete(images.key("a", 1)),
        Delete(images.key("never", 1)),
        Put(images.image("a", 9)),
    ]
    assert table.write(batch) == []
    expected = [images.image("a", 0, v={"S": "new"}), images.image("a", 2, v={"S": "old"}), images.image("a", 9)]
    found = content(table)
    assert found.keys() == by_key(expected).keys()
    assert all(wire.same_image(found[key], image) for key, image in by_key(expected).items())


def test_a_put_replaces_the_whole_item(table: Table) -> None:
    fill(table, [images.image("a", "1.50", old={"S": "gone"})])
    fill(table, [images.image("a", "1.5", new={"S": "here"})])
    (found,) = content(table).values()
    assert wire.same_image(found, images.image("a", "1.5", new={"S": "here"}))


def test_a_write_gives_way_to_what_somebody_has_changed(table: Table) -> None:
    for name, image in images.hard_images().items():
        fields = msgspec.json.decode(image, type=dict[str, msgspec.Raw])
        other = msgspec.json.encode({**fields, "mark": {"N": "2"}})
        image = msgspec.json.encode({**fields, "mark": {"N": "1"}})
        keys = wire.key_of(images.SCHEMA, image)
        assert table.write_if(Put(image), None), name
        assert not table.write_if(Put(other), None), f"it is there: {name}"
        assert not table.write_if(Delete(keys), other), name
        assert wire.same_image(by_key(table.fetch([keys]))[keys], image), f"nothing was done: {name}"
        assert table.write_if(Put(other), image), name
        assert not table.write_if(Put(image), image), f"it is so no more: {name}"
        assert table.write_if(Delete(keys), other), name
        assert not table.write_if(Delete(keys), other), f"it is gone: {name}"
    assert content(table) == {}


def test_many_conditional_writes_give_way_one_by_one_and_are_told_in_order(table: Table) -> None:
    """More than are under way at a time: some items are as expected, some are not, and some exist though they should not."""
    numbers = range(MOST_AT_ONCE * 2 + 3)
    there = {n: images.image("a", n, v={"S": "theirs"}) for n in numbers if n % 3}
    fill(table, list(there.values()))
    ours = {n: images.image("a", n, v={"S": "ours"}) for n in numbers}
    writes = [ConditionalWrite(Put(ours[n]), there.get(n) if n % 3 < 2 else None) for n in numbers]
    assert table.write_each(writes) == [n % 3 < 2 for n in numbers]
    expected = by_key([ours[n] if n % 3 < 2 else there[n] for n in numbers])
    found = content(table)
    assert found.keys() == expected.keys()
    assert all(wire.same_image(found[key], image) for key, image in expected.items())
    deletes = [ConditionalWrite(Delete(images.key("a", n)), ours[n]) for n in numbers]
    assert table.write_each(deletes) == [n % 3 < 2 for n in numbers]
    assert content(table).keys() == by_key([there[n] for n in numbers if n % 3 == 2]).keys()
    assert table.write_each([]) == []


def test_a_change_is_made_only_of_an_item_that_is_as_it_was(table: Table) -> None:
    for name, before in images.hard_images().items():
        fields = wire.decode(before)
        keys = wire.key_of(images.SCHEMA, before)
        gone = next((each for each in fields if each not in images.SCHEMA.names), None)
        after = msgspec.json.encode({**{each: value for each, value in fields.items() if each != gone}, "mark": {"N": "1"}})
        assert not table.change_if(after, before), f"it does not exist: {name}"
        table.write([Put(before)])
        assert table.change_if(after, before), name
        assert wire.same_image(by_key(table.fetch([keys]))[keys], after), name
        assert not table.change_if(after, before), f"it is so no more: {name}"
        table.write([Delete(keys)])


def test_a_change_leaves_alone_what_somebody_has_added(table: Table) -> None:
    before, keys = images.image("a", 1, n={"N": "1"}), images.key("a", 1)
    table.write([Put(images.image("a", 1, n={"N": "1.0"}, other={"S": "theirs"}))])
    assert table.change_if(images.image("a", 1, n={"N": "2"}, new={"S": "x"}), before)
    (found,) = table.fetch([keys])
    assert wire.same_image(found, images.image("a", 1, n={"N": "2"}, new={"S": "x"}, other={"S": "theirs"}))
    assert not table.change_if(images.image("a", 1, n={"N": "2"}, other={"S": "mine"}), images.image("a", 1, n={"N": "2"}))


def test_a_change_of_very_many_attributes(table: Table) -> None:
    before = images.image("a", 1, **{f"a{number}": {"N": "1"} for number in range(250)})
    few = images.image("a", 1, **{f"a{number}": {"N": "2" if number < 10 else "1"} for number in range(250)})
    many = images.image("a", 1, **{f"a{number}": {"N": "3"} for number in range(250)})
    table.write([Put(before)])
    assert table.change_if(few, before)
    assert not table.change_if(many, before)
    assert table.change_if(many, few)
    (found,) = table.fetch([images.key("a", 1)])
    assert wire.same_image(found, many)


def test_nothing_to_write(table: Table) -> None:
    assert table.write([]) == []


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param([Put(images.image("a", 1)), Delete(images.key("a", 1))], id="two writes on one key"),
        pytest.param([Put(images.image("a", n)) for n in range(26)], id="26 writes"),
        pytest.param([Put(images.image("a", 1)), Put(b'{"zone":{"S":"no number"}}')], id="an item without its key"),
    ],
)
def test_a_refused_batch_writes_nothing(table: Table, batch: list[Write]) -> None:
    with pytest.raises(Failed):
        table.write(batch)
    assert table.is_empty()[0]


# --- reads ------------------------------------------------------------------------------------------------------------------------


def test_a_large_table_comes_in_pages(table: Table) -> None:
    items = [images.image("a", n, fill={"S": "x" * 60_000}) for n in range(40)]  # 2.4 MB, and a page has 1 MB
    fill(table, items)
    pages = list(table.scan())
    assert len(pages) > 1
    assert all(pages)
    assert by_key(image for page in pages for image in page).keys() == by_key(items).keys()


@pytest.mark.parametrize("segments", [1, 2, 7])
def test_segments_are_disjoint_and_complete(table: Table, segments: int) -> None:
    items = [images.image(f"zone {n % 30}", n) for n in range(100)]
    fill(table, items)
    parts = [[image for page in table.scan(segment, segments) for image in page] for segment in range(segments)]
    assert by_key(image for part in parts for image in part).keys() == by_key(items).keys()
    assert segments == 1 or sum(map(bool, parts)) > 1, "all items in one segment"


def test_fetch_of_many_keys(table: Table) -> None:
    items = [images.image("a", n, v={"N": str(n)}) for n in range(230)]
    fill(table, items)
    absent = [images.key("b", n) for n in range(40)]
    twice = [images.key("a", f"{n}.0") for n in range(0, 230, 3)]
    found = by_key(table.fetch([*absent, *items, *twice]))  # only the key attributes of an image are looked at
    assert found.keys() == by_key(items).keys()
    assert all(wire.same_image(found[key], image) for key, image in by_key(items).items())


def test_fetch_of_nothing(table: Table) -> None:
    assert list(table.fetch([])) == []
    assert list(table.fetch([images.key("a", 1)])) == []


def test_emptiness_and_when(table: Table) -> None:
    before = time.time()
    empty, when = table.is_empty()
    assert empty
    assert before - 2 < when < time.time() + 2
    fill(table, [images.image("a", 1)])
    assert not table.is_empty()[0]


# --- pages ------------------------------------------------------------------------------------------------------------------------


def pages(table: Table, segment: int, segments: int, limit: int | None = None, after: bytes | None = None) -> Iterator[ScanPage]:
    """Every page of a segment, each asked for after the last one."""
    while True:
        page = table.page(segment, segments, after, limit)
        yield page
        after = page.after
        if after is None:
            return


@pytest.mark.parametrize("limit", [None, 1, 7])
@pytest.mark.parametrize("segments", [1, 3])
def test_the_pages_of_all_segments_are_the_table_each_item_once(table: Table, segments: int, limit: int | None) -> None:
    hard = list(images.hard_images().values())[:40]
    fill(table, hard)
    read = [page for segment in range(segments) for page in pages(table, segment, segments, limit)]
    found = by_key(image for page in read for image in page.images)
    assert found.keys() == by_key(hard).keys()
    assert all(wire.same_image(found[key], image) for key, image in by_key(hard).items())
    assert all(len(page.images) <= (limit or 1000) for page in read)
    assert limit is None or len(read) >= len(hard) / limit


def test_an_empty_table_is_one_empty_page(table: Table) -> None:
    page = table.page(0, 1, None)
    assert (page.images, page.after) == ([], None)


def test_pages_go_on_after_any_key_in_any_spelling(table: Table) -> None:
    """After the last item of a page as after the page itself: a base backup remembers no more than that."""
    numbers = ["0", "-1.5", "1E+100", "12345678901234567890123456789012345678", "0.000001", "7", "100"]
    items = [images.image(zone, number) for zone in ("a", "b|/", "\u00e9") for number in numbers]
    fill(table, items)
    order = [wire.key_of(images.SCHEMA, image) for page in pages(table, 0, 1) for image in page.images]
    assert len(order) == len(items)
    for place, key in enumerate(order):
        rest = [wire.key_of(images.SCHEMA, image) for page in pages(table, 0, 1, after=key) for image in page.images]
        assert rest == order[place + 1 :]


@pytest.mark.parametrize("segments", [1, 2])
def test_pages_go_on_after_an_item_that_was_deleted_meanwhile(table: Table, segments: int) -> None:
    items = [images.image(f"zone {number % 7}", number) for number in range(30)]
    fill(table, items)
    for segment in range(segments):
        whole = [wire.key_of(images.SCHEMA, image) for page in pages(table, segment, segments) for image in page.images]
        page = table.page(segment, segments, None, limit=4)
        read = [wire.key_of(images.SCHEMA, image) for image in page.images]
        assert read == whole[:4]
        assert page.after is not None
        assert table.write([Delete(key) for key in read]) == []
        rest = [
            wire.key_of(images.SCHEMA, image) for each in pages(table, segment, segments, 4, page.after) for image in each.images
        ]
        assert rest == whole[4:]


def test_a_page_says_when_it_was_answered_and_what_it_took(table: Table) -> None:
    fill(table, [images.image("a", number, fill={"S": "x" * 5_000}) for number in range(8)])
    before = table.server_time()
    page = table.page(0, 1, None)
    after = table.server_time()
    assert before <= page.answered <= after
    assert page.answered == int(page.answered)
    assert page.units is None or page.units > 0


def test_the_servers_time_is_whole_and_not_later_than_now(table: Table) -> None:
    for _ in range(3):
        before = time.time()
        told = table.server_time()
        assert told == int(told)
        assert int(before) - 1 <= told <= time.time()


def test_no_such_segment(table: Table) -> None:
    with pytest.raises(Failed):
        table.page(2, 2, None)


# --- the table itself -------------------------------------------------------------------------------------------------------------


def test_facts_of_a_new_table(table: Table) -> None:
    facts = table.facts()
    assert (facts.name, facts.schema, facts.status) == (table.name, images.SCHEMA, "ACTIVE")
    assert facts.arn.endswith(f"table/{table.name}")
    assert (facts.stream_arn, facts.stream_enabled, facts.stream_view) == (None, False, None)
    assert wire.attribute(b'{"Table":' + facts.description + b"}", "Table") is not None


def test_settings_of_a_new_table(table: Table) -> None:
    settings = table.settings()
    assert settings.table["TableName"] == table.name
    assert [each["AttributeName"] for each in settings.table["KeySchema"]] == list(images.SCHEMA.names)
    assert "ItemCount" not in settings.table
    assert (settings.time_to_live, settings.tags, settings.resource_policy) == (None, {}, None)
    assert set(settings.unknown) <= set(PARTS)


def test_settings_are_the_same_until_one_is_changed(table: Table) -> None:
    before = table.settings()
    fill(table, [images.image("a", n) for n in range(3)])
    assert table.settings() == before, "items are no setting"
    table.enable_stream()
    assert differences(before, table.settings()) == [
        f'StreamSpecification: none -> {{"StreamEnabled":true,"StreamViewType":"{VIEW}"}}'
    ]


def test_a_table_is_created_with_its_settings(absent: Table) -> None:
    names = TableNames(furnished.ARN, furnished.ARN)
    described = {name: value for name, value in furnished.table().items() if name not in ("SSEDescription", "TableClassSummary")}
    wanted = furnished.settings(table=described)
    absent.create(plan(wanted, furnished.SCHEMA, names).creation)
    found = absent.settings()
    assert found.tags == wanted.tags
    for name in ("KeySchema", "ProvisionedThroughput", "StreamSpecification"):
        assert found.table[name] == described[name]
    for name in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        assert [_known(each, described[name][0]) for each in found.table[name]] == described[name]
    assert absent.facts().stream_enabled


def _known(line: Mapping[str, Any], members: Iterable[str]) -> dict[str, Any]:
    return {name: line[name] for name in members}


def test_steps_set_what_they_say(table: Table) -> None:
    arn = table.facts().arn
    names = TableNames(arn, arn)
    described = {"DeletionProtectionEnabled": True}
    wanted = furnished.settings(table=described, resource_policy=furnished.policy(arn))
    found = plan(wanted, images.SCHEMA, names)
    steps = [each for each in (found.time_to_live, *found.steps) if each is not None]
    for step in steps:
        if step.service == DYNAMODB and "Kinesis" not in step.what and "by-carrier" not in step.what:
            table.apply(step)
    settings = table.settings()
    assert (settings.time_to_live, settings.resource_policy) == ("expires", furnished.policy(arn))
    assert settings.point_in_time_recovery.enabled
    assert [each.index for each in settings.contributor_insights] == [None]
    assert settings.table["DeletionProtectionEnabled"] is True


def test_a_step_that_is_no_operation(table: Table) -> None:
    with pytest.raises(Failed):
        table.apply(SetupStep("nonsense", DYNAMODB, "MakeTea", {"TableName": table.name}))


def test_enabling_the_stream(table: Table) -> None:
    table.enable_stream()
    facts = table.facts()
    assert facts.stream_enabled
    assert facts.stream_view == VIEW
    assert facts.stream_arn is not None
    assert facts.stream_arn.startswith(f"{facts.arn}/stream/")
    table.enable_stream()
    assert table.facts().stream_arn == facts.stream_arn, "enabling again must not make a new stream"


def test_a_name_that_is_taken(table: Table) -> None:
    with pytest.raises(TargetNotEmpty):
        table.create(on_demand(images.SCHEMA))


def test_a_deleted_table_is_gone_with_its_items_and_its_name_is_free(table: Table) -> None:
    fill(table, [images.image("a", n) for n in range(30)])
    table.delete()
    with pytest.raises(MissingTable):
        table.facts()
    table.create(on_demand(images.SCHEMA))
    assert table.is_empty()[0]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda table: table.delete(), id="delete"),
        pytest.param(lambda table: table.facts(), id="facts"),
        pytest.param(lambda table: table.settings(), id="settings"),
        pytest.param(lambda table: table.is_empty(), id="is_empty"),
        pytest.param(lambda table: list(table.scan()), id="scan"),
        pytest.param(lambda table: table.page(0, 1, None), id="page"),
        pytest.param(lambda table: table.server_time(), id="server_time"),
        pytest.param(lambda table: table.fetch([images.key("a", 1)]), id="fetch"),
        pytest.param(lambda table: table.write([Put(images.image("a", 1))]), id="write"),
        pytest.param(lambda table: table.enable_stream(), id="enable_stream"),
        pytest.param(lambda table: table.apply(protection(table)), id="apply"),
    ],
)
def test_a_table_that_does_not_exist(absent: Table, use: Callable[[Table], object]) -> None:
    with pytest.raises(MissingTable, match=absent.name):
        use(absent)
