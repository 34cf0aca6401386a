"""A server's answers to listings that are no listings: each is a named error, none passes for an empty one or for a broken line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backstream.errors import Damaged, Unavailable
from backstream.model.request_settings import RequestSettings
from backstream.stores.s3.http import HttpApi
from backstream.transport.messages import HttpRequest, Reply

ROW = (
    b"<Version><Key>a%s</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>"
    b"<LastModified>2026-11-30T00:00:00Z</LastModified><Size>1</Size></Version>"
)
WHOLE = b"<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>%s</ListVersionsResult>"


def listed(body: bytes) -> list[str]:
    """The names, as a server that answers so tells them."""

    def send(request: HttpRequest) -> Reply:
        assert "encoding-type=url" in request.query
        return Reply(200, {}, body)

    control = SimpleNamespace(bucket="bbb", owner=lambda: None, limit=lambda _: 0, settings=lambda _: RequestSettings())
    api = HttpApi(cast("Any", SimpleNamespace(send=send)), cast("Any", control))
    return [each.name for each in api.versions_page("a", {}).rows]


def test_names_with_control_characters_are_read_as_aws_encodes_them() -> None:
    assert listed(WHOLE % (ROW % b"%1B%5B2J%0A")) == ["a\x1b[2J\n"]


@pytest.mark.parametrize("raw", [b"\x1b[2J", b"\x01", b"\x00", b"\xff", b"&", b"<"])
def test_a_server_that_does_not_encode_them_is_named(raw: bytes) -> None:
    with pytest.raises(Damaged, match="A listing of s3://bbb was answered with something else") as raised:
        listed(WHOLE % (ROW % raw))
    assert "control character" in raised.value.hint
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    "row",
    [
        ROW.replace(b"<VersionId>1</VersionId>", b""),
        ROW.replace(b"2026-11-30", b"2026-13-30"),
        ROW.replace(b"<Size>1<", b"<Size>many<"),
        ROW.replace(b"<Size>1<", b"<Size>" + b"9" * 6_000 + b"<"),
        ROW.replace(b"<Key>a%s</Key>", b"<Other>%s</Other>"),
    ],
    ids=range(5),
)
def test_rows_that_are_none(row: bytes) -> None:
    with pytest.raises(Damaged, match="answered with something else"):
        listed(WHOLE % (row % b""))


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{}", WHOLE.replace(b"false", b"true") % b""])
def test_documents_that_are_none(body: bytes) -> None:
    with pytest.raises((Damaged, Unavailable), match="bbb"):
        listed(body)


@pytest.mark.parametrize("length", [1, 50, 120, 200])
def test_one_that_is_cut_off_may_be_asked_for_again(length: int) -> None:
    with pytest.raises(Unavailable, match="not whole"):
        listed((WHOLE % (ROW % b""))[:length])


def test_entities_do_not_grow() -> None:
    doctype = b"<!DOCTYPE a [<!ENTITY a0 'aaaaaaaaaa'>" + b"".join(
        b"<!ENTITY a%d '%s'>" % (level + 1, b"&a%d;" % level * 10) for level in range(9)
    )
    with pytest.raises(Damaged, match="something else"):
        listed(doctype + b"]>" + WHOLE % (ROW % b"&a9;"))
