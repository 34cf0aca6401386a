"""The command `erase` on a vault in a folder: what it selects, what it says, what other commands say of it, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.model import moment
from backstream.model.tables.naming import Naming
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Put
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit import images
from kit.canary import CANARY, found_in
from kit.clock import ManualClock
from kit.lived import live
from kit.stage import Stage

KEY = json.dumps({"zone": CANARY, "number": 1})


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def report(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:

    def ran(*words: str) -> Said:
        capsys.readouterr()
        code = call([*words, "--vault", f"file://{tmp_path}"])
        return Said(code, *capsys.readouterr())

    return ran


def lived_in(tmp_path: Path, **options: Any) -> tuple[Stage, int]:
    """A stage with three canaries, two of them of one partition, by other namings and tenants; and a second of that time."""
    stage = Stage(ManualClock(), layout=Layout.ROWS, store=DirectoryStore(tmp_path, ManualClock()))
    init(stage.store, stage.table, InitOptions(**options))
    for zone, number in ((CANARY, 1), (CANARY, 2), ("other", 1)):
        put(stage, zone, number, f"{CANARY} {number}" if zone == CANARY else "of another")
    seconds = live(stage, 2)
    return stage, seconds[0]


def put(stage: Stage, zone: str, number: int, said: str, tenant: str = "acme") -> None:
    stage.table.write([Put(images.image(zone, number, said={"S": said}, tenant={"S": tenant}))])


def anywhere(stage: Stage, tmp_path: Path) -> list[str]:
    """Where the canary is: in the store, or in a path on disk."""
    paths = [str(each) for each in tmp_path.rglob("*") if CANARY in str(each.relative_to(tmp_path))]
    return [*found_in(stage.store), *paths]


@pytest.mark.parametrize("naming", Naming)
def test_a_partition_whatever_its_objects_are_called(tmp_path: Path, run: Run, naming: Naming) -> None:
    stage, second = lived_in(tmp_path, naming=naming)
    assert anywhere(stage, tmp_path)
    planned = run("erase", "flights", "--partition", CANARY, "--dry-run", "--json")
    assert (planned.code, planned.report["keys"], planned.report["dry_run"]) == (0, 2, True)
    assert anywhere(stage, tmp_path)
    erased = run("erase", "flights", "--partition", CANARY, "--reason", "article 17", "--json")
    assert (erased.code, erased.report["keys"], erased.report["blocked_until"]) == (0, 2, None)
    assert erased.report["versions_removed"] >= planned.report["versions_removed"] > 0
    assert anywhere(stage, tmp_path) == []
    verified = run("erase", "--verify", erased.report["id"], "--json")
    assert (verified.code, verified.report["found"], verified.report["unread"]) == (0, [], [])
    assert verified.report["versions"] > 20
    assert run("check", "flights", "--read-data").code == 0
    restored = run("restore", "flights", "--at", moment.iso(second), "--to-file", str(tmp_path.parent / f"{naming}.json"), "--json")
    assert (restored.code, restored.report["erased"]) == (0, 2)
    assert any("2 rows" in each and "article 17" in each for each in restored.report["warnings"])


def test_what_other_commands_say_of_an_erased_item(tmp_path: Path, run: Run) -> None:
    at = moment.iso(lived_in(tmp_path)[1])
    assert run("show", "flights", KEY, "--at", at).code == 0
    erased = run("erase", "flights", "--key", KEY, "--reason", "article 17", "--json").report["id"]
    shown = run("show", "flights", KEY, "--at", at)
    assert shown.code == 1
    assert f"erasure {erased}: article 17" in shown.err
    history = run("history", "flights", KEY)
    assert history.code == 1
    assert erased in history.err
    assert "never seen" not in history.err
    file = str(tmp_path.parent / "one.json")
    restored = run("restore", "flights", "--at", at, "--to-file", file, "--key", KEY)
    assert restored.code == 1
    assert "article 17" in restored.err
    other = run("show", "flights", json.dumps({"zone": CANARY, "number": 2}), "--at", at)
    assert other.code == 0
    again = run("erase", "flights", "--key", KEY, "--reason", "article 17")
    assert again.code == 1
    assert "nothing of it" in again.err


def test_a_tenant_and_all_that_was_ever_its(tmp_path: Path, run: Run) -> None:
    """In both layouts, by the folder's name and by the images of rows that were kept before the table was split."""
    stage, _ = lived_in(tmp_path)
    put(stage, "moved", 1, f"{CANARY} of a tenant", tenant=CANARY)
    stage.follow()
    init(stage.store, stage.table, InitOptions(tenant_attribute="tenant"))
    put(stage, "moved", 1, f"{CANARY} of another", tenant="acme")
    put(stage, "stays", 1, f"{CANARY} too", tenant=CANARY)
    stage.follow()
    stage.clock.sleep(10)
    erased = run("erase", "flights", "--tenant", CANARY, "--reason", "gone", "--json")
    assert (erased.code, erased.report["keys"]) == (0, 2)
    rest = run("erase", "flights", "--partition", CANARY, "--reason", "gone", "--json")
    assert (rest.code, anywhere(stage, tmp_path)) == (0, [])


def test_records_of_drills_and_gaps_go_on_without_the_subject(tmp_path: Path, run: Run) -> None:
    stage, _ = lived_in(tmp_path)
    vault, key = stage.vault(), json.loads(images.key(CANARY, 1))
    differing = [{"key": key, "restored": {"said": {"S": CANARY}}}, {"key": {"zone": {"S": "z"}, "number": {"N": "1"}}}]
    record = {"id": "d", "began": "x", "at": "x", "passed": False, "rows": 5, "differences": 2, "rpo_seconds": 1, "rto_seconds": 1}
    name = vault.drills.keep("d", stage.clock.now(), msgspec.json.encode({**record, "differing": differing}))
    second = int(stage.clock.now())
    canonical = vault.key_of(images.key(CANARY, 1)).decode()
    vault.gaps.record(Gap("lost", second - 5, second, vault.catalog.stream, key=canonical))
    erased = run("erase", "flights", "--partition", CANARY, "--reason", "gone", "--json")
    assert (erased.code, anywhere(stage, tmp_path)) == (0, [])
    kept = msgspec.json.decode(stage.store.get(name).body)
    assert kept == {**record, "differing": differing[1:]}
    assert list(stage.vault().gaps.all()) == []


def test_files_that_are_given_to_the_command(tmp_path: Path, run: Run) -> None:
    """A file goes on without the subject's lines. One that is about the subject stays, and is named."""
    lived_in(tmp_path)
    key, other = json.loads(images.key(CANARY, 1)), json.loads(images.key("z", 1))
    about, names = tmp_path.parent / "about.json", tmp_path.parent / "names.json"
    head = {"restore": "r", "table": "flights", "at": 1, "target": "flights"}
    names.write_text("".join(json.dumps(each) + "\n" for each in (head, {"Key": key}, {"Key": other}, {"Ended": True})))
    about.write_text(json.dumps({**head, "keys": [key]}) + "\n" + json.dumps({"Key": key}) + "\n")
    kept = about.read_text()
    ran = run("erase", "flights", "--key", KEY, "--reason", "gone", "--file", str(names), "--file", str(about), "--json")
    assert (ran.code, [each["object"] for each in ran.report["left"]]) == (1, [str(about)])
    assert [json.loads(line) for line in names.read_text().splitlines()] == [head, {"Key": other}, {"Ended": True}]
    assert about.read_text() == kept
    about.unlink()
    assert run("erase", "flights", "--key", KEY, "--reason", "gone").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["erase", "flights", "--reason", "x"], "choose exactly one way"),
        (["erase", "flights", "--key", KEY, "--tenant", "x", "--reason", "x"], "choose exactly one way"),
        (["erase", "flights", "--key", KEY], "the reason of the erasure is missing"),
        (["erase", "--key", KEY, "--reason", "x"], "no table is named"),
        (["erase", "flights", "--verify", "x", "--key", KEY], "without a selection"),
        (["erase", "flights", "--tenant", "x", "--reason", "x"], "not split by tenant"),
        (["erase", "flights", "--key", KEY, "--reason", f"asked by {CANARY}."], "the reason names what is to be erased"),
        (["erase", "flights", "--key", KEY, "--reason", f"row {KEY}"], "the reason names what is to be erased"),
    ],
)
def test_a_request_that_says_too_little_or_too_much(tmp_path: Path, run: Run, words: list[str], said: str) -> None:
    stage, _ = lived_in(tmp_path)
    ran = run(*words)
    assert (ran.code, said in ran.err) == (2, True)
    assert anywhere(stage, tmp_path)


def test_verify_finds_what_an_erasure_has_left(tmp_path: Path, run: Run) -> None:
    stage, _ = lived_in(tmp_path)
    canaries = found_in(stage.store)
    row = next(each for each in stage.store.versions("flights/") if f"{each.name} {each.version}" in canaries)
    kept = stage.store.get(row.name, row.version)
    erased = run("erase", "flights", "--partition", CANARY, "--reason", "gone", "--json").report["id"]
    stage.store.put("flights/copy", kept.body, kept.info.metadata)
    verified = run("erase", "--verify", erased, "--json")
    assert verified.code == 3
    assert [each["object"] for each in verified.report["found"]] == ["flights/copy"]
    assert "still hold" in verified.err
    assert run("erase", "--verify", "20200101T000000Z-aaaaaa").code == 1


def test_later_changes_are_discarded_and_every_command_says_so(tmp_path: Path, run: Run) -> None:
    stage, _ = lived_in(tmp_path)
    words = ("erase", "flights", "--partition", CANARY, "--reason", "article 17", "--forget-future")
    assert run(*words, "--dry-run", "--json").report["forget_future"] is True
    assert stage.vault().catalog.forgotten is None
    erased = run(*words)
    assert (erased.code, "discarded" in erased.out) == (0, True)
    put(stage, CANARY, 1, f"{CANARY} again")
    put(stage, CANARY, 9, f"{CANARY} is new there")
    assert stage.follow().forgotten == 2
    assert anywhere(stage, tmp_path) == []
    history = run("history", "flights", KEY)
    assert (history.code, "all later changes are discarded" in history.err) == (1, True)
    assert run("check", "flights", "--read-data").code == 0
    verified = run("erase", "--verify", stage.vault().catalog.erasures[0], "--json")
    assert (verified.code, verified.report["found"], verified.report["new"]) == (0, [], 0)
    again = run(*words)
    assert (again.code, "its later changes are discarded" in again.err) == (1, True)
