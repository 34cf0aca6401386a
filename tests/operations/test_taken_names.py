"""A name in the log that somebody else has taken: function, tail and witness compare before they acknowledge anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zstandard

from backstream.errors import NameTaken
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.clock import ManualClock
from kit.records import lambda_record
from kit.stage import Stage

LOG = "_backstream/flights/log/"
Forged = Callable[[bytes], bytes]


class Thief(MemoryStore):
    """A store in which somebody puts `forged(body)` under each new segment's name, before its writer does."""

    forged: Forged | None = None

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        if self.forged is not None and name.startswith(LOG):
            super().put(name, self.forged(body), metadata)
        return super().put(name, body, metadata, if_absent=if_absent, if_match=if_match)


@pytest.fixture(params=list(Layout))
def stage(request: pytest.FixtureRequest) -> Stage:
    clock = ManualClock()
    made = Stage(clock, layout=request.param, shards=1, store=Thief(clock))
    clock.move(100)
    made.put(range(3))
    return made


def thief(stage: Stage) -> Thief:
    assert isinstance(stage.store, Thief)
    return stage.store


def plain(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


def again(change: Callable[[bytes], bytes]) -> Forged:
    """The lines of a segment changed, and compressed by another level."""
    return lambda body: zstandard.ZstdCompressor(level=1).compress(change(plain(body)))


def other_states(lines: bytes) -> bytes:
    """The same keys, numbers and times: other images, or rows of other bytes."""
    return re.sub(rb'("BodySHA256":{"S":")[0-9a-f]', rb"\1-", lines).replace(b'"v":{"N":"', b'"v":{"N":"9')


def without_digests(lines: bytes) -> bytes:
    """As format 1 wrote them."""
    return re.sub(rb',"(OldDigest|NewDigest|BodySHA256)":{"S":"[0-9a-z]+"}', b"", lines)


def elsewhere(lines: bytes) -> bytes:
    """Naming other versions of the rows, as a second tail does."""
    return re.sub(rb'("VersionId":{"S":")0', rb"\g<1>7", lines)


FORGERIES: Mapping[str, Forged] = {
    "other states": again(other_states),
    "a line less": again(lambda lines: lines[: lines.index(b"\n") + 1]),
    "no lines": again(lambda _: b""),
    "no segment": lambda _: b"taken",
    "rows of format 1 that are not there": again(lambda lines: elsewhere(without_digests(other_states(lines)))),
}
SAME: Mapping[str, Forged] = {
    "the same bytes": lambda body: body,
    "compressed otherwise": again(lambda lines: lines),
    "as format 1 wrote it": again(without_digests),
    "other row versions": again(elsewhere),
    "lines in another order": again(lambda lines: b"".join(reversed(lines.splitlines(keepends=True)))),
    "attributes in another order": again(
        lambda lines: re.sub(rb'{"zone":({[^}]*}),"number":({[^}]*})}', rb'{"number":\2,"zone":\1}', lines)
    ),
}
forged = pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)


def delivered(stage: Stage) -> list[Mapping[str, Any]]:
    """All that is in the stream, as an invocation gets it."""
    stream = stage.table.stream
    (shard,) = stream.facts().shards
    return [lambda_record(each, stream.arn) for each in stream.read(shard.id, stream.iterator(shard.id, None)).changes]


def kept(stage: Stage, records: Sequence[Mapping[str, Any]]) -> BatchReport:
    """An invocation by a function of its own, which remembers nothing of the rows."""
    vault = stage.vault()
    with ThreadPoolExecutor(2) as pool:
        return keep_batch(vault, records, vault.catalog.stream, pool, writer="fn", kind=SegmentKind.LAMBDA, now=stage.clock.now)


def deliver(stage: Stage) -> BatchReport:
    """One invocation of the function, with all that is in the stream."""
    return kept(stage, delivered(stage))


@forged
def test_the_function_acknowledges_nothing(stage: Stage, forged: Forged) -> None:
    thief(stage).forged = forged
    report = deliver(stage)
    assert (report.captured, sorted(report.failures)) == (0, [0, 1, 2])
    for error in report.failures.values():
        assert isinstance(error, NameTaken)
        assert "is there already, and it holds something else" in error.message
        assert LOG in error.message
        assert "not acknowledged" in error.hint


@forged
@pytest.mark.parametrize("reader", ["tail", "witness"])
def test_tail_and_witness_end_and_claim_nothing(stage: Stage, forged: Forged, reader: str) -> None:
    thief(stage).forged = forged
    with pytest.raises(NameTaken, match="it holds something else"):
        stage.follow() if reader == "tail" else stage.witness()
    thief(stage).forged = None
    stage.clock.sleep(5)
    assert not any(each.until >= stage.model[-1][0] for each in stage.vault().window(stage.clock.now()).ranges)


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
def test_the_same_changes_are_no_theft(stage: Stage, same: Forged) -> None:
    thief(stage).forged = same
    assert not deliver(stage).failures
    assert stage.follow().caught_up
    assert stage.witness().caught_up
    thief(stage).forged = None
    assert not deliver(stage).failures


def test_a_version_that_somebody_puts_on_top_changes_nothing(stage: Stage) -> None:
    """The first version counts: who comes later cannot make a batch fail that is in the log."""
    assert not deliver(stage).failures
    (segment,) = stage.segments(SegmentKind.LAMBDA)
    stage.store.put(LOG + segment.path, b"on top")
    assert not deliver(stage).failures


def test_what_came_before_the_layout_changed_is_the_same_after_it(stage: Stage) -> None:
    """One layout keeps the image in a row, the other in the line: a batch that is redelivered in between is still the same."""
    stage.put(range(1))
    stage.delete([1])
    records = delivered(stage)
    assert not kept(stage, records).failures
    other = Layout.ROWS if stage.vault().catalog.layout is Layout.LOG else Layout.LOG
    init(stage.store, stage.table, InitOptions(layout=other))
    assert not kept(stage, records).failures
    (segment,) = stage.segments(SegmentKind.LAMBDA)
    stage.store.delete(LOG + segment.path)  # as a compaction does: the name is free again, below a marker
    assert not kept(stage, records).failures
    assert not any(each.damage for each in stage.vault().log.listing())
    another = [_reversed(each, v="9") if "NewImage" in each["dynamodb"] else each for each in records]
    assert isinstance(next(iter(kept(stage, another).failures.values())), NameTaken)


def test_rows_of_another_order_of_attributes_are_the_same(stage: Stage) -> None:
    """GetRecords and an event may write attributes in another order: a batch that is redriven is still the same."""
    records = delivered(stage)
    for given in (records, [_reversed(each) for each in records], [_reversed(each, v="9") for each in records]):
        report = kept(stage, given)
        other = given is not records and given[0]["dynamodb"]["NewImage"]["v"] == {"N": "9"}
        assert sorted(report.failures) == ([0, 1, 2] if other else [])


def _reversed(record: Mapping[str, Any], v: str = "") -> Mapping[str, Any]:
    image = dict(reversed(record["dynamodb"]["NewImage"].items())) | ({"v": {"N": v}} if v else {})
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}
