"""The application of the demo: it keeps the table `flights` with a plain botocore client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config

from backstream.apps.demo.flights import KEY, Event, Item
from backstream.ports import Clock

if TYPE_CHECKING:  # type stubs only: the package is not there at run time
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "flights"
BATCH = 25  # what one BatchWriteItem takes
PAUSE = 0.1  # seconds before what a batch left over is sent again


def plain_client(url: str, region: str) -> DynamoDBClient:
    """Returns a client that can reach only these servers, whatever the user's profile and proxies say."""
    session = botocore.session.Session(session_vars={"profile": (None, [], None, None)})
    client = session.create_client(
        "dynamodb",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - ministack takes any
        config=Config(proxies={}),
    )
    return cast("DynamoDBClient", client)


class Airport:
    """Writes as the day goes by. Every method returns once its writes are done."""

    def __init__(self, client: DynamoDBClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def open(self) -> None:
        """Creates the table, keyed by flight and scheduled time."""
        self._client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": KEY[0], "KeyType": "HASH"}, {"AttributeName": KEY[1], "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
            BillingMode="PAY_PER_REQUEST",
        )
        self._client.get_waiter("table_exists").wait(TableName=TABLE)

    def put(self, items: Iterable[Item]) -> None:
        """Writes whole items."""
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def delete(self, keys: Iterable[Item]) -> None:
        """Deletes items."""
        self._write([{"DeleteRequest": {"Key": key}} for key in keys])

    def play(self, events: Sequence[Event], seconds: float) -> Iterator[Event]:
        """Plays a day, evenly compressed into `seconds`: each event is yielded once its write is done."""
        first, last = events[0].minute, events[-1].minute
        began, pace = self._clock.now(), seconds / (last - first)
        for event in events:
            early = began + (event.minute - first) * pace - self._clock.now()
            if early > 0:
                self._clock.sleep(early)
            self.set(event.key, {"status": {"S": event.status}, **event.news})
            yield event

    def set(self, key: Item, news: Item) -> None:
        """Sets these attributes of one item."""
        names = {f"#{index}": name for index, name in enumerate(news)}
        self._client.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression="SET " + ", ".join(f"{name} = {name.replace('#', ':')}" for name in names),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{index}": value for index, value in enumerate(news.values())},
        )

    def _write(self, requests: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(requests), BATCH):
            left: dict[str, Any] = {TABLE: requests[start : start + BATCH]}
            while left := self._client.batch_write_item(RequestItems=left)["UnprocessedItems"]:
                self._clock.sleep(PAUSE)
