"""The tables of a deployment: their names and streams, and the names of their resources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backstream.apps.deploy.choices import ANY_TABLE, KINESIS_ARN, STREAM_ARN, ChangeSource, Choices
from backstream.apps.deploy.expressions import Given, Parameter, Part, StreamOf, TableId, TableName, Text, text
from backstream.apps.deploy.ids import id_of, short_id_of


@dataclass(frozen=True)
class Target:
    """One table. `id`: distinguishes its resources' logical ids, and `label`, their names; `id` is empty if the table is a
    parameter itself.
    """

    id: str
    name: Given | TableName
    stream: Given | StreamOf
    label: str | TableId

    def named(self, before: str, after: str) -> Text:
        """Returns a text with the table's name in it."""
        return text(before, self.name, after)

    def ending(self, word: str) -> tuple[Part, ...]:
        """Returns the end of a name: the table's label and a word; the word alone if the table is a parameter itself."""
        return ("-", self.label, f"-{word}") if self.id else (f"-{word}",)

    @property
    def table(self) -> str | None:
        """The table's name, None if it is a parameter."""
        return self.name.table if isinstance(self.name, TableName) else None


def targets(choices: Choices) -> list[Target]:
    """Returns the tables, in the given order."""
    if not choices.tables:
        return [Target("", Given("TableName"), Given("StreamArn"), "table")]
    return [_target(table, choices) for table in choices.tables]


def _target(table: str, choices: Choices) -> Target:
    id_ = id_of(table)
    # A value that CloudFormation keeps of another source, or of what an older template called the same, must not count here.
    word = "KinesisStreamArn" if choices.source is ChangeSource.KINESIS else "StreamArn"
    stream = StreamOf(table, f"{id_}{word}", choices.streams[table] if choices.many else None)
    return Target(id_, TableName(table), stream, TableId(table, short_id_of(table)))


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the tables."""
    kinesis = choices.source is ChangeSource.KINESIS
    where = (
        "Kinesis Data Streams for DynamoDB"
        if kinesis
        else "aws dynamodb describe-table --table-name {0} --query Table.LatestStreamArn"
    )
    if not choices.tables:
        yield Parameter("TableName", "The table to keep.", pattern="[a-zA-Z0-9_.-]{3,255}")
    for each in targets(choices):
        table = each.table
        meaning = f"The ARN of the stream of {table or 'TABLE'}: {where.format(table or 'TABLE')}"
        name = each.stream.name if isinstance(each.stream, Given) else each.stream.parameter
        pattern = (
            KINESIS_ARN if kinesis else STREAM_ARN.replace(ANY_TABLE, ANY_TABLE if table is None else table.replace(".", "[.]"))
        )
        yield Parameter(name, meaning, choices.streams.get(table or ""), pattern=pattern, of_table=table, in_template=choices.many)
