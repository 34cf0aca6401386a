"""Reads the caller's identity and the deployment from STS, Lambda and CloudWatch, through botocore."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from backstream.ports import Described
from backstream.tables import failures

SDK_ERRORS = (BotoCoreError, ClientError)  # what botocore raises, wherever it is used
Clients = Callable[[str], BaseClient]  # botocore's client of a service (`lambda`), made when first asked for; Failed without one


class AwsAccount:
    """See `ports.Account`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def identity(self) -> Described:
        return self._ask("sts", "get_caller_identity", "GetCallerIdentity", "these credentials")

    def function(self, name: str) -> Described:
        return self._ask("lambda", "get_function_configuration", "GetFunctionConfiguration", f"function {name}", FunctionName=name)

    def reserved_concurrency(self, name: str) -> int | None:
        answer = self._ask("lambda", "get_function_concurrency", "GetFunctionConcurrency", f"function {name}", FunctionName=name)
        found = answer.get("ReservedConcurrentExecutions")
        return None if found is None else int(found)

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        wanted = {"EventSourceArn": stream, "FunctionName": function}
        about = f"stream {stream}" if stream else f"function {function}"
        given = {name: value for name, value in wanted.items() if value}
        found: list[Described] = []
        marker: str | None = None
        while True:
            more = {} if marker is None else {"Marker": marker}
            answer = self._ask("lambda", "list_event_source_mappings", "ListEventSourceMappings", about, **given, **more)
            found += answer.get("EventSourceMappings", ())
            marker = answer.get("NextMarker")
            if not marker:
                return found

    def alarms(self) -> Sequence[Described]:
        found: list[Described] = []
        token: str | None = None
        while True:
            more = {} if token is None else {"NextToken": token}
            answer = self._ask("cloudwatch", "describe_alarms", "DescribeAlarms", "the region's alarms", **more)
            found += answer.get("MetricAlarms", ())
            token = answer.get("NextToken")
            if not token:
                return found

    def _ask(self, service: str, method: str, operation: str, about: str, **words: str) -> Mapping[str, Any]:
        client = self._clients(service)
        try:
            answer: Mapping[str, Any] = getattr(client, method)(**words)
        except SDK_ERRORS as error:
            raise failures.named(error, operation, about) from error
        return answer
