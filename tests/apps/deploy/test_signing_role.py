"""`template --sign`: the functions sign with one key, whatever the catalog says. Roles may do nothing else with a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from backstream.apps import aws_lambda
from backstream.apps.config import Config
from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.model.sealing import SIGNATURE, signing_of
from backstream.stores.signed import SigningStore
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault import catalog as catalogs
from kit import templates
from kit.deployments import KEY, SIGNING_KEY
from kit.images import image
from kit.invocations import Invocation
from kit.recorded import Call, Recorder
from kit.records import stream_records
from kit.scene import Scene

WRITERS = ("Capture", "Witness")
SIGNED = Choices(tables=["flights"], sign=f"kms:{SIGNING_KEY}")


def new_key(scene: Scene, spec: str = "ECC_NIST_P256") -> str:
    client: Any = scene.aws.client("kms")  # type: ignore[call-overload]
    arn: str = client.create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]["Arn"]
    return arn


def policy(name: str, key: str) -> list[Mapping[str, Any]]:
    known = {"Vault": "bbb", "Vault.Arn": "arn:aws:s3:::bbb", "VaultPrefix": "vault", "Failures": "gone", "SigningKeyArn": key}
    parsed = templates.parse(template(SIGNED))
    return list(templates.statements(parsed, name, {**known, "FlightsStreamArn": "arn:stream"}))


def variables(name: str, key: str) -> Mapping[str, str]:
    made = templates.parse(template(SIGNED))["Resources"][name]["Properties"]["Environment"]["Variables"]
    known = {"SigningKeyArn": key, "Vault": "bbb", "VaultPrefix": "vault", "ParallelizationFactor": "1"}
    found: Mapping[str, str] = templates.resolved(made, known)
    return found


def deliver(scene: Scene, recorder: Recorder, sign: str, patch: pytest.MonkeyPatch) -> None:
    """The handler keeps what is in the stream, with the variables that the template gives it."""
    arn = scene.live().facts().stream_arn or ""
    records = stream_records(DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn))
    for name, value in {**scene.environment, "BACKSTREAM_SIGN": sign}.items():
        patch.setenv(name, recorder.url if name.startswith("AWS_ENDPOINT_URL") else value)
    patch.setenv("BACKSTREAM_VAULT", scene.url)
    assert aws_lambda.handler({"Records": records}, Invocation()) == {"batchItemFailures": []}


def unsigned(scene: Scene) -> list[str]:
    store = scene.store()
    return [each.name for each in store.list("_backstream/") if SIGNATURE not in store.head(each.name).metadata]


def test_what_the_function_writes_is_signed_and_its_role_may_sign_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(scene)
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream", "--sign", f"kms:{key}").code == 0
    scene.put(*(image("z", number) for number in range(3)))
    with monkeypatch.context() as patch, Recorder(scene.aws.url) as recorder:
        deliver(scene, recorder, variables("Capture", key)["BACKSTREAM_SIGN"], patch)
        asked = {call for call in recorder.calls if call.action.startswith("kms:")}
    assert asked == {Call("kms:Sign", key)}, "it does not even read the key"
    assert all(templates.permitted(policy("CaptureRole", key), call) for call in asked)
    assert not any(templates.permitted(policy("CaptureRole", KEY), call) for call in asked), "another key's"
    assert unsigned(scene) == []


def test_it_signs_though_somebody_took_the_key_out_of_the_catalog(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(scene)
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream", "--sign", f"kms:{key}").code == 0
    scene.put(image("z", 1))
    raw, name = scene.store(), catalogs.name_of(scene.table)
    raw = raw._store if isinstance(raw, SigningStore) else raw
    kept = msgspec.json.decode(raw.get(name).body)
    del kept["signing"]
    raw.put(name, msgspec.json.encode(kept))
    assert signing_of(raw.get(name).body) is None
    with monkeypatch.context() as patch, Recorder(scene.aws.url) as recorder:
        deliver(scene, recorder, f"kms:{key}", patch)
    assert unsigned(scene) == [name]


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "RSA_2048"])
def test_how_a_key_signs_is_found_without_reading_it(scene: Scene, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    key = new_key(scene, spec)
    with monkeypatch.context() as patch, Recorder(scene.aws.url) as recorder:
        for name, value in {**scene.environment, "BACKSTREAM_SIGN": f"kms:{key}"}.items():
            patch.setenv(name, recorder.url if name.startswith("AWS_ENDPOINT_URL") else value)
        signer = Config(scene.url).keys.signer
        assert signer is not None
        signature = signer.sign(b"said")
        assert signer.sign(b"said again")
        assert {call.action for call in recorder.calls} == {"kms:Sign"}
        assert signer.verifier().verifies(b"said", signature)


@pytest.mark.parametrize("name", ["CaptureRole", "WitnessRole", "DrillRole"])
def test_a_role_does_nothing_else_with_any_key(name: str) -> None:
    """The drill adds nothing that is signed."""
    mine = policy(name, SIGNING_KEY)
    assert templates.permitted(mine, Call("kms:Sign", SIGNING_KEY)) is (name != "DrillRole")
    others = (
        "Verify",
        "GetPublicKey",
        "DescribeKey",
        "Decrypt",
        "CreateGrant",
        "PutKeyPolicy",
        "ScheduleKeyDeletion",
        "DisableKey",
    )
    forbidden = [Call(f"kms:{action}", SIGNING_KEY) for action in others]
    forbidden += [Call("kms:Sign", KEY), Call("kms:Sign", f"{SIGNING_KEY}0"), Call("kms:Sign", "*")]
    assert [call for call in forbidden if templates.permitted(mine, call)] == []


def test_without_the_option_nobody_signs() -> None:
    for choices in (Choices(tables=["flights"], kms_key=KEY), Choices(tables=["flights"], replica="copy")):
        assert all(word not in template(choices) for word in ("kms:Sign", "BACKSTREAM_SIGN", "SigningKeyArn"))


def test_both_languages_say_it() -> None:
    for name in WRITERS:
        assert variables(name, SIGNING_KEY)["BACKSTREAM_SIGN"] == f"kms:{SIGNING_KEY}"
    assert "BACKSTREAM_SIGN" not in variables("Drill", SIGNING_KEY)
    terraform = template(SIGNED, TemplateFormat.HCL)
    assert terraform.count("kms:Sign") == terraform.count("BACKSTREAM_SIGN") == len(WRITERS)
    assert "--sign kms:" in template(SIGNED), "the command to run now"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sign", "ed25519:key.pem"), "a function signs with a key of KMS"),
        (("--sign", SIGNING_KEY), "a function signs with a key of KMS"),
        (("--sign", "kms:alias/mine"), "not the ARN of a KMS key"),
        (("--sign", f"kms:{KEY}", "--kms-key", KEY), "encrypts or signs, never both"),
        (("--sign", f"kms:{SIGNING_KEY}", "--replica", "copy"), "a replica has no vault"),
    ],
)
def test_what_cannot_be_is_said(scene: Scene, words: tuple[str, ...], said: str) -> None:
    for language in ("cloudformation", "terraform"):
        ran = scene.call("template", language, "flights", *words)
        assert (ran.code, said in ran.err) == (2, True), ran.err
