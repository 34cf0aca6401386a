"""The tables of a deployment: their names and streams, and the names of their resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backstream.apps.deploy.choices import KINESIS_ARN, STREAM_ARN, ChangeSource, Choices
from backstream.apps.deploy.expressions import Given, Parameter, Text, text


@dataclass(frozen=True)
class Target:
    """One table. `id`: distinguishes its resources' names; empty if the table is a parameter itself."""

    id: str
    name: str | Given
    stream: Given

    def named(self, before: str, after: str) -> Text:
        """Returns a text with the table's name in it."""
        return text(before, self.name, after)

    @property
    def label(self) -> Text:
        """The name alone."""
        return text(self.name)


def targets(choices: Choices) -> list[Target]:
    """Returns the tables, in the given order."""
    if not choices.tables:
        return [Target("", Given("TableName"), Given("StreamArn"))]
    ids = _ids(choices.tables)
    return [Target(id_, name, Given(f"{id_}StreamArn")) for id_, name in zip(ids, choices.tables, strict=True)]


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the tables."""
    kinesis = choices.source is ChangeSource.KINESIS
    pattern = KINESIS_ARN if kinesis else STREAM_ARN
    where = (
        "Kinesis Data Streams for DynamoDB"
        if kinesis
        else "aws dynamodb describe-table --table-name {0} --query Table.LatestStreamArn"
    )
    if not choices.tables:
        yield Parameter("TableName", "The table to keep.", pattern="[a-zA-Z0-9_.-]{3,255}")
    for each in targets(choices):
        name = each.name if isinstance(each.name, str) else "TABLE"
        meaning = f"The ARN of the stream of {name}: {where.format(name)}"
        yield Parameter(each.stream.name, meaning, choices.streams.get(name if choices.tables else ""), pattern=pattern)


def _ids(tables: Sequence[str]) -> list[str]:
    """Returns ids of letters and digits only, as in resources' names, and no two alike: `order-items` and `order_items` are two
    tables.
    """
    plain = ["".join(word[:1].upper() + word[1:] for word in re.split(r"[^a-zA-Z0-9]+", table)) or "Table" for table in tables]
    snake = [re.sub(r"(?<!^)(?=[A-Z])", "_", each).lower() for each in plain]
    return [each if snake.count(snake[at]) == 1 else f"{each}{at + 1}" for at, each in enumerate(plain)]
