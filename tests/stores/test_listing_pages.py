"""Pages of listings whose rows are alike are read in one go, and say the same as read by expat; what is odd, expat reads."""

from __future__ import annotations

import random
from xml.parsers import expat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.stores.s3 import listings

VERSION = (
    "<Version><Key>{key}</Key><VersionId>v{number}</VersionId><IsLatest>{latest}</IsLatest><LastModified>2026-11-30T00:00:{second}.000Z"
    "</LastModified><ETag>&quot;{number:032x}&quot;</ETag><Size>{number}</Size><Owner><ID>75aa</ID></Owner>"
    "<StorageClass>STANDARD</StorageClass></Version>"
)
MARKER = (
    "<DeleteMarker><Key>{key}</Key><VersionId>null</VersionId><IsLatest>{latest}</IsLatest><LastModified>2026-11-30T00:00:{second}Z"
    "</LastModified><Owner><ID>75aa</ID><DisplayName/></Owner></DeleteMarker>"
)
NO_OWNER = MARKER.replace("<Owner><ID>75aa</ID><DisplayName/></Owner>", "")
PRETTY = VERSION.replace("><", ">\n  <")
FULL = MARKER.replace("<DisplayName/>", "<DisplayName>me</DisplayName>")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
TAIL = (
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%20b+c</NextKeyMarker>"
    "<NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>"
)
OUTER = ("IsTruncated", "NextKeyMarker", "NextVersionIdMarker", "EncodingType", "Name")


def page(rows: list[str], *, first: bool = False) -> bytes:
    """As AWS writes it: what is said of the page before the rows, or behind them."""
    said = TAIL.replace("</ListVersionsResult>", "")
    return (HEAD + (said if first else "") + "".join(rows) + ("</ListVersionsResult>" if first else TAIL)).encode()


def row(shape: str, number: int, key: str = "a%2Fb") -> str:
    return shape.format(key=f"{key}{number}", number=number, latest="true" if number % 2 else "false", second=f"{number % 60:02}")


def told(document: listings.Document) -> object:
    outer = {name: document.fields.get(name) for name in OUTER}
    try:
        return outer, listings.versions(document), document.text(document.fields, "NextKeyMarker")
    except (KeyError, ValueError, OverflowError) as error:
        return outer, repr(error)


def outcome(read: object, body: bytes) -> object:
    try:
        return told(read(body))  # type: ignore[operator]
    except expat.ExpatError as error:
        return str(error), error.code


def test_a_page_in_an_encoding_that_nobody_knows_is_no_xml() -> None:
    body = page([row(VERSION, 1)]).replace(b"UTF-8", b"U-8")
    assert outcome(listings.read, body) == ("unknown encoding: U-8", expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING])


SHAPES = (VERSION, MARKER, NO_OWNER, PRETTY, FULL)


@pytest.mark.parametrize("first", [True, False])
def test_rows_as_aws_writes_them_are_read_in_one_go(first: bool) -> None:  # noqa: FBT001
    body = page([row((VERSION, FULL, NO_OWNER)[number % 7 % 3], number) for number in range(300)], first=first)
    assert listings._read_alike(body) is not None
    assert outcome(listings.read, body) == outcome(listings._read_any, body)
    assert len(listings.versions(listings.read(body))) == 300


ODD = st.sampled_from([
    b"<!-- -->", b"<![CDATA[x]]>", b"&amp;", b"&lt;", b"&quot;", b"&bogus;", b"&", b"<", b">", b"]]>", b"\x00", b"\x1b", b"\r\n",
    b"\xc3\xa9", b"\xff", b"</Version>", b"<Version>", b"<Key>", b"</Key>", b"<Key>k</Key>", b"<Key/>", b' a="b"', b"<?x?>", b"",
    b"<Contents><Key>c</Key><Size>1</Size></Contents>", b"</Owner>", b"<DeleteMarker></DeleteMarker>", b" ", b"%", b"+", b"-",
])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(SHAPES), max_size=6), st.lists(ODD, max_size=3), st.booleans())
def test_whatever_is_put_into_a_page_or_cut_from_it_is_read_as_by_expat(
    seed: int,
    shapes: list[str],
    odd: list[bytes],
    cut: bool,  # noqa: FBT001
) -> None:
    source = random.Random(seed)
    body = page([row(shape, number) for number, shape in enumerate(shapes)], first=source.random() < 0.5)
    for each in odd:
        at = source.randrange(len(body))
        body = body[:at] + each + body[at + source.randrange(3) :]
    if cut:
        body = body[: source.randrange(len(body))]
    assert outcome(listings.read, body) == outcome(listings._read_any, body)
