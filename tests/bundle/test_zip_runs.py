"""The unpacked zip in a clean interpreter: all that is in it can be imported, called and invoked, with nothing else at hand."""

from __future__ import annotations

import inspect
import json
import re
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import backstream
from backstream.apps import config
from backstream.apps.aws import clients, services
from backstream.apps.config import VAULT_VARIABLE
from kit.aws import Aws
from kit.deployable import run_in
from lambda_zip.contents import SERVICES
from lambda_zip.measure import cold_start, event_of

MEGABYTE = 1_000_000
REGIONS = ("cn-north-1", "us-gov-west-1", "xx-new-1")

IMPORT_ALL = """
import importlib, json, pathlib
folder = pathlib.Path(sys.path[0])
names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in sorted(folder.glob("backstream/**/*.py"))]
names = [name.removesuffix(".__init__") for name in names]
for name in names:
    importlib.import_module(name)
elsewhere = [name for name, module in sys.modules.items()
    if "site-packages" in (getattr(module, "__file__", None) or "")]
print(json.dumps({"names": names, "elsewhere": elsewhere}))
"""

# Every way in which config.py makes a client, and every service with one call that reads: up to the signed request.
CALL_ALL = """
import json
from functools import cached_property
from botocore.client import BaseClient
from backstream.apps.aws.clients import BESIDE, Clients
from backstream.apps.config import Config
class Sent(Exception):
    pass
def stop(request, **_):
    raise Sent(request.url, str(request.headers.get("Authorization", "")))
made = Config("s3://any")
clients = [value for name, each in sorted(vars(Clients).items()) if isinstance(each, cached_property)
    if isinstance(value := getattr(made._aws.clients, name), BaseClient)]
clients.append(made._aws.clients.s3_in("eu-west-1"))
clients += [made._aws.clients.of(service) for service in ("kinesis", "kms", *BESIDE)]
made_by_config = [client.meta.service_model.service_name for client in clients]
CALLS = {
    "kms": ("get_public_key", {"KeyId": "a"}),
    "s3": ("list_buckets", {}),
    "dynamodb": ("list_tables", {}),
    "dynamodbstreams": ("list_streams", {}),
    "application-autoscaling": ("describe_scalable_targets", {"ServiceNamespace": "dynamodb"}),
    "kinesis": ("list_streams", {}),
    "cloudwatch": ("list_metrics", {}),
    "lambda": ("list_functions", {}),
    "sts": ("get_caller_identity", {}),
    "sso": ("list_accounts", {"accessToken": "a"}),
    "sso-oidc": ("register_client", {"clientName": "a", "clientType": "public"}),
    "signin": ("create_o_auth2_token", {"tokenInput": {"clientId": "a", "grantType": "refresh_token"}}),
}
clients += [made._aws.clients.session.create_client(service) for service in CALLS]
sent = {}
for client in clients:
    service = client.meta.service_model.service_name
    method, words = CALLS[service]
    client.meta.events.register("before-send", stop)
    try:
        getattr(client, method)(**words)
    except Sent as request:
        sent.setdefault(service, []).append(request.args)
print(json.dumps({"made_by_config": made_by_config, "sent": sent}))
"""

ENDPOINTS = """
import json, itertools
import botocore.session
from botocore.config import Config
def endpoints(services, regions):
    session, found = botocore.session.Session(), {}
    for service, region, dual, fips in itertools.product(services, regions, (False, True), (False, True)):
        config = Config(use_dualstack_endpoint=dual, use_fips_endpoint=fips)
        try:
            client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b", config=config)
            found[f"{service} {region} {dual} {fips}"] = client.meta.endpoint_url
        except Exception as error:
            found[f"{service} {region} {dual} {fips}"] = type(error).__name__
    return found
"""

ASSUMED = """
import json
from backstream.apps.config import Config
found = Config("s3://any")._aws.clients.session.get_credentials()
print(json.dumps([found.method, found.get_frozen_credentials().token is not None]))
"""


@pytest.fixture(scope="module")
def folder(lambda_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, unpacked as Lambda does it."""
    place = tmp_path_factory.mktemp("function")
    with zipfile.ZipFile(lambda_zip) as archive:
        archive.extractall(place)
    return place


@pytest.fixture
def environment(aws: Aws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """A function's, and this process's too."""
    whole = {**aws.environment, VAULT_VARIABLE: f"s3://{bucket}/vault", "AWS_LAMBDA_FUNCTION_NAME": "keep"}
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
    return whole


def test_every_module_of_ours_can_be_imported(folder: Path) -> None:
    told = run_in(folder, IMPORT_ALL)
    assert {"backstream", "backstream.apps.aws_lambda", "backstream.apps.library", "backstream.operations.drill"} <= set(
        told["names"]
    )
    assert told["elsewhere"] == []


def test_every_client_that_the_configuration_makes_can_be_used(folder: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "AWS_REGION": "us-west-2"}
    told = run_in(folder, CALL_ALL, keys)
    sources = [inspect.getsource(each) for each in (services, clients, config)]
    named = set(re.findall(r'\.of\("([a-z0-9-]+)"', "".join(sources))) | {*clients.BESIDE}
    assert {"s3", "dynamodb"} < named <= SERVICES
    assert set(told["made_by_config"]) == named
    assert told["sent"].keys() == SERVICES
    for service, requests in told["sent"].items():
        in_region = [url for url, _ in requests if re.search(r"[./]us-west-2\.", url)]
        assert in_region, service
        signed = all("/us-west-2/" in authorization for url, authorization in requests if url in in_region)
        assert signed or service in ("signin", "sso", "sso-oidc"), "those ask without keys"


def test_endpoints_are_those_that_a_whole_botocore_finds(folder: Path) -> None:
    """In every partition, with dual stack and FIPS: what was cut of its data takes nothing of that."""
    words = (sorted(SERVICES), REGIONS)
    whole: dict[str, object] = {}
    exec(ENDPOINTS, whole)  # noqa: S102 - the same script here, where botocore is whole
    expected = whole["endpoints"](*words)  # type: ignore[operator] # defined by the script
    found = run_in(folder, f"{ENDPOINTS}\nprint(json.dumps(endpoints(*{words!r})))")
    assert found == expected
    assert found["s3 cn-north-1 False False"] == "https://s3.cn-north-1.amazonaws.com.cn"


def test_a_role_is_assumed_as_a_profile_says(folder: Path, environment: Mapping[str, str], aws: Aws, tmp_path: Path) -> None:
    role = aws.client("iam").create_role(RoleName=f"writer-{tmp_path.name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    profile = tmp_path / "config"
    keys = (
        f"aws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {environment['AWS_SECRET_ACCESS_KEY']}\n"
    )
    profile.write_text(f"[profile mine]\n{keys}\n[profile other]\nrole_arn = {role}\nsource_profile = mine\n")
    others = {name: value for name, value in environment.items() if "_KEY" not in name}
    told = run_in(folder, ASSUMED, {**others, "AWS_CONFIG_FILE": str(profile), "AWS_PROFILE": "other"})
    assert told == ["assume-role", True]


def test_the_handler_keeps_a_batch_and_the_library_restores_it(
    folder: Path, environment: Mapping[str, str], aws: Aws, table_name: str, tmp_path: Path
) -> None:
    made = aws.client("dynamodb").create_table(
        TableName=table_name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    backup = backstream.open().table(table_name)
    backup.init()
    time.sleep(1.1)  # the window begins with the second after `init`
    event = event_of(made["TableDescription"]["LatestStreamArn"], 30, time.time())
    outcome = cold_start(folder, event, environment)
    assert outcome.answer == {"batchItemFailures": []}
    assert outcome.unwanted == []
    assert outcome.first_peak < 75 * MEGABYTE, "the aim is 60; this is for an interpreter of any version"
    assert backup.status().changes == 30

    file = tmp_path / "restored.json"
    script = f"""
import json, backstream
report = backstream.open().table({table_name!r}).restore(at={int(time.time())}, to_file={str(file)!r}, allow_gap=True)
print(json.dumps(report.put))
"""
    assert run_in(folder, script, environment) == 30
    restored = [json.loads(line)["Item"] for line in file.read_text().splitlines()]
    written = [record["dynamodb"]["NewImage"] for record in event["Records"]]
    assert sorted(restored, key=str) == sorted(written, key=str)
