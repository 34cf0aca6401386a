"""CloudTrail's data events of DynamoDB in the shapes that AWS documents, and the folders that a trail delivers them into.

Sources: the developer guide, "Understanding Amazon DynamoDB log file entries" (classic, TransactWriteItems, PartiQL), CloudTrail's
user guide for `userIdentity` and for the names of files and folders. The guide has no example of BatchWriteItem.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backstream.model import moment

ACCOUNT, REGION = "123456789012", "us-east-1"
Event = dict[str, Any]
_numbers = itertools.count(1)


# --- who --------------------------------------------------------------------------------------------------------------------------


def user(name: str, account: str = ACCOUNT) -> dict[str, Any]:
    """An IAM user."""
    return {
        "type": "IAMUser",
        "principalId": f"AIDA{name.upper()}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": f"AKIA{name.upper()}",
        "userName": name,
    }


def session(role: str, name: str, account: str = ACCOUNT, *, invoked_by: str | None = None) -> dict[str, Any]:
    """A session of a role; `invoked_by`: the AWS service that made the call with it."""
    by = {} if invoked_by is None else {"invokedBy": invoked_by}
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{role.upper()}:{name}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        "accountId": account,
        "accessKeyId": f"ASIA{role.upper()}",
        "sessionContext": {
            "attributes": {"creationDate": "2026-11-23T00:00:00Z", "mfaAuthenticated": "false"},
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{role.upper()}",
                "arn": f"arn:aws:iam::{account}:role/{role}",
                "accountId": account,
                "userName": role,
            },
        },
        **by,
    }


def service(name: str) -> dict[str, Any]:
    """An AWS service that acts for itself."""
    return {"type": "AWSService", "invokedBy": name}


# --- what -------------------------------------------------------------------------------------------------------------------------


def event(
    name: str, second: int, who: Mapping[str, Any], parameters: Any, *arns: str, error: str | None = None, **more: Any
) -> Event:
    """An event; `arns`: of the tables that it is about."""
    number = next(_numbers)
    account, region = (arns[0].split(":")[4], arns[0].split(":")[3]) if arns else (ACCOUNT, REGION)
    failed = {} if error is None else {"errorCode": error, "errorMessage": "The conditional request failed"}
    return {
        "eventVersion": "1.08",
        "userIdentity": dict(who),
        "eventTime": moment.iso(second),
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/2.15.0 Python/3.11.6",
        **failed,
        "requestParameters": parameters,
        "responseElements": None,
        "requestID": f"REQUEST{number:08d}",
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "readOnly": False,
        "resources": [{"accountId": account, "type": "AWS::DynamoDB::Table", "ARN": arn} for arn in arns],
        "eventType": "AwsApiCall",
        "apiVersion": "2012-08-10",
        "managementEvent": False,
        "recipientAccountId": account,
        "eventCategory": "Data",
        "tlsDetails": {"tlsVersion": "TLSv1.2", "clientProvidedHostHeader": "dynamodb.us-east-1.amazonaws.com"},
        **more,
    }


class Table:
    """Makes events of one table. Keys are plain JSON, as CloudTrail has them."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.name = arn.rpartition("/")[2]

    def put(self, second: int, who: Mapping[str, Any], key: Mapping[str, Any], **more: Any) -> Event:
        """PutItem: the item is a list of attribute names."""
        return event("PutItem", second, who, {"tableName": self.name, "key": dict(key), "items": [*key, "v"]}, self.arn, **more)

    def update(self, second: int, who: Mapping[str, Any], key: Mapping[str, Any], **more: Any) -> Event:
        """UpdateItem, as the guide's example."""
        parameters = {
            "tableName": self.name,
            "key": dict(key),
            "expressionAttributeNames": {"#Y": "Year", "#AT": "AlbumTitle"},
            "updateExpression": "SET #Y = :y, #AT = :t",
            "returnValues": "ALL_NEW",
        }
        return event("UpdateItem", second, who, parameters, self.arn, **more)

    def delete(self, second: int, who: Mapping[str, Any], key: Mapping[str, Any], **more: Any) -> Event:
        """DeleteItem, with the table named by its ARN, as may be since 2024."""
        return event("DeleteItem", second, who, {"tableName": self.arn, "key": dict(key)}, self.arn, **more)

    def transaction(
        self, second: int, who: Mapping[str, Any], items: Sequence[tuple[str, Mapping[str, Any]]], **more: Any
    ) -> Event:
        """TransactWriteItems: in the guide's example the spelling changes from element to element."""
        requests = [
            {"operation": operation, "tableName": self.name, "key": dict(key), "items": list(key)}
            if number % 2 == 0
            else {"operation": operation, "TableName": self.name, "Key": dict(key), "ConditionExpression": "#AT = :A"}
            for number, (operation, key) in enumerate(items)
        ]
        return event("TransactWriteItems", second, who, {"requestItems": requests}, self.arn, **more)

    def batch(
        self, second: int, who: Mapping[str, Any], puts: Sequence[Mapping[str, Any]], deletes: Sequence[Mapping[str, Any]] = ()
    ) -> Event:
        """BatchWriteItem, in the shape of its request."""
        requests = [{"putRequest": {"key": dict(each), "items": list(each)}} for each in puts]
        requests += [{"deleteRequest": {"key": dict(each)}} for each in deletes]
        return event("BatchWriteItem", second, who, {"requestItems": {self.name: requests}}, self.arn)

    def statement(self, second: int, who: Mapping[str, Any], text: str, **more: Any) -> Event:
        """ExecuteStatement."""
        return event("ExecuteStatement", second, who, {"statement": text}, self.arn, **more)

    def statements(self, name: str, second: int, who: Mapping[str, Any], *texts: str, **more: Any) -> Event:
        """BatchExecuteStatement or ExecuteTransaction."""
        place = "statements" if name == "BatchExecuteStatement" else "transactStatements"
        return event(name, second, who, {place: [{"statement": text} for text in texts]}, self.arn, **more)


def where(key: Mapping[str, Any]) -> str:
    """The WHERE clause of a statement that writes this item."""
    parts = (f'"{name}" = {_literal(value)}' for name, value in key.items())
    return " AND ".join(parts)


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


# --- files ------------------------------------------------------------------------------------------------------------------------


def file_body(events: Iterable[Any]) -> bytes:
    """A file as CloudTrail writes it."""
    return gzip.compress(msgspec.json.encode({"Records": list(events)}), 1)


def file_name(delivered: int, unique: str = "a1B2c3D4e5F6g7H8", account: str = ACCOUNT, region: str = REGION) -> str:
    """A file's name below the folder of a region."""
    day = moment.iso(delivered)[:10].replace("-", "/")
    return f"{day}/{account}_CloudTrail_{region}_{moment.compact(delivered)[:13]}Z_{unique}.json.gz"


def region_folder(account: str = ACCOUNT, region: str = REGION, organization: str | None = None) -> str:
    """The folder of a region in a trail's bucket."""
    return f"AWSLogs/{f'{organization}/' if organization else ''}{account}/CloudTrail/{region}/"


def deliver(events: Iterable[Event], *, account: str = ACCOUNT, region: str = REGION, hours: bool = False) -> dict[str, bytes]:
    """The files of these events by their names: one for each five minutes, delivered three minutes later; or one an hour."""
    length = 3_600 if hours else 300
    files: dict[int, list[Event]] = {}
    for each in events:
        second = moment.parse_iso_micros(each["eventTime"]) // 1_000_000
        files.setdefault(second // length, []).append(each)
    return {
        region_folder(account, region) + file_name((number + 1) * length + 180, f"{number:016x}", account, region): file_body(found)
        for number, found in files.items()
    }


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files, in a folder."""
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder
