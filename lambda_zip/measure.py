"""What a cold start takes: fresh interpreters that see the unpacked zip alone, against the embedded servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session

import backstream
from backstream.apps.config import VAULT_VARIABLE
from backstream.apps.embedded import EmbeddedServers
from backstream.clock import SystemClock
from backstream.model.changes.change import VIEW
from lambda_zip.wheels import CannotBuild

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_dynamodb import DynamoDBClient

SCRIPT = Path(__file__).with_name("cold_start.py")
CLEAN = (sys.executable, "-I", "-S", "-B")  # no site-packages, nothing of the user's, nothing compiled that is kept
RECORDS = 100  # a mapping's default batch
UNWANTED = ("boto3", "s3transfer", "click", "rich", "ministack", "duckdb")
_FIRST_NUMBER = 10**20


@dataclass(frozen=True)
class ColdStart:
    """CPU in seconds, peaks in bytes: of the import, then of the first invocation too; `modules`: all that was imported."""

    import_cpu: float
    first_cpu: float
    idle_peak: int
    import_peak: int
    first_peak: int
    answer: Mapping[str, Any]
    modules: tuple[str, ...]

    @property
    def unwanted(self) -> list[str]:
        """What should not be on the way of a batch, and is."""
        return [name for name in UNWANTED if name in self.modules]


def cold_start(folder: Path, event: Mapping[str, Any], environment: Mapping[str, str]) -> ColdStart:
    """Invoke the handler of the zip unpacked there once, in a process of its own. CannotBuild if that fails."""
    command = [*CLEAN, str(SCRIPT), str(folder)]
    done = subprocess.run(
        command, input=json.dumps(event), env=clean_environment(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotBuild(f"the handler failed:\n{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    return ColdStart(**{**told, "modules": tuple(told["modules"])})


def clean_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """A function's: nothing of the user's own AWS configuration, nor of their Python's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_", "PYTHON"))}
    return {**inherited, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, **ours}


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder with what is in the zip, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="backstream-lambda-") as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        yield Path(folder)


def event_of(stream: str, count: int, now: float) -> dict[str, Any]:
    """An event with so many new items of about half a kB."""
    return {"Records": [_record(stream, number, int(now)) for number in range(count)]}


def _record(stream: str, number: int, second: int) -> dict[str, Any]:
    key = {"id": {"S": f"item-{number}"}}
    body = {
        "ApproximateCreationDateTime": second,
        "Keys": key,
        "NewImage": {**key, "number": {"N": str(number)}, "text": {"S": "x" * 400}},
        "SequenceNumber": str(_FIRST_NUMBER + number),
        "SizeBytes": 420,
        "StreamViewType": VIEW,
    }
    names = {"eventID": f"{number:032x}", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb"}
    return {**names, "awsRegion": "us-east-1", "eventSourceARN": stream, "dynamodb": body}


def measured(path: Path, runs: int = 5) -> list[ColdStart]:
    """So many cold starts of the zip, each with an empty vault of its own. CannotBuild where one does not keep its batch."""
    with EmbeddedServers() as servers, unpacked(path) as folder:
        return [_one(folder, servers.environment(), number) for number in range(runs)]


def _one(folder: Path, servers: Mapping[str, str], number: int) -> ColdStart:
    environment = {**servers, VAULT_VARIABLE: f"s3://measured-{number}/vault", "AWS_LAMBDA_FUNCTION_NAME": "measured"}
    with _as_environment(environment):
        stream = _table(f"measured-{number}")
        vault = backstream.open()
        vault.create()
        backup = vault.table(f"measured-{number}")
        backup.init()
        outcome = cold_start(folder, event_of(stream, RECORDS, SystemClock().now()), environment)
        kept = backup.status().changes
    if outcome.answer["batchItemFailures"] or kept != RECORDS:
        raise CannotBuild(f"the handler kept {kept} of {RECORDS} changes, and answered {outcome.answer}")
    return outcome


def _table(name: str) -> str:
    """A new one; its stream's ARN."""
    made = cast("DynamoDBClient", botocore.session.get_session().create_client("dynamodb")).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return made["TableDescription"]["LatestStreamArn"]


@contextmanager
def _as_environment(ours: Mapping[str, str]) -> Iterator[None]:
    """botocore's chain reads this process's own environment; afterwards it is as it was."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(clean_environment(ours))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
