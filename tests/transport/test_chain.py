"""Everything about how to reach AWS is botocore's to say: endpoints, credentials, certificates, proxies."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, cast

import botocore.session
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from backstream.apps.aws.services import TRANSPORT_VARIABLE
from backstream.apps.config import Config as Parts
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.stores.s3.boto import client_config
from backstream.transport.chain import SessionCredentials, bucket_endpoint, wire
from backstream.transport.curl import Curl
from backstream.transport.lines import Connections
from backstream.transport.messages import Credentials, Endpoint, HttpRequest, NoAnswer
from backstream.transport.retrying import RetryingSender
from kit.clock import ManualClock
from kit.http_server import Says, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/vault"


def session(key: str = "AKID") -> botocore.session.Session:
    made = botocore.session.Session()
    made.set_credentials(key, "secret")
    return made


def client(region: str, url: str | None = None, config: Config | None = None) -> S3Client:
    made = session().create_client("s3", region, endpoint_url=url, config=client_config().merge(config or Config()))
    return cast("S3Client", made)


# --- endpoints -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "bucket", "base"),
    [
        ("eu-west-1", "vault", "https://vault.s3.eu-west-1.amazonaws.com"),
        ("us-east-1", "vault", "https://vault.s3.amazonaws.com"),
        ("eu-west-1", "dotted.vault", "https://s3.eu-west-1.amazonaws.com/dotted.vault"),
        ("cn-north-1", "vault", "https://vault.s3.cn-north-1.amazonaws.com.cn"),
        ("eu-west-1", ARN, "https://vault-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"),
    ],
)
def test_a_bucket_is_where_botocore_finds_it(region: str, bucket: str, base: str) -> None:
    assert bucket_endpoint(client(region), bucket) == Endpoint(base, region, "s3")


def test_a_server_of_ones_own_and_the_ways_that_a_configuration_chooses() -> None:
    own = Endpoint("http://127.0.0.1:4566/vault", "us-east-1", "s3")
    assert bucket_endpoint(client("us-east-1", "http://127.0.0.1:4566"), "vault") == own
    dual = bucket_endpoint(client("eu-west-1", config=Config(use_dualstack_endpoint=True)), "vault")
    assert dual == Endpoint("https://vault.s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", "s3")
    fips = bucket_endpoint(client("us-east-2", config=Config(use_fips_endpoint=True)), "vault")
    assert fips == Endpoint("https://vault.s3-fips.us-east-2.amazonaws.com", "us-east-2", "s3")


def test_what_we_do_not_speak_is_left_to_botocore() -> None:
    assert bucket_endpoint(client("us-west-2"), "vault--usw2-az1--x-s3") is None


# --- credentials -----------------------------------------------------------------------------------------------------------------


def test_credentials_are_read_again_each_second() -> None:
    clock, made = ManualClock(), session("first")
    credentials = SessionCredentials(made, clock)
    assert credentials() == Credentials("first", "secret")
    made.set_credentials("second", "secret", "token")
    clock.move(0.9)
    assert credentials().access_key == "first"
    clock.move(0.2)
    assert credentials() == Credentials("second", "secret", "token")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoCredentialsError):
        SessionCredentials(botocore.session.Session(), ManualClock())()


# --- certificates and proxies ----------------------------------------------------------------------------------------------------


def reach(url: str) -> RetryingSender:
    """What the chain makes of an endpoint, with patience."""
    endpoint = Endpoint(url, "us-east-1", "s3")
    clock = SystemClock()
    return RetryingSender(Curl(endpoint, wire(session(), endpoint), SessionCredentials(session(), clock), clock), clock)


def served_by(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_https_with_a_local_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Server(lambda _: Says(200, b"fine"), served_by(authority, "127.0.0.1")) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        still = reach(server.url)
        assert [still.send(HttpRequest("GET", "/k")).body for _ in range(2)] == [b"fine", b"fine"]
        stranger.cert_pem.write_to_path(tmp_path / "ca.pem")
        with pytest.raises(NoAnswer, match="certificate") as raised:
            reach(server.url).send(HttpRequest("GET", "/k"))
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(NoAnswer, match="certificate"):  # nor does the world trust it
            reach(server.url).send(HttpRequest("GET", "/k"))
        assert raised.value.permanent
        assert len(server.seen) == 2


def test_a_certificate_of_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with Server(tls=served_by(authority, "vault.example")) as server, pytest.raises(NoAnswer) as raised:
        reach(server.url).send(HttpRequest("GET", "/k"))
    assert raised.value.permanent


def test_a_proxy_of_the_environment_and_hosts_that_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _: Says(200, b"by proxy")) as proxy, Server(lambda _: Says(200, b"direct")) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert reach(server.url).send(HttpRequest("GET", "/k")).body == b"by proxy"
        assert proxy.seen[0].path == server.url + "/k"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert reach(server.url).send(HttpRequest("GET", "/k")).body == b"direct"


# --- wiring ----------------------------------------------------------------------------------------------------------------------


def test_one_sender_for_each_endpoint() -> None:
    lines, here = Connections(session(), SystemClock()), client("eu-west-1")
    vault = lines.to_bucket("vault", lambda _: here)
    assert vault is not None
    assert lines.to_bucket("vault", lambda _: here) is vault
    assert lines.to_bucket("other", lambda _: here) is not vault


def test_which_transport_is_the_environments_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _: Says(200, b"", {"x-amz-version-id": "1"})) as server:
        for variable, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for choice, botocores in (("curl", False), ("boto3", True), ("", False)):
            monkeypatch.setenv(TRANSPORT_VARIABLE, choice)
            Parts("s3://vault/x").store.put("a", b"1")
            assert ("user-agent" in server.seen[-1].headers and "Botocore" in server.seen[-1].headers["user-agent"]) == botocores
        monkeypatch.setenv(TRANSPORT_VARIABLE, "carrier pigeon")
        with pytest.raises(UsageError, match="carrier pigeon"):
            _ = Parts("s3://vault/x").store
