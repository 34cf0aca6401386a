"""Reads a table's settings from DynamoDB and from Application Auto Scaling part by part.

A part that may not be read is reported, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from botocore.client import BaseClient
from botocore.config import Config

from backstream.errors import Failed, MissingTable, NotFound, Unavailable
from backstream.model.tables import settings
from backstream.model.tables.settings import AutoScaling, TableSettings
from backstream.ports import TableFacts
from backstream.tables.failures import ServerFault
from backstream.tables.raw import RawApi, ask, decoded
from backstream.tables.raw_boto import BotoRaw, recommended_config

T = TypeVar("T")

RESOURCES_PER_CALL = 50  # the most that DescribeScalableTargets takes

AutoScalingClient = Callable[[], BaseClient]  # made when first asked for; Failed where there is none


def autoscaling_config() -> Config:
    """Returns the botocore configuration for Auto Scaling's client.

    It waits only briefly, since a private network may not reach that service.
    """
    quick = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=10)
    return recommended_config(2).merge(quick)


def read_settings(api: RawApi, autoscaling: AutoScalingClient | None, facts: TableFacts) -> TableSettings:
    """Returns the settings of the table with these facts.

    Raises MissingTable and Unavailable; other failures make a part unknown.
    """
    asked = _Asked(api, facts)
    values: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for part, read in asked.parts().items():
        try:
            values[part] = _well_formed(read)
        except ServerFault as error:
            unknown[part] = error.message  # servers that are not AWS answer so where they do not know a call
        except (MissingTable, Unavailable):
            raise
        except Failed as error:
            unknown[part] = error.message
    try:
        values["autoscaling"] = _well_formed(lambda: _autoscaling(autoscaling, facts))
    except Failed as error:
        # Unavailable too: it is another service, which a private network may not reach, and DynamoDB matters here.
        unknown["autoscaling"] = error.message
    table = _well_formed(lambda: settings.table_of(msgspec.json.decode(facts.description)))
    return TableSettings(table, **values, unknown=unknown)


def _well_formed(read: Callable[[], T]) -> T:
    """Returns the result of `read`. Raises Failed if a server's answer does not have the documented shape."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError) as error:
        raise Failed(f"an answer of another shape than the service's: {error!r}") from error


class _Asked:
    """One table's settings, part by part, from DynamoDB."""

    def __init__(self, api: RawApi, facts: TableFacts) -> None:
        self._api = api
        self._of_table = {"TableName": facts.name}
        self._of_arn = {"ResourceArn": facts.arn}
        self._subject = f"table {facts.name}"

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Returns a reader for each part of `TableSettings` that DynamoDB itself knows."""
        return {
            "time_to_live": self._time_to_live,
            "tags": self._tags,
            "point_in_time_recovery": self._point_in_time_recovery,
            "resource_policy": self._resource_policy,
            "kinesis_destinations": self._kinesis_destinations,
            "contributor_insights": self._contributor_insights,
        }

    def _ask(self, operation: str, request: Mapping[str, object]) -> dict[str, Any]:
        return ask(self._api, operation, request, dict[str, Any], self._subject)[0]

    def _time_to_live(self) -> object:
        return settings.time_to_live_of(self._ask("DescribeTimeToLive", self._of_table).get("TimeToLiveDescription", {}))

    def _tags(self) -> object:
        return settings.tags_of(_pages(self._api, "ListTagsOfResource", self._of_arn, "Tags", self._subject))

    def _point_in_time_recovery(self) -> object:
        answer = self._ask("DescribeContinuousBackups", self._of_table)
        return settings.point_in_time_recovery_of(answer.get("ContinuousBackupsDescription", {}))

    def _resource_policy(self) -> object:
        try:
            return self._ask("GetResourcePolicy", self._of_arn).get("Policy")
        except MissingTable:
            raise
        except NotFound:
            return None  # PolicyNotFoundException: the table has none

    def _kinesis_destinations(self) -> object:
        answer = self._ask("DescribeKinesisStreamingDestination", self._of_table)
        return settings.kinesis_destinations_of(answer.get("KinesisDataStreamDestinations", []))

    def _contributor_insights(self) -> object:
        operation, lines = "ListContributorInsights", "ContributorInsightsSummaries"
        return settings.contributor_insights_of(_pages(self._api, operation, self._of_table, lines, self._subject))


def scaling_api(make: AutoScalingClient | None) -> RawApi:
    """Returns the API of Application Auto Scaling. Raises Failed if there is no client for it."""
    if make is None:
        raise Failed("no client of Application Auto Scaling")
    return BotoRaw(make())


def _autoscaling(make: AutoScalingClient | None, facts: TableFacts) -> AutoScaling:
    """Reads targets first: policies and scheduled actions belong to a target, and most tables have none."""
    api, subject = scaling_api(make), f"table {facts.name}"
    resources = _resources(facts, subject)
    chunks = [resources[start : start + RESOURCES_PER_CALL] for start in range(0, len(resources), RESOURCES_PER_CALL)]
    targets = [
        target
        for chunk in chunks
        for target in _of_scaling(api, "DescribeScalableTargets", {"ResourceIds": chunk}, "ScalableTargets", subject)
    ]
    scaled = sorted({str(target["ResourceId"]) for target in targets})

    def lines(operation: str, name: str) -> list[dict[str, Any]]:
        return [line for each in scaled for line in _of_scaling(api, operation, {"ResourceId": each}, name, subject)]

    policies = lines("DescribeScalingPolicies", "ScalingPolicies")
    return settings.autoscaling_of(targets, policies, lines("DescribeScheduledActions", "ScheduledActions"))


def _resources(facts: TableFacts, subject: str) -> list[str]:
    """Returns the parts that can be scaled, by Auto Scaling's names: the table and its global indexes (local ones share its
    capacity).
    """
    described = decoded(facts.description, dict[str, Any], "DescribeTable", subject)
    names = [each["IndexName"] for each in described.get("GlobalSecondaryIndexes") or ()]
    return [f"table/{facts.name}", *(f"table/{facts.name}/index/{name}" for name in names)]


def _of_scaling(api: RawApi, operation: str, request: Mapping[str, object], lines: str, subject: str) -> Iterator[dict[str, Any]]:
    return _pages(api, operation, {"ServiceNamespace": "dynamodb", **request}, lines, subject)


def _pages(api: RawApi, operation: str, request: Mapping[str, object], lines: str, subject: str) -> Iterator[dict[str, Any]]:
    """Yields the lines of every page."""
    token: str | None = None
    while True:
        asked = {**request} if token is None else {**request, "NextToken": token}
        answer = ask(api, operation, asked, dict[str, Any], subject)[0]
        yield from answer.get(lines) or ()
        token = answer.get("NextToken")
        if not token:
            return
