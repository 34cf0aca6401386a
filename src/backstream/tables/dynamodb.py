"""One DynamoDB table over the raw JSON protocol: images are spliced into requests and cut out of answers, as bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import msgspec

from backstream.errors import (
    BackstreamError,
    ConditionNotMet,
    Damaged,
    Failed,
    MissingTable,
    StillChanging,
    Unavailable,
    WrongStreamView,
)
from backstream.model.changes.change import VIEW
from backstream.model.tables.creation import Creation
from backstream.model.tables.settings import TableSettings
from backstream.model.tables.setup import SCALING, SetupStep
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.ports import MOST_AT_ONCE, Clock, ConditionalWrite, Delete, Put, ScanPage, TableFacts, Write
from backstream.retries import full_jitter
from backstream.tables import answers
from backstream.tables.conditions import RequestCondition, Update, unchanged, update
from backstream.tables.raw import RawAnswer, RawApi, ask, decoded
from backstream.tables.settings import AutoScalingClient, read_settings, scaling_api

T = TypeVar("T")

KEYS_PER_FETCH = 100  # the most that BatchGetItem takes
FETCH_ATTEMPTS = 12  # without any progress, before a fetch gives up: some 15 seconds
WAIT_SECONDS = 600.0  # for a table or its stream to be ready: AWS takes seconds, rarely minutes
STEP_SECONDS = 60.0  # for a table that is still changing: point-in-time recovery can be had a little after the table
POLL_SECONDS = 0.5


class DynamoTable:
    """See `ports.Table`, for the table `name`; `api` is the API of `dynamodb`.

    `autoscaling`: makes botocore's client for `application-autoscaling` when settings are read; without it that part is unknown.
    `writing`: the same service for BatchWriteItem, through a client that does not retry (see `ports.Table.write`).
    """

    def __init__(
        self,
        api: RawApi,
        name: str,
        clock: Clock,
        autoscaling: AutoScalingClient | None = None,
        *,
        writing: RawApi | None = None,
    ) -> None:
        self._autoscaling = autoscaling
        self._api = api
        self._writing = writing or api
        self._name = name
        self._clock = clock
        self._subject = f"table {name}"

    @property
    def name(self) -> str:
        """The table's name."""
        return self._name

    def _ask(self, operation: str, request: object, shape: type[T]) -> T:
        return ask(self._api, operation, request, shape, self._subject)[0]

    # --- what the table is --------------------------------------------------------------------------------------------------------

    def facts(self) -> TableFacts:
        """Returns the table's description now."""
        return self._described()[0]

    def _described(self) -> tuple[TableFacts, RawAnswer]:
        described, answer = ask(self._api, "DescribeTable", {"TableName": self._name}, answers.Described, self._subject)
        table = decoded(described.Table, answers.DescribedTable, "DescribeTable", self._subject)
        facts = TableFacts(
            name=table.TableName,
            arn=table.TableArn,
            table_id=table.TableId,
            schema=answers.key_schema(table),
            status=table.TableStatus,
            stream_arn=table.LatestStreamArn or None,
            stream_enabled=table.StreamSpecification.StreamEnabled,
            stream_view=table.StreamSpecification.StreamViewType,
            description=bytes(described.Table),
            items=table.ItemCount,
        )
        return facts, answer

    def settings(self) -> TableSettings:
        """Returns the table's settings, as far as they may be read: some eight calls."""
        return read_settings(self._api, self._autoscaling, self.facts())

    @cached_property
    def _schema(self) -> KeySchema:
        """Returns the key schema, which never changes."""
        return self.facts().schema

    # --- reading ------------------------------------------------------------------------------------------------------------------

    def is_empty(self) -> tuple[bool, float]:
        """Returns whether a strongly consistent read finds no item, and the server's time just before that read."""
        before = self.server_time()
        page = self.page(0, 1, None, limit=1)
        while page.after is not None and not page.images:  # an empty page is not the last, only one without LastEvaluatedKey is
            page = self.page(0, 1, page.after, limit=1)
        return not page.images, before

    def server_time(self) -> float:
        """Returns the service's time at the end of a call, so it is not later than anything begun after it."""
        return self._described()[1].server_time

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[Sequence[bytes]]:
        """Yields pages of images of one of `segments` parts of the table. Each page is read when it is asked for, not before."""
        after: bytes | None = None
        while True:
            page = self.page(segment, segments, after)
            if page.images:
                yield page.images
            if page.after is None:
                return
            after = page.after

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        """Does one Scan. The answer states the consumed capacity, if the endpoint counts it."""
        request = {
            "TableName": self._name,
            "ConsistentRead": consistent,
            "Segment": segment,
            "TotalSegments": segments,
            "ReturnConsumedCapacity": "TOTAL",
            **({} if limit is None else {"Limit": limit}),
            **({} if after is None else {"ExclusiveStartKey": msgspec.Raw(after)}),
        }
        page, answer = ask(self._api, "Scan", request, answers.ScanAnswer, self._subject)
        return ScanPage(
            images=[bytes(item) for item in page.Items],
            after=bytes(page.LastEvaluatedKey) or None,
            answered=answer.server_time,
            units=None if page.ConsumedCapacity is None else page.ConsumedCapacity.CapacityUnits,
        )

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Returns the images of the existing items among `keys`. A repeated key is read once: BatchGetItem refuses duplicates."""
        distinct = list(dict.fromkeys(wire.key_of(self._schema, key) for key in keys))
        chunks = (distinct[start : start + KEYS_PER_FETCH] for start in range(0, len(distinct), KEYS_PER_FETCH))
        return [image for chunk in chunks for image in self._fetch_chunk(chunk)]

    def _fetch_chunk(self, keys: Sequence[bytes]) -> Iterator[bytes]:
        wanted, delays = [msgspec.Raw(key) for key in keys], _fetch_delays()
        while wanted:
            request = {"RequestItems": {self._name: {"Keys": wanted, "ConsistentRead": True}}}
            answer = self._ask("BatchGetItem", request, answers.BatchGetAnswer)
            yield from (bytes(item) for items in answer.Responses.values() for item in items)
            left = [key for table in answer.UnprocessedKeys.values() for key in table.Keys]
            if 0 < len(left) < len(wanted):
                delays = _fetch_delays()  # an answer has 16 MB at most: keys left over are usual as long as they become fewer
            if left:
                self._wait_to_fetch(next(delays, None), len(left))
            wanted = left

    def _wait_to_fetch(self, delay: float | None, left: int) -> None:
        if delay is None:
            raise Unavailable(
                f"BatchGetItem of {self._subject} leaves {left} keys unprocessed, time and again",
                hint="The table is throttled: try again, or allow it more capacity.",
            )
        self._clock.sleep(delay)

    # --- writing ------------------------------------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """Does one BatchWriteItem. Returns the writes that were not done, the same objects, to be tried again."""
        if not writes:
            return []
        request: dict[str, object] = {"RequestItems": {self._name: [_request(write) for write in writes]}}
        if took is not None:
            request["ReturnConsumedCapacity"] = "TOTAL"
        answer = ask(self._writing, "BatchWriteItem", request, answers.Written, self._subject)[0]
        units = [each.CapacityUnits for each in answer.ConsumedCapacity if each.CapacityUnits is not None]
        if took is not None and units:
            took(sum(units))
        left = [each for requests in answer.UnprocessedItems.values() for each in requests]
        return self._originals(left, writes) if left else []

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """Does one PutItem or DeleteItem, on condition that the item is unchanged."""
        operation, body = self._conditional(write, before)
        try:
            decoded(self._api.call(operation, body, self._subject).body, answers.Ignored, operation, self._subject)
        except ConditionNotMet:
            return False
        return True

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """Does one PutItem or DeleteItem for each write, many at a time, each on condition that its item is unchanged."""
        try:
            calls = [self._conditional(each.write, each.before) for each in writes]
        except BackstreamError as error:  # the table cannot be described
            return [error] * len(writes)
        outcomes = self._api.call_each(calls, self._subject, MOST_AT_ONCE)
        return [self._was_done(operation, outcome) for (operation, _), outcome in zip(calls, outcomes, strict=True)]

    def _was_done(self, operation: str, outcome: RawAnswer | BackstreamError) -> bool | BackstreamError:
        if isinstance(outcome, BackstreamError):
            return False if isinstance(outcome, ConditionNotMet) else outcome
        try:
            decoded(outcome.body, answers.Ignored, operation, self._subject)
        except Failed as error:
            return error
        return True

    def _conditional(self, write: Write, before: bytes | None) -> tuple[str, bytes]:
        """Returns the operation that does a write on condition that its item is as `before`, and its request."""
        body = {"Item": msgspec.Raw(write.image)} if isinstance(write, Put) else {"Key": msgspec.Raw(write.keys)}
        condition = unchanged(before, self._schema.hash.name, write.after)
        request = {"TableName": self._name, **body, **_given(condition)}
        return "PutItem" if isinstance(write, Put) else "DeleteItem", msgspec.json.encode(request)

    def change_if(self, after: bytes, before: bytes) -> bool:
        """Sends one UpdateItem once, on condition that the item is unchanged."""
        changes = update(before, after, self._schema.names)
        if changes is None:
            return self.write_if(Put(after), before)
        key = msgspec.Raw(wire.key_of(self._schema, before))
        request = {"TableName": self._name, "Key": key, **_given(changes)}
        try:
            ask(self._writing, "UpdateItem", request, answers.Ignored, self._subject)
        except ConditionNotMet:
            return False
        return True

    def _originals(self, left: Sequence[answers.WriteRequest], writes: Sequence[Write]) -> list[Write]:
        """Returns the writes that the answer gives back, found by key, because it may spell their numbers differently or reorder
        them.
        """
        sent = {self._place(write): write for write in writes}
        try:
            return [sent.pop(self._place(_write(request))) for request in left]
        except (KeyError, ValueError, Damaged) as error:
            raise Failed(
                f"BatchWriteItem of {self._subject} gives back a write that was not sent: {msgspec.json.encode(left)[:500]!r}",
                hint="It is unknown which writes of the batch were done: write them again.",
            ) from error

    def _place(self, write: Write) -> tuple[type[Write], bytes]:
        return type(write), wire.key_of(self._schema, write.body)

    # --- changing the table -------------------------------------------------------------------------------------------------------

    def enable_stream(self) -> None:
        """Turns on a stream of new and old images and waits for it.

        Raises WrongStreamView if the table has a stream of another view.
        """
        facts = self.facts()
        if not facts.stream_enabled:
            specification = {"StreamEnabled": True, "StreamViewType": VIEW}
            self._ask("UpdateTable", {"TableName": self._name, "StreamSpecification": specification}, answers.Ignored)
        elif facts.stream_view != VIEW:
            raise WrongStreamView(
                f"{self._subject} has a stream of {facts.stream_view} records: they do not hold whole items",
                hint="A stream's view type cannot be changed. Once its readers can do without it, disable it "
                f"(aws dynamodb update-table --table-name {self._name} --stream-specification StreamEnabled=false) and try again.",
            )
        self._wait("its stream", self._is_streaming)

    def create(self, creation: Creation) -> None:
        """Creates the table and waits until it is ACTIVE. Raises TargetNotEmpty if the name is taken."""
        self._ask("CreateTable", {"TableName": self._name, **creation.request}, answers.Ignored)
        self._wait("the new table", self._is_active)

    def apply(self, step: SetupStep) -> None:
        """Carries out one step, and retries while the table is still changing."""
        api = scaling_api(self._autoscaling) if step.service == SCALING else self._api
        deadline = self._clock.now() + STEP_SECONDS
        while True:
            try:
                ask(api, step.operation, step.request, answers.Ignored, self._subject)
            except StillChanging:
                if self._clock.now() >= deadline:
                    raise
                self._clock.sleep(POLL_SECONDS)
            else:
                return

    def delete(self) -> None:
        """Deletes the table and waits until it is gone. It retries while the table is being created or changed."""
        self._wait("its deletion", self._has_begun_to_go)
        self._wait("its deletion", self._is_gone)

    def _has_begun_to_go(self) -> bool:
        try:
            self._ask("DeleteTable", {"TableName": self._name}, answers.Ignored)
        except StillChanging:
            return self.facts().status == "DELETING"
        return True

    def _is_gone(self) -> bool:
        try:
            self.facts()
        except MissingTable:
            return True
        return False

    def _is_streaming(self) -> bool:
        facts = self.facts()
        return facts.stream_enabled and facts.stream_arn is not None and facts.status == "ACTIVE"

    def _is_active(self) -> bool:
        try:
            return self.facts().status == "ACTIVE"
        except MissingTable:
            return False  # DescribeTable is eventually consistent: it may not know a new table for a moment

    def _wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        deadline = self._clock.now() + WAIT_SECONDS
        while not is_ready():
            if self._clock.now() >= deadline:
                raise Unavailable(
                    f"{self._subject}: {what} is not ready after {WAIT_SECONDS:.0f} s",
                    hint="It may become so by itself: look at the table, then try again.",
                )
            self._clock.sleep(POLL_SECONDS)


def _fetch_delays() -> Iterator[float]:
    return full_jitter(random.random, cap=5.0, attempts=FETCH_ATTEMPTS)


def _given(condition: RequestCondition | Update) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(condition).items() if value is not None}


def _request(write: Write) -> answers.WriteRequest:
    if isinstance(write, Put):
        return answers.WriteRequest(PutRequest=answers.PutRequest(msgspec.Raw(write.image)))
    return answers.WriteRequest(DeleteRequest=answers.DeleteRequest(msgspec.Raw(write.keys)))


def _write(request: answers.WriteRequest) -> Write:
    """Returns the write in a write request. Raises ValueError if it is neither a put nor a delete."""
    if request.PutRequest is not None:
        return Put(bytes(request.PutRequest.Item))
    if request.DeleteRequest is not None:
        return Delete(bytes(request.DeleteRequest.Key))
    raise ValueError("neither PutRequest nor DeleteRequest")
