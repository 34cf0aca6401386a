"""A signed vault, end to end through the command line: what is signed is believed, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstream.model import moment
from backstream.model.sealing import SIGNATURE, signing_of, statement
from backstream.vault import catalog as catalogs
from kit.images import image
from kit.scene import Scene, file_items, next_second
from kit.signing import key_files


def kms_key(scene: Scene) -> str:
    client: Any = scene.aws.client("kms")  # type: ignore[call-overload]
    arn: str = client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture(params=["ed25519", pytest.param("kms", marks=pytest.mark.soak)])
def keys(request: pytest.FixtureRequest, scene: Scene, tmp_path: Path) -> tuple[str, str]:
    """What signs, and what verifies."""
    if request.param == "kms":
        arn = f"kms:{kms_key(scene)}"
        return arn, arn
    secret, public = key_files(tmp_path)
    return f"ed25519:{secret}", str(public)


@pytest.fixture
def vault(scene: Scene, keys: tuple[str, str]) -> Scene:
    """A signed vault with five rows in it."""
    scene.create()
    done = scene.call("init", scene.table, "--enable-stream", "--sign", keys[0])
    assert done.code == 0, done.err
    if keys[0].startswith("ed25519:"):
        scene.environment["BACKSTREAM_SIGN"] = keys[0]
    next_second()
    scene.put(*(image("z", number) for number in range(5)))
    caught_up(scene, moment.iso(next_second()))
    return scene


def caught_up(scene: Scene, written: str) -> None:
    """Follow the stream until that second is proven: it is once the stream has been read after it."""
    while True:
        tailed = scene.call("tail", scene.table, "--until-caught-up")
        assert tailed.code == 0, tailed.err
        if proven(scene) >= written:
            return
        next_second()


def proven(scene: Scene) -> str:
    """The last second that is proven; empty where none is."""
    return scene.call("status", scene.table, "--json").json()["window_to"] or ""


def restored(scene: Scene, keys: tuple[str, str], *words: str, at: str | None = None) -> tuple[int, str, Path]:
    path = scene.folder / "out"
    path.unlink(missing_ok=True)
    asked = ("restore", scene.table, "--at", at or proven(scene), "--to-file", str(path), "--verify-key", keys[1])
    done = scene.call(*asked, *words)
    return done.code, done.err, path


def segment(scene: Scene) -> str:
    return next(each.name for each in scene.vault().log.listing() if each.segment is not None and each.segment.count)


def test_what_is_signed_is_believed_and_nothing_else(vault: Scene, keys: tuple[str, str], tmp_path: Path) -> None:
    code, err, path = restored(vault, keys)
    assert code == 0, err
    assert "signatures cover" in err
    assert file_items(path) == vault.items()
    store = vault.store()
    assert all(SIGNATURE in store.head(each.name).metadata for each in store.list("_backstream/"))

    drilled = vault.call("drill", vault.table, "--json", "--verify-key", keys[1], "--patience", "1")
    assert drilled.code == 0, drilled.err
    covered = drilled.json()["covered"]
    assert covered["since"] <= covered["until"] <= proven(vault)
    head = covered["head"]
    checked = vault.call("check", vault.table, "--verify-key", keys[1], "--min-head", str(head))
    assert (checked.code, "signatures cover" in checked.out) == (0, True)

    # An older state of the vault has a head that is less.
    code, err, _ = restored(vault, keys, "--min-head", str(head + 1))
    assert (code, "an older state of the vault" in err) == (4, True)
    # A moment that no watermark covers.
    code, err, _ = restored(vault, keys, at="now")
    assert (code, "is not covered by signatures" in err) == (4, True)
    # Another key.
    other = str(key_files(tmp_path)[1]) if keys[0].startswith("kms:") else f"kms:{kms_key(vault)}"
    code, err, _ = restored(vault, (keys[0], other))
    assert (code, "nobody vouches for it" in err) == (4, True)

    # A new segment with a change that nobody made: signed by nobody, or with the signature of another object.
    name = segment(vault)
    stored = store.get(name)
    planted = name.replace("lambda.", "lambda.f").replace("_shard", "_xshard")
    store = vault_store_without_key(vault)
    store.put(planted, stored.body, stored.info.metadata)
    code, err, _ = restored(vault, keys)
    assert (code, planted in err, "nobody vouches for it" in err) == (4, True, True)
    assert vault.call("check", vault.table, "--verify-key", keys[1]).code == 3


def vault_store_without_key(scene: Scene) -> Any:
    return scene.store()._store  # type: ignore[attr-defined]


def test_an_older_catalog_on_top_is_refused(scene: Scene, tmp_path: Path) -> None:
    secret, public = key_files(tmp_path)
    scene.create()
    scene.environment["BACKSTREAM_SIGN"] = f"ed25519:{secret}"
    for words in ((), ("--layout", "log"), ("--failures", "s3://elsewhere")):
        assert scene.call("init", scene.table, "--enable-stream", "--sign", f"ed25519:{secret}", *words).code == 0
    caught_up(scene, moment.iso(next_second()))
    keys = str(secret), str(public)
    at = proven(scene)
    assert restored(scene, keys, at=at)[0] == 0
    store, name = vault_store_without_key(scene), catalogs.name_of(scene.table)
    older = store.get(name, [each.version for each in store.versions_of(name)][-1])
    store.put(name, older.body, older.info.metadata)
    code, err, _ = restored(scene, keys, at=at)
    assert (code, "an older catalog was put on top" in err) == (4, True), err


def test_without_the_key_nothing_is_written_and_a_wrong_one_is_named(scene: Scene, tmp_path: Path) -> None:
    secret, public = key_files(tmp_path)
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream", "--sign", f"ed25519:{secret}").code == 0
    next_second()
    scene.put(image("z", 1))
    said = scene.call("tail", scene.table, "--until-caught-up")
    assert (said.code, "BACKSTREAM_SIGN" in said.err) == (4, True), said.err
    for words in (("--sign", "what"), ("--sign", f"ed25519:{public}"), ("--sign", f"ed25519:{tmp_path / 'none'}")):
        assert scene.call("init", scene.table, *words).code == 2
    assert scene.call("restore", scene.table, "--at", "now", "--to-file", "x", "--verify-key", "none").code == 2


def test_what_was_there_before_is_not_covered_and_a_base_backup_begins_anew(scene: Scene, tmp_path: Path) -> None:
    secret, public = key_files(tmp_path)
    keys = str(secret), str(public)
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    next_second()
    scene.put(image("z", 1))
    next_second()
    assert scene.call("tail", scene.table, "--until-caught-up").code == 0
    code, err, _ = restored(scene, keys)
    assert (code, "not signed" in err) == (4, True), err


def test_what_is_signed_stays_what_it_is() -> None:
    """The statement's form, which older signatures are made over."""
    said = statement("_backstream/t/log/x", b"abc", {"format": "2", "after": "oldest", SIGNATURE: "not of it"})
    assert said == (
        b'["backstream-object-1","_backstream/t/log/x",'
        b'"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",[["after","oldest"],["format","2"]]]'
    )
    assert signing_of(b"{}") is signing_of(b"") is signing_of(b'{"signing":1}') is None
