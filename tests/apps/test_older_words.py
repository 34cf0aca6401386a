"""The older tools' environment variables: what they mean, what contradicts, and a function that has nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.config import VAULT_VARIABLE, Config
from backstream.apps.lambdas.legacy_env import Backup, ReplicaPlace, Role, Turnover, of_backup, of_replica
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.operations.setup.init import InitOptions, init
from kit.aws import Aws
from kit.invocations import LambdaStage
from kit.older_tools import Fork, stringify

BUCKET = {"BackupBucket": "backups", "BackupPrefix": "prod"}
AT = 1_700_000_000

BACKUPS: list[tuple[dict[str, str], Backup]] = [
    ({}, Backup()),
    (BUCKET, Backup("s3://backups/prod")),
    ({"BackupBucket": "backups"}, Backup("s3://backups")),
    ({**BUCKET, "BackupPrefix": "/a/b/"}, Backup("s3://backups/a/b")),
    ({**BUCKET, "BackupRegion": "eu-west-1"}, Backup("s3://backups/prod")),
    ({**BUCKET, VAULT_VARIABLE: "s3://backups/prod/"}, Backup()),
    ({**BUCKET, "PlainTextKeyAsFilename": "true"}, Backup("s3://backups/prod", Naming.PLAIN)),
    ({**BUCKET, "MultiTenancyColumn": "RANGE"}, Backup("s3://backups/prod", None, "RANGE")),
    ({VAULT_VARIABLE: "s3://x", "MultiTenancyColumn": "RANGE"}, Backup(None, None, "RANGE")),
    (
        {**BUCKET, "TurnoverRole": "AFTER", "TurnoverAt": "1700000000000"},
        Backup("s3://backups/prod", turnover=Turnover(Role.AFTER, 1_700_000_000_000)),
    ),
]


@pytest.mark.parametrize(("environment", "meant"), BACKUPS)
def test_what_a_backup_function_was_told(environment: dict[str, str], meant: Backup) -> None:
    assert of_backup(environment) == meant


WRONG = [
    ({"BackupPrefix": "prod"}, "BackupBucket is not"),
    ({"MultiTenancyColumn": "RANGE"}, "no bucket"),
    ({**BUCKET, VAULT_VARIABLE: "s3://other/prod"}, "s3://other/prod, and BackupBucket"),
    ({**BUCKET, "PlainTextKeyAsFilename": "false"}, "takes for yes"),
    ({**BUCKET, "TurnoverRole": "AFTER"}, "go together"),
    ({**BUCKET, "TurnoverAt": "1700000000000"}, "go together"),
    ({**BUCKET, "TurnoverRole": "DURING", "TurnoverAt": "1"}, "TurnoverRole is 'DURING'"),
    ({**BUCKET, "TurnoverRole": "AFTER", "TurnoverAt": "2023-11-14"}, "TurnoverAt is '2023-11-14'"),
]


@pytest.mark.parametrize(("environment", "words"), WRONG)
def test_what_contradicts_is_an_error(environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        of_backup(environment)


def test_what_a_replicator_function_was_told() -> None:
    assert of_replica({}) is None
    assert of_replica({"ReplicaTable": "copy"}) == ReplicaPlace("copy")
    told = {"ReplicaTable": "copy", "ReplicaRegion": "eu-west-1", "ReplicaEndpoint": "http://x", "TurnoverRole": "BEFORE"}
    assert of_replica({**told, "TurnoverAt": "5"}) == ReplicaPlace("copy", "eu-west-1", "http://x", Turnover(Role.BEFORE, 5))
    with pytest.raises(UsageError, match="no ReplicaTable"):
        of_replica({"ReplicaRegion": "eu-west-1"})
    with pytest.raises(UsageError, match="not taken"):
        of_replica({"ReplicaTable": "copy", "ReplicaAccessKeyId": "x"})


@pytest.mark.parametrize(("role", "taken"), [(Role.BEFORE, [AT - 1]), (Role.AFTER, [AT, AT + 1])])
def test_a_turnover_parts_a_stream(role: Role, taken: list[int]) -> None:
    """By the second in which a change was made; what does not say when is for this function to refuse."""
    records: list[dict[str, Any]] = [{"dynamodb": {"ApproximateCreationDateTime": at}} for at in (AT - 1, AT, AT + 1)]
    odd: list[dict[str, Any]] = [{"dynamodb": {}}, {}]
    turnover = Turnover(role, AT * 1000)
    mine = [each for each in [*records, *odd] if turnover.takes(each)]
    assert mine == [each for each in records if each["dynamodb"]["ApproximateCreationDateTime"] in taken] + odd


@dataclasses.dataclass
class Function:
    """A function that has only an older one's variables."""

    stage: LambdaStage
    fork: Fork


@pytest.fixture
def function(aws: Aws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Function:
    """Its table is kept by plain names, split by an attribute."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(VAULT_VARIABLE, f"s3://{bucket}/forms")
    stage = LambdaStage()
    store = Config(clock=SystemClock()).store
    init(store, stage.table, InitOptions(naming=Naming.PLAIN, tenant_attribute="zone", key_order=KeyOrder.SORTED))
    monkeypatch.delenv(VAULT_VARIABLE)
    monkeypatch.setenv("BackupBucket", bucket)
    monkeypatch.setenv("BackupPrefix", "forms")
    monkeypatch.setenv("PlainTextKeyAsFilename", "true")
    monkeypatch.setenv("MultiTenancyColumn", "zone")
    return Function(stage, Fork(store, "flights", ["number", "zone"], plain=True, tenant="zone"))


def test_a_function_with_the_older_ones_variables(function: Function) -> None:
    """It finds its vault, keeps all, and lays it where the older function would: the same names, the same bodies."""
    stage = function.stage
    stage.put(range(3))
    assert stage.deliver(stage.records()) == []
    assert stage.captured() == stage.expected()
    items = [{"v": {"N": str(number + 1)}, "number": {"N": str(number)}, "zone": {"S": "z"}} for number in range(3)]
    assert {each.name for each in stage.store.list("flights/")} == {function.fork.name(each) for each in items}
    assert [stage.store.get(function.fork.name(each)).body for each in items] == [stringify(each) for each in items]
    stage.manual.move(1)
    stage.delete([1])
    assert stage.deliver(stage.records()) == []
    assert {each.name for each in stage.store.list("flights/")} == {function.fork.name(each) for each in (items[0], items[2])}


def test_variables_that_the_vault_does_not_follow(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    function.stage.put([1])
    monkeypatch.setenv("MultiTenancyColumn", "other")
    with pytest.raises(UsageError, match="MultiTenancyColumn is set"):
        function.stage.deliver(function.stage.records())


def test_what_is_left_to_another_function_is_a_gap(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is acknowledged, not kept, and the vault says that it misses it."""
    stage = function.stage
    stage.put([1])
    first = int(stage.manual.now())
    stage.manual.move(10)
    stage.put([2])
    monkeypatch.setenv("TurnoverRole", "AFTER")
    monkeypatch.setenv("TurnoverAt", str((first + 5) * 1000))
    assert stage.deliver(stage.records()) == []
    assert len(stage.captured()) == 1
    (gap,) = stage.vault().gaps.all()
    assert (gap.since, gap.until) == (first, first)
    assert "TurnoverRole AFTER" in gap.reason
    assert stage.deliver(stage.records()[:1]) == []
    assert len(list(stage.vault().gaps.all())) == 1


def test_without_any_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VAULT_VARIABLE, tmp_path.as_uri())
    stage = LambdaStage()
    monkeypatch.delenv(VAULT_VARIABLE)
    stage.put([1])
    with pytest.raises(UsageError, match="no vault is given"):
        stage.deliver(stage.records())
