"""`tail` killed at random instants under load: what is in the vault afterwards is what the writer wrote, second by second."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

import backstream
from backstream.apps.config import Config
from backstream.apps.library import TableBackup
from backstream.operations.capture.tail import TailReport
from backstream.vault.catalog import Layout
from kit.aws import Aws
from kit.chains import broken_links
from kit.children import KillAt, TailProcess, environment
from kit.seconds_writer import SecondsWriter, State

MOST_ROWS, MOST_SEGMENTS = 60, 8  # writes of a tail, of some seconds
COMPARED = 8  # seconds of each run, besides the last


class Scene(msgspec.Struct, frozen=True):
    """A table with a stream, the vault that it was `init`ed in, and what a child needs to find both."""

    name: str
    url: str
    env: Mapping[str, str]
    folder: Path

    @property
    def backup(self) -> TableBackup:
        """The table's backup, by the library."""
        return backstream.open(self.url).table(self.name)

    def restored(self, second: int) -> State:
        """The whole table as it was, by `restore` into a file."""
        path = self.folder / f"restored-{second}.json"
        path.unlink(missing_ok=True)
        self.backup.restore(at=second, to_file=path)
        items = [json.loads(line)["Item"] for line in path.read_text().splitlines()]
        return {item["id"]["S"]: item for item in items}


@pytest.fixture(params=["s3 rows", pytest.param("file log", marks=pytest.mark.soak)])
def scene(request: pytest.FixtureRequest, aws: Aws, table_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A new table on the servers, in an S3 vault of rows, or in a folder with images inline."""
    kind, layout = request.param.split()
    (tmp_path / "vault").mkdir()
    url = f"s3://{request.getfixturevalue('bucket')}/vault" if kind == "s3" else (tmp_path / "vault").as_uri()
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.client("dynamodb").create_table(
        TableName=table_name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = Scene(table_name, url, environment(aws.environment, url), tmp_path)
    made.backup.init(layout=Layout(layout), enable_stream=True)
    return made


def check(scene: Scene, writer: SecondsWriter, source: random.Random) -> Sequence[int]:
    """Restore at the last second and some others; each must be what the writer knows. The seconds compared."""
    sure = writer.sure_seconds()
    compared = [*source.sample(sure[:-1], min(COMPARED, len(sure) - 1)), sure[-1]]
    for second in compared:
        assert scene.restored(second) == writer.at(second), f"at {second}"
    assert broken_links(Config(scene.url).vault(scene.name)) == []
    assert scene.backup.status().gaps == []
    return compared


def catch_up(scene: Scene) -> TailReport:
    """A last tail, to the end."""
    code, report, said = TailProcess(scene.name, scene.env, "--until-caught-up").wait()
    assert code == 0, said
    return msgspec.convert(report, TailReport)


def survive_kills(aws: Aws, scene: Scene, kills: int, seed: int) -> str:
    """Kill a tail so many times while a writer writes; then catch up and compare. What was done, in words.

    Each is killed at a write that is drawn by chance, some as soon as they begin.
    """
    source = random.Random(seed)
    started = time.monotonic()
    rows = scene.backup.status().layout == Layout.ROWS
    with SecondsWriter(aws.client("dynamodb"), scene.name, items=300, seed=seed, pause=0.02) as writer:
        for kill in range(kills):
            # The command writes a segment after three seconds; the eager one is nearly always between two writes.
            eager = kill % 4 != 1
            if kill % 10 == 9:
                TailProcess(scene.name, scene.env, eager=eager).kill()
                continue
            at = KillAt.chosen(source, MOST_ROWS if rows else MOST_SEGMENTS if eager else 1)
            TailProcess(scene.name, scene.env, eager=eager, kill_at=at).dies()
    last = catch_up(scene)
    compared = check(scene, writer, source)
    log = Config(scene.url).vault(scene.name).log
    listing = [each for each in log.listing() if each.segment is not None and each.segment.count]
    writers = {log.metadata(each)["writer"] for each in listing}
    changes = sum(each.segment.count for each in listing if each.segment is not None)
    assert changes >= writer.changes
    assert len(writers) > kills // 5, "many of them had written something before they were killed"
    return (
        f"{kills} kills in {time.monotonic() - started:.0f} s: {writer.changes} changes written, {changes} captured in "
        f"{len(listing)} segments of {len(writers)} processes, {last.captured} by the last one; "
        f"{len(compared)} of {len(writer.sure_seconds())} sure seconds compared, all equal"
    )


def test_killed_at_random_instants(aws: Aws, scene: Scene) -> None:
    survive_kills(aws, scene, kills=3, seed=11)


@pytest.mark.soak
def test_killed_fifty_times(aws: Aws, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    told = survive_kills(aws, scene, kills=50, seed=50)
    with capsys.disabled():
        print(f"\n{scene.url.partition(':')[0]} vault: {told}")  # noqa: T201 - a soak's result is its numbers


@pytest.mark.soak
def test_stopped_at_random_instants_nothing_is_lost_or_read_twice(aws: Aws, scene: Scene) -> None:
    source = random.Random(7)
    captured = 0
    with SecondsWriter(aws.client("dynamodb"), scene.name, seed=7) as writer:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            tail = TailProcess(scene.name, scene.env)
            time.sleep(source.uniform(0, 1.2))
            code, report, said = tail.stop(number)
            assert code == 0, said
            assert "Traceback" not in said
            assert "not alone" not in said
            captured += report["captured"]
    captured += catch_up(scene).captured
    assert captured == writer.changes
    check(scene, writer, source)
