"""Looks up the streams of a deployment's tables in DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.apps.config import Config
from backstream.apps.deploy import ChangeSource, Choices
from backstream.errors import UsageError

AT_ONCE = 8  # questions


def found(choices: Choices, *, all_of_them: bool) -> Choices:
    """Returns the choices with the streams that a template needs, looked up in DynamoDB.

    `all_of_them`: of every table without a given stream; else only where the template must hold them. Raises UsageError for a table
    without a stream or other impossible choices, and the errors of DynamoDB.
    """
    choices.check(streams_follow=True)
    lacking = [table for table in choices.tables if table not in choices.streams] if all_of_them else choices.streams_missing
    if not lacking or (choices.source is ChangeSource.KINESIS and not all_of_them):
        return choices
    if choices.source is ChangeSource.KINESIS:
        raise UsageError("DynamoDB's own streams are looked up, Kinesis's are not", hint="Give each: --stream TABLE=ARN.")
    config = Config()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        arns = [*pool.map(lambda table: config.table(table).facts().stream_arn, lacking)]
    without = [table for table, arn in zip(lacking, arns, strict=True) if arn is None]
    if without:
        raise UsageError(
            f"tables without a stream: {', '.join(without[:5])}{' ...' * (len(without) > 5)}",
            hint="`backstream init TABLE --enable-stream` turns it on.",
        )
    streams = {table: arn for table, arn in zip(lacking, arns, strict=True) if arn is not None}
    return msgspec.structs.replace(choices, streams={**choices.streams, **streams})
