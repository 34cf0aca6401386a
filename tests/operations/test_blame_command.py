"""`blame` from the command line: who made each change, what is ambiguous or not delivered, what is refused; and annotations."""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.model import moment
from backstream.model.calls.attribution import TOLERANCE
from backstream.tables.memory import TTL_ACTOR
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit.cloudtrail import Table, deliver, file_body, file_name, region_folder, service, session, user, where, write
from kit.feed import Feed
from kit.images import image, key
from kit.scene import Ran, Scene, next_second

NOW = int(time.time())
T = NOW // 3_600 * 3_600 - 6_900  # soon after an hour began: what happens minutes later is of the same hour
ACCOUNT, REGION = "123456789012", "us-east-1"
ALICE, BOB, DEPLOY = user("alice"), user("bob"), session("deploy", "ci-42")
DEPLOY_ARN, DEPLOY_ROLE = "arn:aws:sts::123456789012:assumed-role/deploy/ci-42", "arn:aws:iam::123456789012:role/deploy"
ALICE_ARN, BOB_ARN = ALICE["arn"], BOB["arn"]
TICK = file_name(T + 3_000, "tick")  # a later delivery: all before it has come


def plain(number: int) -> dict[str, Any]:
    """A row's key as CloudTrail has it."""
    return {"zone": "z", "number": number}


def row(number: int, value: str = "v") -> bytes:
    return image("z", number, v={"S": value})


@pytest.fixture(params=[Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def feed(scene: Scene, request: pytest.FixtureRequest) -> Feed:
    """A vault to be filled; its table belongs to an account."""
    return Feed(scene.store(), scene.table, began=T - 600, layout=request.param, owner=(ACCOUNT, REGION, "the-table"))


@pytest.fixture
def table(feed: Feed) -> Table:
    return Table(feed.catalog.table_arn)


def delivered(feed: Feed) -> None:
    """All changes are in the vault, and that is proven."""
    feed.deliver()
    feed.reached(NOW - 60)


def blame(scene: Scene, folder: Path, *words: str) -> Ran:
    return scene.call("blame", scene.table, *words, "--cloudtrail", str(folder))


def findings(scene: Scene, folder: Path, *words: str) -> dict[tuple[str, str], Any]:
    """By the number of the row and the event."""
    ran = blame(scene, folder, *words, "--json")
    assert ran.code == 0, ran.err
    return {(each["key"]["number"]["N"], each["event"]): each for each in ran.json()["findings"]}


def trail(folder: Path, events: list[Any]) -> Path:
    """Their files, and a later one without events of the table."""
    return write(folder / "trail", {**deliver(events), region_folder() + TICK: file_body([])})


def test_every_kind_of_call_is_named(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    events = []
    feed.put(T, row(1), row(2), row(3), row(4), row(5), row(6), row(7))
    events.append(table.put(T - 1, ALICE, plain(1)))
    events.append(table.batch(T + 1, BOB, [plain(2), plain(3)]))
    events.append(table.transaction(T + 2, DEPLOY, [("Put", plain(4)), ("Update", plain(5))]))
    events.append(
        table.statement(
            T,
            session("worker", "i-0", invoked_by="glue.amazonaws.com"),
            f"INSERT INTO {q(table)} VALUE {{'zone': 'z', 'number': 6}}",
        )
    )
    events.append(
        table.statements(
            "ExecuteTransaction", T, service("dms.amazonaws.com"), f"INSERT INTO {q(table)} VALUE {{'zone': 'z', 'number': 7}}"
        )
    )
    feed.put(T + 100, row(1, "w"))
    events.append(table.update(T + 100, BOB, plain(1)))
    events.append(table.update(T + 100, ALICE, plain(1), error="ConditionalCheckFailedException"))
    feed.delete(T + 200, key("z", 2), key("z", 3))
    events.append(table.delete(T + 201, ALICE, plain(2)))
    events.append(table.statements("BatchExecuteStatement", T + 199, BOB, f"DELETE FROM {q(table)} WHERE {where(plain(3))}"))
    delivered(feed)

    found = findings(scene, trail(tmp_path, events), "--from", str(T - 60), "--to", str(T + 1_000))
    assert {place: each["actor"] for place, each in found.items()} == {
        ("1", "INSERT"): ALICE_ARN,
        ("2", "INSERT"): BOB_ARN,
        ("3", "INSERT"): BOB_ARN,
        ("4", "INSERT"): DEPLOY_ARN,
        ("5", "INSERT"): DEPLOY_ARN,
        ("6", "INSERT"): "arn:aws:sts::123456789012:assumed-role/worker/i-0",
        ("7", "INSERT"): "dms.amazonaws.com",
        ("1", "MODIFY"): BOB_ARN,
        ("2", "REMOVE"): ALICE_ARN,
        ("3", "REMOVE"): BOB_ARN,
    }
    assert all(
        (each["status"], each["settled"], each["actor_source"]) == ("matched", True, "cloudtrail") for each in found.values()
    )
    (call,) = found["4", "INSERT"]["calls"]
    assert call == {
        "event_time": moment.iso(T + 2),
        "event_name": "TransactWriteItems",
        "arn": DEPLOY_ARN,
        "type": "AssumedRole",
        "session_issuer": DEPLOY_ROLE,
        "access_key_id": "ASIADEPLOY",
        "source_ip_address": "192.0.2.7",
        "user_agent": "aws-cli/2.15.0 Python/3.11.6",
        "request_id": events[2]["requestID"],
        "event_id": events[2]["eventID"],
    }
    assert found["6", "INSERT"]["calls"][0]["invoked_by"] == "glue.amazonaws.com"

    text = blame(scene, tmp_path / "trail", key("z", 4).decode())
    assert text.code == 0, text.err
    assert f"INSERT    {DEPLOY_ARN} (cloudtrail)" in text.out
    assert f"role {DEPLOY_ROLE}" in text.out
    assert "request REQUEST" in text.out
    assert "key ASIADEPLOY" in text.out
    assert re.search(r"changes +1\n", text.out)


def q(table: Table) -> str:
    """The table's name in a statement."""
    return f'"{table.name}"'


def test_nothing_is_guessed(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    feed.put(T, row(1), row(2), row(3), row(4))
    feed.put(T + 5_000, row(5))
    waiting = feed.take()
    waiting[3] = msgspec.structs.replace(waiting[3], actor=TTL_ACTOR)
    feed.deliver(waiting)
    events = [
        table.put(T, ALICE, plain(1)),
        table.put(T + 1, BOB, plain(1)),
        table.put(T, ALICE, plain(2)),
        table.put(T + 1, ALICE, plain(2)),
        table.put(T, ALICE, plain(3), error="ProvisionedThroughputExceededException"),
        table.put(T, ALICE, plain(4)),
    ]
    delivered(feed)
    found = findings(scene, trail(tmp_path, events))
    ambiguous = found["1", "INSERT"]
    assert (ambiguous["status"], ambiguous["actor"]) == ("ambiguous", None)
    assert [each["arn"] for each in ambiguous["calls"]] == [ALICE_ARN, BOB_ARN]
    assert "2 calls fit" in ambiguous["why"]
    one_principal = found["2", "INSERT"]
    assert (one_principal["status"], one_principal["actor"]) == ("ambiguous", ALICE_ARN), "whichever call it was, it was hers"
    assert (found["3", "INSERT"]["status"], found["3", "INSERT"]["actor"]) == ("none", None)
    assert "data events of the table were off" in found["3", "INSERT"]["why"]
    assert (found["4", "INSERT"]["status"], found["4", "INSERT"]["actor"]) == ("dynamodb", TTL_ACTOR)
    late = found["5", "INSERT"]
    assert late["status"] == "undelivered"
    assert f"the newest that was read is of {moment.iso((T + 3_000) // 60 * 60)}" in late["why"]

    text = blame(scene, tmp_path / "trail").out
    assert "INSERT    AMBIGUOUS  {" in text
    assert re.search(r"ambiguous +2\n", text)
    assert re.search(r"no call +1 without a call, 1 whose call may not be delivered yet", text)


def test_a_change_of_just_now_is_not_said_to_have_no_call(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    now = int(time.time())  # not when this module was loaded: a run of all tests takes longer than a trail to deliver
    feed.put(now - 300, row(1), row(2))
    feed.deliver()
    events = [table.put(now - 300, ALICE, plain(1))]
    folder = write(tmp_path / "trail", {region_folder() + file_name(now - 120): file_body(events)})
    found = findings(scene, folder)
    assert (found["1", "INSERT"]["status"], found["1", "INSERT"]["settled"]) == ("matched", False)
    assert found["2", "INSERT"]["status"] == "undelivered"
    assert "not delivered yet: a trail delivers within about 15 minutes" in found["2", "INSERT"]["why"]
    assert "not settled" in blame(scene, folder).out


# --- annotations ------------------------------------------------------------------------------------------------------------------


def test_findings_are_kept_for_history(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    feed.put(T, image("z", 1, by={"S": "app"}), row(2))
    feed.delete(T + 100, key("z", 1))
    delivered(feed)
    events = [
        table.put(T, DEPLOY, plain(1)),
        table.delete(T + 100, ALICE, plain(1)),
        table.put(T, ALICE, plain(2)),
        table.put(T, BOB, plain(2)),
    ]
    folder = trail(tmp_path, events)

    first = blame(scene, folder, "--annotate", "--json").json()
    assert (first["matched"], first["ambiguous"], first["annotated"], first["known"]) == (2, 1, 3, 0)
    before = sorted(each.name for each in feed.store.list("_backstream/"))
    again = blame(scene, folder, "--annotate", "--json").json()
    assert (again["annotated"], again["known"]) == (0, 3), "a rerun changes nothing"
    assert sorted(each.name for each in feed.store.list("_backstream/")) == before
    kept = [name for name in before if f"{scene.table}/actors/" in name]
    assert len(kept) == 1
    assert b'"zone"' not in gzip.compress(feed.store.get(kept[0]).body), "no key is in it"

    versions = scene.call("history", scene.table, key("z", 1).decode(), "--json").json()
    assert [(each["actor"], each["actor_source"]) for each in versions] == [(DEPLOY_ARN, "cloudtrail"), (ALICE_ARN, "cloudtrail")]
    assert DEPLOY_ROLE in versions[0]["actors"][0]["names"]
    assert f"REMOVE    {ALICE_ARN} (cloudtrail)" in scene.call("history", scene.table, key("z", 1).decode()).out
    (unsure,) = scene.call("history", scene.table, key("z", 2).decode(), "--json").json()
    assert unsure["actor"] is None


def test_an_annotation_of_a_bucket(scene: Scene, feed: Feed, table: Table, aws: Any) -> None:
    """The folder is in a bucket of its own, of an organization's trail, with another account beside ours."""
    feed.put(T, row(1))
    delivered(feed)
    s3, bucket = aws.client("s3"), f"{scene.bucket}-trail"
    s3.create_bucket(Bucket=bucket)
    own = region_folder(organization="o-abc123def4") + file_name(T + 300)
    other = region_folder("999999999999", organization="o-abc123def4") + file_name(T + 300, account="999999999999")
    elsewhere = region_folder(organization="o-abc123def4") + file_name(T - 86_400)
    for name, body in {own: file_body([table.put(T, ALICE, plain(1))]), other: b"never read", elsewhere: b"never read"}.items():
        s3.put_object(Bucket=bucket, Key=name, Body=body)
    for place in (
        "",
        "/AWSLogs",
        "/AWSLogs/o-abc123def4",
        f"/AWSLogs/o-abc123def4/{ACCOUNT}",
        f"/{region_folder(organization='o-abc123def4')}",
    ):
        ran = scene.call("blame", scene.table, "--cloudtrail", f"s3://{bucket}{place}", "--json")
        assert ran.code == 0, (place, ran.err)
        assert [each["actor"] for each in ran.json()["findings"]] == [ALICE_ARN], place
        assert ran.json()["files"] == 1


# --- bad input --------------------------------------------------------------------------------------------------------------------


def test_a_folder_of_another_account_is_refused_and_nothing_is_written(scene: Scene, feed: Feed, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    foreign = Table(feed.catalog.table_arn.replace(ACCOUNT, "999999999999"))
    body = file_body([foreign.put(T, user("mallory", "999999999999"), plain(1))])
    write(tmp_path / "trail", {region_folder("999999999999") + file_name(T + 300, account="999999999999"): body})
    write(tmp_path / "flat", {"events.json.gz": body})
    write(tmp_path / "renamed", {region_folder() + file_name(T + 300): body})
    before = sorted(each.name for each in feed.store.list(""))
    for place in ("trail", "trail/AWSLogs/999999999999", "trail/AWSLogs/999999999999/CloudTrail/us-east-1", "flat", "renamed"):
        ran = blame(scene, tmp_path / place, "--annotate")
        assert ran.code == 4, (place, ran.out + ran.err)
        assert "999999999999" in ran.err
        assert ACCOUNT in ran.err
        assert ran.out == ""
    assert sorted(each.name for each in feed.store.list("")) == before


NOT_READ = [
    (b"not JSON", "it does not begin with"),
    (gzip.compress(b'{"Records":[{"a":1}'), "a list that does not go on"),
    (gzip.compress(b'{"Records":[{"a":'), "not JSON, or cut off"),
    (gzip.compress(b'{"Records":[]}')[:-9], "not gzip data"),
    (gzip.compress(b'{"Records":[5]}'), "event 1: it is no event"),
    (gzip.compress(b'{"Records":[]} more'), "something follows its end"),
    (gzip.compress(b'{"Other":[]}'), "not a CloudTrail file"),
    (gzip.compress(b'{"Records":["\xff"]}'), "not UTF-8"),
    (b"", "not a CloudTrail file"),
    (gzip.compress(b'{"Records":[' + b"[" * 100_000), "nested too deep"),
]


def too_large() -> bytes:
    """Made by who needs it, not by each process that collects tests."""
    return gzip.compress(b'{"Records":[' + b" " * (70 << 20) + b"]}", 1)


def test_files_that_are_none_are_named_and_the_rest_is_done(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    folder = trail(tmp_path, [table.put(T, ALICE, plain(1))])
    not_read = [*NOT_READ, (too_large(), "larger than the")]
    bad = {region_folder() + file_name(T + 400, f"bad{number:02d}"): each for number, each in enumerate(not_read)}
    write(folder, {name: body for name, (body, _) in bad.items()})
    ran = blame(scene, folder, "--json")
    assert ran.code == 1
    told = {each["file"]: each["why"] for each in ran.json()["unreadable"]}
    assert told.keys() == bad.keys()
    for name, (_, why) in bad.items():
        assert f"NOT READ: {name}: " in ran.err
        assert why in told[name]
    (found,) = ran.json()["findings"]
    assert (found["actor"], found["settled"]) == (ALICE_ARN, False)


def test_folders_without_events_say_so(scene: Scene, feed: Feed, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    missing = blame(scene, tmp_path / "no such folder")
    assert (missing.code, "There is no folder" in missing.err) == (1, True)
    (tmp_path / "empty").mkdir()
    empty = blame(scene, tmp_path / "empty")
    assert empty.code == 1
    assert "there are no CloudTrail files for that time" in empty.err
    assert "docs/who.md" in empty.err
    management = write(
        tmp_path / "management",
        {region_folder() + file_name(T + 300): file_body([{"eventSource": "ec2.amazonaws.com", "eventTime": moment.iso(T)}])},
    )
    none = blame(scene, management)
    assert none.code == 1
    assert f"no call that wrote to {scene.table} is in 1 CloudTrail file of that time" in none.err


def test_a_key_that_nobody_wrote_is_exit_1(scene: Scene, feed: Feed, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    ran = blame(scene, tmp_path, key("z", 9).decode(), "--json")
    assert (ran.code, ran.json()["findings"]) == (1, [])
    said = json.loads(ran.err.splitlines()[-1])["error"]["message"]
    assert said.startswith(f"no change of {key('z', 9).decode()} in {scene.table} between")


NO_WINDOWS: list[tuple[list[str], int, str]] = [
    (["--from", str(T + 10), "--to", str(T)], 2, "the window ends before it begins"),
    (["--from", str(T - 86_400), "--to", str(T)], 4, "before the vault's first change"),
    (["--to", str(NOW + 86_400)], 4, "in the future"),
    (["--from", "yesterday"], 2, "not a moment"),
    (['{"nope":1}'], 2, "not a key of this table"),
]


def test_windows_and_keys_that_are_none(scene: Scene, feed: Feed, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    for words, code, why in NO_WINDOWS:
        ran = blame(scene, tmp_path, *words)
        assert (ran.code, ran.out) == (code, "")
        assert why in ran.err


def test_two_places_of_json(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    """The object is whole whatever is in it: no findings, and data that a terminal must not be shown."""
    feed.put(T, image("z\u202e", 1))
    delivered(feed)
    folder = trail(tmp_path, [table.put(T, user("a\u202eb"), {"zone": "z\u202e", "number": 1})])
    none = blame(scene, folder, "--from", str(T + 100), "--to", str(T + 200), "--json")
    assert (none.code, none.json()["findings"]) == (0, [])
    assert "no change of" in none.err
    one = blame(scene, folder, "--json")
    assert json.loads(one.out)["findings"][0]["actor"].endswith("user/a\u202eb")
    assert "\u202e" not in one.out
    assert "\u202e" not in blame(scene, folder).out


def test_changes_are_selected_by_every_name_of_an_actor(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    feed.put(T, image("z", 1, by={"S": "app"}), image("z", 2, by={"S": "app"}), row(3), row(4))
    delivered(feed)
    feed.keep_as(actor_attribute="by")
    several = [table.put(T, who, plain(4)) for who in (ALICE, BOB)]
    folder = trail(tmp_path, [table.put(T, DEPLOY, plain(1)), table.put(T, ALICE, plain(3)), *several])
    assert blame(scene, folder, "--annotate").code == 0

    def changed(actor: str) -> list[tuple[str, str, str]]:
        ran = scene.call(
            "changes", scene.table, "--from", str(T - 10), "--to", str(T + 10), "--actor", actor, "--json", "--allow-gap"
        )
        assert ran.code == 0, ran.err
        assert "1 change not selected by --actor: calls of several principals fit" in ran.err
        return [(each["key"]["number"]["N"], each["actor"], each["actor_source"]) for each in ran.json()]

    first = ("1", DEPLOY_ARN, "cloudtrail")
    assert changed(DEPLOY_ARN) == changed(DEPLOY_ROLE) == changed("ASIADEPLOY") == [first]
    assert changed(ALICE_ARN) == [("3", ALICE_ARN, "cloudtrail")]
    assert changed("app") == [first, ("2", "app", "attribute")], "each source's word selects; the surest is shown"


def test_a_live_table_from_its_writes_to_its_history(scene: Scene, tmp_path: Path) -> None:
    """A table with a stream, a tail, and the files of its calls: nothing is made up but CloudTrail."""
    scene.create()
    scene.init(actor_attribute="meta.by")
    scene.put(image("z", 1, meta={"M": {"by": {"S": "carol"}}}), row(2))
    scene.delete(key("z", 2))
    scene.tail()
    table = Table(scene.live().facts().arn)
    account, region = table.arn.split(":")[4], table.arn.split(":")[3]
    written = {each["number"]["N"]: each for each in (json.loads(entry.keys) for entry in _entries(scene))}
    assert set(written) == {"1", "2"}
    second = _entries(scene)[0].seconds
    events = [
        table.put(second, session("app", "i-0", account), plain(1)),
        table.put(second, ALICE, plain(2)),
        table.delete(second, BOB, plain(2)),
    ]
    folder = write(tmp_path / "trail", deliver(events, account=account, region=region))
    ran = blame(scene, folder, "--annotate", "--json")
    assert ran.code == 0, ran.err
    assert [(each["event"], each["actor"]) for each in ran.json()["findings"]] == [
        ("INSERT", f"arn:aws:sts::{account}:assumed-role/app/i-0"),
        ("INSERT", ALICE_ARN),
        ("REMOVE", BOB_ARN),
    ]
    (version,) = scene.call("history", scene.table, key("z", 1).decode(), "--json").json()
    assert [(each["actor"], each["source"]) for each in version["actors"]] == [
        (f"arn:aws:sts::{account}:assumed-role/app/i-0", "cloudtrail"),
        ("carol", "attribute"),
    ]
    text = scene.call("history", scene.table, key("z", 1).decode()).out
    assert f"arn:aws:sts::{account}:assumed-role/app/i-0 (cloudtrail, not settled), carol (attribute)" in text


def _entries(scene: Scene) -> list[Any]:
    log = scene.vault().log
    return [entry for listed in log.listing() if listed.segment and listed.segment.count for entry in log.read(listed)]


def test_a_window_across_a_gap_is_refused_and_all_of_history_is_not(scene: Scene, feed: Feed, table: Table, tmp_path: Path) -> None:
    feed.put(T, row(1))
    delivered(feed)
    feed.vault.gaps.record(Gap(reason="lost by a test", since=T - 20, until=T - 10, stream=feed.label))
    folder = trail(tmp_path, [table.put(T, ALICE, plain(1))])
    refused = blame(scene, folder, "--from", str(T - 60), "--to", str(T + 60), "--annotate")
    assert (refused.code, refused.out) == (4, "")
    assert "lost by a test" in refused.err
    assert not list(feed.store.list(f"_backstream/{scene.table}/actors/"))
    for words in (["--allow-gap", "--from", str(T - 60), "--to", str(T + 60)], ["--from", str(T - 9)], []):
        ran = blame(scene, folder, *words)
        assert ran.code == 0, ran.err
        assert ALICE_ARN in ran.out
    assert "changes may be missing" in blame(scene, folder).err


def test_places_that_are_none(scene: Scene, feed: Feed) -> None:
    feed.put(T, row(1))
    delivered(feed)
    bucket = ("s3://no-such-bucket-here/AWSLogs", 1, "no-such-bucket-here")
    for url, code, why in (bucket, ("ftp://x", 2, "neither a bucket nor a folder")):
        ran = scene.call("blame", scene.table, "--cloudtrail", url)
        assert (ran.code, ran.out) == (code, "")
        assert why in ran.err


@pytest.mark.soak  # it waits for a real clock; the selection by actor is tested with `changes`
def test_exactly_the_writes_of_a_role_are_undone(scene: Scene, tmp_path: Path) -> None:
    """Two writers at once: `revert --actor ROLE` takes back what the role's sessions did, and nothing else."""
    scene.create()
    scene.init()
    scene.put(row(1), row(2))
    for _ in range(TOLERANCE):  # the first writes, which no event tells of, are too far away for later calls to fit
        next_second()
    begun = next_second()
    next_second()
    scene.put(row(1, "bad"), row(3, "bad"), row(2, "good"), row(4, "good"))
    ended = next_second()
    next_second()
    scene.put(row(5, "later"))
    next_second()
    scene.tail()
    table = Table(scene.live().facts().arn)
    account, region = table.arn.split(":")[4], table.arn.split(":")[3]
    second = max(entry.seconds for entry in _entries(scene) if entry.seconds <= ended)
    bad, good = session("deploy", "ci-1", account), user("alice", account)
    events = [
        table.batch(second, bad, [plain(1), plain(3)]),
        *(table.put(second, good, plain(number)) for number in (2, 4)),
    ]
    before = [table.delete(begun - 30, good, plain(1))]  # of a row that was changed later: it fits nothing
    folder = write(tmp_path / "trail", deliver([*events, *before], account=account, region=region))
    window = ["--from", str(begun), "--to", str(ended)]
    assert blame(scene, folder, *window, "--annotate").code == 0

    role = f"arn:aws:iam::{account}:role/deploy"
    shown = scene.call("changes", scene.table, *window, "--actor", role, "--json").json()
    assert sorted(each["key"]["number"]["N"] for each in shown) == ["1", "3"]
    ran = scene.call("revert", scene.table, *window, "--actor", role, "--yes", "--json")
    assert ran.code == 0, ran.err
    left = {json.loads(each)["number"]["N"]: json.loads(each)["v"]["S"] for each in scene.items().values()}
    assert left == {"1": "v", "2": "good", "4": "good", "5": "later"}
