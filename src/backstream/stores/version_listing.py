"""One page of S3's ListObjectVersions, read from its XML.

botocore sorts versions and delete markers into two lists; which of the two is newer is then lost, as listings tell time to the
second only. The document has them in order.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import unquote_plus
from xml.parsers import expat

from backstream.ports import ObjectVersion

_ROWS = ("Version", "DeleteMarker")


def read_versions(page: bytes) -> list[ObjectVersion]:
    """The rows in the page's order, with whole keys as names. `expat.ExpatError` if it is not XML."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(page, True)  # noqa: FBT003 - expat's own signature: this is the end
    encoded = reader.page.get("EncodingType") == "url"
    return [_row(kind, fields, encoded=encoded) for kind, fields in reader.rows]


class _Reader:
    """Collects the text of each element below the page, and below each row."""

    def __init__(self) -> None:
        self.page: dict[str, str] = {}
        self.rows: list[tuple[str, dict[str, str]]] = []
        self._fields = self.page
        self._text = ""

    def start(self, element: str, _attributes: dict[str, str]) -> None:
        self._text = ""
        if element in _ROWS:
            self._fields = {}
            self.rows.append((element, self._fields))

    def text(self, text: str) -> None:
        self._text += text

    def end(self, element: str) -> None:
        self._fields[element] = self._text
        if element in _ROWS:
            self._fields = self.page


def _row(kind: str, fields: dict[str, str], *, encoded: bool) -> ObjectVersion:
    return ObjectVersion(
        name=unquote_plus(fields["Key"]) if encoded else fields["Key"],
        version=fields["VersionId"],
        size=int(fields.get("Size", 0)),
        modified=datetime.fromisoformat(fields["LastModified"]).timestamp(),
        latest=fields["IsLatest"] == "true",
        marker=kind == "DeleteMarker",
    )
