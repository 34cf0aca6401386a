"""A vault in S3 that somebody hides with nothing but s3:DeleteObject, and what the commands say then: end to end."""

from __future__ import annotations

import pytest

from kit.images import image, key
from kit.losing import lose
from kit.scene import Scene


@pytest.fixture
def lived(scene: Scene) -> Scene:
    """Three rows, one of them changed, one deleted."""
    scene.create()
    scene.init()
    scene.put(image("row", 1), image("row", 2), image("row", 3))
    scene.tail()
    scene.put(image("row", 1, v={"S": "changed"}))
    scene.delete(key("row", 3))
    scene.tail()
    return scene


def hide(scene: Scene, prefix: str = "") -> list[str]:
    names = [each.name for each in scene.store().list(prefix)]
    for name in names:
        scene.store().delete(name)
    return names


def test_a_hidden_vault(lived: Scene) -> None:
    scene = lived
    before = scene.call("status", scene.table, "--json").json()
    hidden = hide(scene)
    said = scene.call("status")
    assert said.code == 3
    assert "hidden by delete markers" in said.err
    assert f"backstream check {scene.table} --repair" in said.err
    assert scene.call("status", scene.table, "--json").json()["changes"] == before["changes"] == 5
    doctor = scene.call("doctor", scene.table)
    assert doctor.code == 3
    assert f"_backstream/{scene.table}/catalog.json is hidden" in " ".join(doctor.out.split()), "however the lines are broken"
    shown = scene.call("history", scene.table, key("row", 1).decode(), "--json")
    assert (shown.code, [each["event"] for each in shown.json()]) == (0, ["INSERT", "MODIFY"])
    found = scene.call("check", scene.table, "--json")
    assert found.code == 3
    assert {each["object"] for each in found.json()["findings"]} == set(hidden)
    assert all(each["kind"] == "hidden" and each["repairable"] for each in found.json()["findings"])
    repaired = scene.call("check", "--repair")
    assert repaired.code == 3
    assert "all of them repaired" in repaired.err
    assert [each.name for each in scene.store().list("")] == hidden
    assert scene.call("check", "--read-data").code == 0
    assert scene.call("status").code == 0


def test_a_lost_version(lived: Scene) -> None:
    scene = lived
    vault = scene.vault()
    first = vault.history(vault.key_of(image("row", 1)))[0]
    assert first.place is not None
    lose(scene.store(), first.place.name, first.place.version, aws=scene.aws)
    said = scene.run("check")
    assert said.code == 3
    assert f"MISSING: {first.place.name} (version {first.place.version}) of " in said.err
    assert '"row"' in said.err
    assert "1 finding in the vault of" in said.err


def test_a_lost_catalog(lived: Scene) -> None:
    """Neither of these passes over the table: what its log holds is there, and nobody can read it."""
    lose(lived.store(), f"_backstream/{lived.table}/catalog.json", aws=lived.aws)
    for words in (["status"], ["doctor"], ["check"]):
        said = lived.call(*words)
        assert (said.code in (1, 3), said.code) == (True, 1 if words == ["status"] else 3), said.out + said.err
        assert "catalog" in said.out + said.err
        assert "is lost" in " ".join((said.out + said.err).split())
