"""Lists the tables of an account and region, and a table's tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backstream.model.tables.settings import tags_of
from backstream.tables.raw import RawApi, ask


def table_names(api: RawApi) -> Iterator[str]:
    """Yields the names of all tables. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTables.html"""
    request: dict[str, str] = {}
    while True:
        answer = ask(api, "ListTables", request, dict[str, Any], "the account")[0]
        yield from answer.get("TableNames") or ()
        last = answer.get("LastEvaluatedTableName")
        if not last:
            return
        request = {"ExclusiveStartTableName": last}


def tags(api: RawApi, arn: str) -> dict[str, str]:
    """Returns the tags of the table with this ARN."""
    found: list[dict[str, str]] = []
    request = {"ResourceArn": arn}
    while True:
        answer = ask(api, "ListTagsOfResource", request, dict[str, Any], arn)[0]
        found += answer.get("Tags") or ()
        if not answer.get("NextToken"):
            return tags_of(found)
        request = {"ResourceArn": arn, "NextToken": answer["NextToken"]}
