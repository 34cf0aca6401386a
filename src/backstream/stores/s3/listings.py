"""One page of S3's ListObjectsV2 or ListObjectVersions, read from its XML.

botocore sorts versions and delete markers into two lists. This loses their order, because listings give times only to the second.
The document has them in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
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
    """Parses the page's document. Raises `expat.ExpatError` if it is not XML.

    Rows that are all alike, as S3 writes them, have only the fields that are needed here.
    """
    return _read_alike(page) or _read_any(page)


# --- rows that are alike ----------------------------------------------------------------------------------------------------------
# Nearly all of a page is rows of the same elements in the same order. One row tells the pattern of the others. The parts around
# them, and the last of them, are still read by expat. Anything out of the ordinary (attributes, comments, references, other bytes
# than ASCII, a page that is cut) makes expat read the whole page.

_NEEDED = frozenset(("Key", "VersionId", "IsLatest", "LastModified", "Size"))
_UNUSUAL = bytes({*range(0x20)} - {0x09, 0x0A})
_QUOTED = "(?:&quot;)?[^<&]*(?:&quot;)?"  # an ETag has quotes
_ROW = re.compile(f"<({'|'.join(sorted(_ROWS))})>")
_TOKEN = re.compile(r"<(/?)([A-Za-z]+)>([^<]*)")


class _Shape(msgspec.Struct, frozen=True):
    """The written form of rows of one kind: a pattern, and the fields that its groups are."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]


def _read_alike(page: bytes) -> Document | None:
    """Returns None where expat must read all of the page."""
    if not page.isascii() or b"]" in page or (b"!" in page and b"<!" in page) or len(page.translate(None, _UNUSUAL)) != len(page):
        return None
    text = page.decode("ascii")
    first = _ROW.search(text)
    if first is None:
        return None
    at = last = first.start()
    rows, shapes = list[tuple[str, dict[str, str]]](), dict[str, _Shape]()
    while (found := _ROW.match(text, at)) is not None:
        kind = found[1]
        shape = shapes.get(kind)
        if shape is None or shape.pattern.match(text, at) is None:
            shape = _shape(text, at, kind)
        if shape is None or (match := shape.pattern.match(text, at)) is None:
            return None
        shapes[kind] = shape
        while match is not None:
            rows.append((kind, dict(zip(shape.names, match.groups(), strict=True))))
            last, at = at, match.end()
            match = shape.pattern.match(text, at)
    try:
        around = _read_any((text[: first.start()] + text[last:]).encode())
    except expat.ExpatError:
        return None  # of the whole page it says what is wrong, and where
    return Document(around.fields, rows) if len(around.kinds_and_rows) == 1 else None


def _shape(text: str, at: int, kind: str) -> _Shape | None:
    """Returns the shape of the row that begins at `at`, or None where the row is not plain."""
    closing = f"</{kind}>"
    end = text.find(closing, at)
    return None if end < 0 else _shape_of(text[at : end + len(closing)])


def _shape_of(row: str) -> _Shape | None:
    tokens = list(_TOKEN.finditer(row))
    if "".join(each[0] for each in tokens) != row:
        return None
    open_elements, parts, names = list[str](), list[str](), list[str]()
    for place, token in enumerate(tokens):
        closing, name, inner = token.groups()
        if closing and (not open_elements or open_elements.pop() != name):
            return None
        if not closing and name in _ROWS and place:
            return None
        if not closing:
            open_elements.append(name)
        is_leaf = not closing and tokens[place + 1 : place + 2] and tokens[place + 1].group(1, 2) == ("/", name)
        if name in _NEEDED and not closing:
            if not is_leaf or name in names or len(open_elements) != 2:
                return None
            names.append(name)
            parts.append(f"<{name}>([^<&]*)")
        else:
            parts.append(f"<{closing}{name}>" + ((_QUOTED if "&" in inner else "[^<&]*") if is_leaf else re.escape(inner)))
    return None if open_elements else _Shape(re.compile("".join(parts)), tuple(names))


# --- any document -----------------------------------------------------------------------------------------------------------------


def _read_any(page: bytes) -> Document:
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
    try:
        parser.Parse(page, True)  # noqa: FBT003 - expat's own signature: this is the end
    except LookupError as unknown:  # the page names an encoding that Python does not have
        error = expat.ExpatError(str(unknown))
        error.code = expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]
        raise error from unknown
    return Document(outer, rows)


def versions(document: Document) -> list[ObjectVersion]:
    """Returns the rows of ListObjectVersions in S3's order, newest first in each name, with whole keys as names."""
    return _in_order(
        [
            ObjectVersion(  # in the order of its fields: there are very many
                document.text(fields, "Key"),
                fields["VersionId"],
                int(fields.get("Size", 0)),
                _seconds(fields["LastModified"]),
                fields["IsLatest"] == "true",
                kind == "DeleteMarker",
            )
            for kind, fields in document.kinds_and_rows
        ]
    )


def _in_order(rows: list[ObjectVersion]) -> list[ObjectVersion]:
    """Returns the same rows. A server that lists all delete markers after all versions (moto does) gets them sorted."""
    before = ""
    for row in rows:
        name = row.name
        if name < before or (row.latest and name == before):
            return sorted(rows, key=lambda each: (each.name, not each.latest, -each.modified))
        before = name
    return rows


def objects(document: Document) -> list[ListedObject]:
    """Returns the rows of ListObjectsV2, with whole keys as names."""
    return [
        ListedObject(document.text(fields, "Key"), int(fields["Size"]), _seconds(fields["LastModified"]))
        for _, fields in document.kinds_and_rows
    ]


@lru_cache(maxsize=4_096)  # many objects are written within one second
def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
