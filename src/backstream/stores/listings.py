"""One page of S3's ListObjectsV2 or ListObjectVersions, read from its XML.

botocore sorts versions and delete markers into two lists. That loses their order, because listings give times only to the second.
The document has them in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote_plus
from xml.parsers import expat

import msgspec

from backstream.ports import ListedObject, ObjectVersion

# expat reports these for a document that ends too early, and not for one that is not XML.
CUT_OFF = tuple(
    expat.errors.codes[each]
    for each in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN, expat.errors.XML_ERROR_PARTIAL_CHAR)
)
_ROWS = frozenset(("Version", "DeleteMarker", "Contents"))


class Document(msgspec.Struct, frozen=True):
    """A page as received: its own fields (`IsTruncated`, `NextKeyMarker`, ...), and the kind and the fields of each row."""

    fields: Mapping[str, str]
    kinds_and_rows: Sequence[tuple[str, Mapping[str, str]]]

    def text(self, fields: Mapping[str, str], name: str) -> str:
        """Returns a key or a place between keys, which may be encoded."""
        text = fields[name]
        return unquote_plus(text) if self.fields.get("EncodingType") == "url" and ("%" in text or "+" in text) else text


def read(page: bytes) -> Document:
    """Parses the page's document. Raises `expat.ExpatError` if it is not XML."""
    outer: dict[str, str] = {}
    rows: list[tuple[str, dict[str, str]]] = []
    fields, text = outer, list[str]()

    def start(element: str, _attributes: dict[str, str]) -> None:
        nonlocal fields
        text.clear()
        if element in _ROWS:
            fields = {}
            rows.append((element, fields))

    def end(element: str) -> None:
        nonlocal fields
        fields[element] = "".join(text)
        if element in _ROWS:
            fields = outer

    parser = expat.ParserCreate()
    parser.buffer_text = True
    # A page has tens of thousands of elements, so the code that is called for each must be cheap.
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    parser.Parse(page, True)  # noqa: FBT003 - expat's own signature: this is the end
    return Document(outer, rows)


def versions(document: Document) -> list[ObjectVersion]:
    """Returns the rows of ListObjectVersions in the page's order, with whole keys as names."""
    return [
        ObjectVersion(
            name=document.text(fields, "Key"),
            version=fields["VersionId"],
            size=int(fields.get("Size", 0)),
            modified=_seconds(fields["LastModified"]),
            latest=fields["IsLatest"] == "true",
            marker=kind == "DeleteMarker",
        )
        for kind, fields in document.kinds_and_rows
    ]


def objects(document: Document) -> list[ListedObject]:
    """Returns the rows of ListObjectsV2, with whole keys as names."""
    return [
        ListedObject(document.text(fields, "Key"), int(fields["Size"]), _seconds(fields["LastModified"]))
        for _, fields in document.kinds_and_rows
    ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
