"""What `test_unknown_rows.py` has, through the command line: exit codes and what people and programs are told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from backstream.model import moment
from backstream.model.tables.creation import on_demand
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.scene import Ran, Scene, same
from kit.two_tenants import two_tenants

NOW = int(time.time())
T = NOW - 3_600
PROVEN = T + 600


@pytest.fixture
def feed(scene: Scene) -> Feed:
    return two_tenants(scene, T, PROVEN)


def restore(scene: Scene, *words: str, at: int = T) -> Ran:
    return scene.call("restore", scene.table, "--at", str(at), *words)


IN_PLACE = ("--in-place", "--yes")


def test_what_the_vault_has_not_heard_of_is_left_and_named(scene: Scene, feed: Feed) -> None:
    """A row more, one changed, one less: beyond the proven second all of it may have been so."""
    scene.create()
    new, changed = image("new", 1), image("row", 1, status={"S": "open"})
    live = feed.model.at(T) | {feed.vault.key_of(each): each for each in (new, changed)}
    scene.put(*live.values())
    scene.delete(key("row", 2))
    before, late = scene.items(), PROVEN + 60
    dry = restore(scene, "--in-place", "--dry-run", "--json", at=late)
    done = restore(scene, *IN_PLACE, "--json", at=late)
    for ran in (dry, done):
        counts = [ran.json()[each] for each in ("put", "deleted", "unchanged", "failed", "spared")]
        assert (ran.code, counts) == (1, [0, 0, 2, 3, 3]), ran.err
        named = {each["what"].encode() for each in ran.json()["sparing"]}
        assert named == {feed.vault.key_of(each) for each in (new, changed, key("row", 2))}
    people = restore(scene, *IN_PLACE, at=late)
    assert f"the vault is sure to hold everything up to {moment.iso(PROVEN)}" in people.err
    assert "NOT RESTORED: " in people.err
    assert "3 live rows are left alone" in people.err
    assert "--delete-unknown" in people.err
    assert "left alone" in people.out
    assert same(scene.items(), before)
    one = restore(scene, *IN_PLACE, "--key", key("new", 1).decode(), "--json", at=late)
    assert (one.code, one.json()["spared"]) == (1, 1), one.err
    gone = restore(scene, *IN_PLACE, "--delete-unknown", "--json", at=late)
    assert (gone.code, gone.json()["deleted"], gone.json()["failed"]) == (1, 1, 2), gone.err


def test_another_table_of_the_name_is_refused(scene: Scene, feed: Feed) -> None:
    """As with the production profile and a staging vault: the table has another id, and nine rows of its own."""
    scene.live().create(on_demand(SCHEMA))  # not `scene.create`: the vault stays one of another table
    scene.put(*(image("production", number) for number in range(9)))
    before = scene.items()
    refused = restore(scene, *IN_PLACE)
    assert (refused.code, refused.out) == (4, "")
    assert "is not the vault's: table id" in refused.err
    assert "--into-another" in refused.err
    assert same(scene.items(), before)
    most = restore(scene, *IN_PLACE, "--into-another")
    assert (most.code, "delete 9 of the 9 rows" in most.err, "--expect-deletes 9" in most.err) == (4, True, True)
    assert same(scene.items(), before)
    dry = restore(scene, "--in-place", "--dry-run", "--into-another")
    assert (dry.code, "--expect-deletes 9" in dry.out) == (0, True)
    done = restore(scene, *IN_PLACE, "--into-another", "--expect-deletes", "9", "--json")
    assert (done.code, done.json()["deleted"], done.json()["put"]) == (0, 9, 4), done.err
    assert same(scene.items(), feed.model.at(T))

    undo = done.json()["undo"].split()[1:]
    asked = scene.call(*undo)
    assert (asked.code, "not confirmed: Take the restore" in asked.err, "--yes" in asked.err) == (4, True, True)
    assert scene.call(*undo, "--dry-run").code == 0, "it writes nothing"
    assert same(scene.items(), feed.model.at(T))
    other = scene.call(*undo, "--yes", "--json")
    assert (other.code, other.json()["put"], other.json()["deleted"]) == (0, 9, 4), other.err
    assert same(scene.items(), before), "rows that the vault has never seen are back"
    assert scene.call(*undo, "--to", "new").code == 2


WRONG: list[tuple[list[str], str]] = [
    (["--tenant", "acme"], "The nearest tenants: 'acme-1', 'acme-0'."),
    (["--partition", "roww"], "The nearest values of zone: 'row'."),
    (["--where", 'statuss = "paid"'], "No row has an attribute 'statuss'. The nearest attributes: 'status'."),
    (["--key", '{"zone":"row","number":9}'], "ever held a row of this key"),
]


def test_a_selection_that_matches_nothing_is_an_error(scene: Scene, feed: Feed) -> None:
    scene.create()
    scene.put(*feed.model.at(T).values())
    targets: dict[str, tuple[str, ...]] = {
        "in place": IN_PLACE,
        "file": ("--to-file", "out"),
        "new": ("--to", scene.table + "-new"),
    }
    for words, said in WRONG:
        for target in targets.values():
            ran: Any = restore(scene, *target, *words)
            assert (ran.code, ran.out) == (1, ""), ran.err
            assert said in ran.err
            assert f"no row of {scene.table}" in ran.err
    assert {each.name for each in scene.folder.iterdir()} == {"vault"}
    assert scene.call("restore", scene.table, "--at", str(T), "--to-file", "out", "--delete-unknown").code == 2
