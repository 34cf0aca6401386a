"""Our signatures are botocore's, to the byte."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from backstream.transport.messages import Credentials, Endpoint, HttpRequest, object_path, query_of
from backstream.transport.signing import Signer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
NAMES = st.one_of(TEXT.filter(bool), st.sampled_from(["a/../b", "//", "./.", "a b", "~", "%41", "+", "é/🛫", "x/", "a=b&c"]))
HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-meta-b-c", "if-none-match", "content-type", "x-amz-target", "x-amz-checksum-crc32"]),
    VISIBLE,
)
ENDPOINTS = st.builds(
    Endpoint,
    base=st.sampled_from(
        [
            "https://b.s3.eu-west-1.amazonaws.com",
            "http://127.0.0.1:4566/bucket",
            "https://host:443/x/y",
            "http://host:80",
            "http://h:1",
        ]
    ),
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    service=st.sampled_from(["s3", "dynamodb"]),
)
CREDENTIALS = st.builds(Credentials, access_key=st.just("AKIDEXAMPLE"), secret_key=VISIBLE, token=st.none() | st.just("tok/en=="))
TIMES = st.integers(0, 4_102_444_800).map(float)


def by_botocore(request: HttpRequest, endpoint: Endpoint, credentials: Credentials, now: float) -> str:
    """The Authorization header that botocore makes."""
    signer = botocore.auth.S3SigV4Auth if endpoint.service == "s3" else botocore.auth.SigV4Auth
    query = f"?{request.query}" if request.query else ""
    theirs = AWSRequest(request.method, endpoint.base + request.path + query, dict(request.headers), request.body)
    theirs.context["payload_signing_enabled"] = True  # over HTTPS botocore would leave S3's bodies out of the signature
    frozen = BotoCredentials(credentials.access_key, credentials.secret_key, credentials.token).get_frozen_credentials()
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)):
        signer(frozen, endpoint.service, endpoint.region).add_auth(theirs)
    return str(theirs.headers["Authorization"])


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    name=NAMES,
    parameters=st.lists(st.tuples(NAMES, TEXT), max_size=4),
    headers=HEADERS,
    body=st.binary(max_size=50),
    endpoint=ENDPOINTS,
    credentials=CREDENTIALS,
    now=TIMES,
)
@example(
    "GET", "a/../b", [("prefix", ""), ("versions", "")], {}, b"", Endpoint("http://h:1", "r", "s3"), Credentials("a", "s"), 0.0
)
def test_the_signature_is_botocores(
    method: str,
    name: str,
    parameters: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    endpoint: Endpoint,
    credentials: Credentials,
    now: float,
) -> None:
    # Only S3 signs a path as it is; the JSON services are asked at one path.
    path = object_path(name) if endpoint.service == "s3" else "/"
    request = HttpRequest(method, path, query_of(parameters), headers, body)
    signed = Signer(endpoint).headers(request, credentials, now)
    assert signed["authorization"] == by_botocore(request, endpoint, credentials, now)


def test_the_key_is_of_its_day_and_its_secret() -> None:
    """One signer for a long time: through midnight, and through new credentials."""
    endpoint, request = Endpoint("http://h", "eu-west-1", "s3"), HttpRequest("GET", "/k")
    signer, midnight = Signer(endpoint), 1_795_478_400.0
    for secret in ("one", "two"):
        for now in (midnight - 1, midnight, midnight - 1):
            credentials = Credentials("AKID", secret)
            assert signer.headers(request, credentials, now)["authorization"] == by_botocore(request, endpoint, credentials, now)
