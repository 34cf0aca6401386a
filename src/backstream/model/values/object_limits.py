"""The limits of sizes, so that no object in a bucket can exhaust a reader's memory: anybody may have written it.

An item is at most 400 KB as DynamoDB counts. JSON spells a byte of that with at most nine (`{"S":""},` is an element of one byte):
the item's JSON is at most 3.6 MB. A line of the change log has two images. A larger object is not this tool's: it is reported as
Damaged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from backstream.errors import Damaged, UsageError

KB, MB = 1 << 10, 1 << 20
ITEM = 4 * MB  # an image in JSON
LINE = 9 * MB  # of the log, of an export or a dump: two images and what is said of them
ROW = 8 * MB  # a row object; older tools write a byte of binary as up to twelve characters
SMALL = 64 * KB  # a record of a few fields
CATALOG = 4 * MB
GENERATION = 16 * MB
RECORD = 32 * MB  # a drill's report, a list of files
GROUP = 1 * MB  # some thousand names of tables
COLUMNS = 4 * MB  # a thousand columns
BATCH = 12 * MB  # a batch that Lambda gave up: an event of 6 MB, escaped
UNDOING = 48 * MB  # images of the changes of one item that a revert takes back one by one
PLAN_LINE = 64 * MB  # of a plan: these, and the item before and after the revert
FINDINGS = 64 * MB  # of blame in an object, decompressed: at most 10,000 of some hundred bytes
LINES = 64 * MB  # an object of lines, as it lies in the bucket
PAGE = 64 * MB  # of a dynamodump's items, indented
DATA_FILE = 256 * MB  # of an export or a dump, as it lies there: AWS chooses how large
EVENT = 9 * MB  # one event of CloudTrail: AWS's own are of 256 KB at most
INDEX = 16 * MB  # of frames, decompressed
WINDOW = 16 * MB  # that zstd data may look back: ours looks back 2
Limit = Callable[[str], int]  # the bytes that an object may have, by its name
VARIABLE = "BACKSTREAM_OBJECT_MB"
HINT = f"Such objects are not written by this tool. If this one is yours all the same, let it be larger: {VARIABLE}."
_EXPANDED, _RATIO = 64 * MB, 200
_SHORTEST_LINE = 100
_ANY = 1_000  # values that even a small record may have

_SYSTEM = re.compile(r"(?:^|/)_backstream/(?P<table>[^/]+)/(?P<rest>.+)", re.DOTALL)
_OF_SYSTEM = (
    (re.compile(r"catalog\.json"), CATALOG),
    (re.compile(r"gaps/.*|base/[^/]*/plan\.json|base/complete/.*|agreed/.*|redriven/.*|compacted/[^/]*/erased\.json"), SMALL),
    (re.compile(r"compacted/generations/.*|compacted/gaps/.*"), GENERATION),
    (re.compile(r"drills/.*"), RECORD),
    (re.compile(r"columns\.json"), COLUMNS),
)
_GROUPS = "~groups"
_OF_FILES = (
    (re.compile(r".*(?:_started|\.md5|\.checksum)"), SMALL),
    (re.compile(r".*manifest-summary\.json"), CATALOG),
    (re.compile(r".*manifest(?:-files)?\.json|(?:.*/)?_export\.json"), RECORD),
)


def unlimited(_key: str) -> int:
    """No limit."""
    return 1 << 62


def in_vault(key: str, most: int = 0) -> int:
    """Returns the bytes that an object of a vault may have, by its name.

    `most`: the limit of an operator who allows more than usual.
    """
    found = _SYSTEM.search(key)
    if found is None:
        return max(ROW, most)
    if found["table"].startswith("~"):  # no table: groups, and what was found out of the server and of locks
        return GROUP if found["table"] == _GROUPS else SMALL
    return _of(found["rest"], _OF_SYSTEM) or max(LINES, most)


def in_files(key: str, most: int = 0) -> int:
    """Returns the bytes that a file of an export, a snapshot or a dump may have, by its name."""
    return _of(key, _OF_FILES) or max(DATA_FILE, most)


def allowed(text: str) -> int:
    """Returns the bytes that an operator allows, from the variable's text (MB); 0 if it is empty.

    Raises UsageError if it is not a number.
    """
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{VARIABLE} is {text!r}", hint="It is a number of megabytes.")
    return int(text) * MB


def _of(name: str, kinds: tuple[tuple[re.Pattern[str], int], ...]) -> int | None:
    return next((most for pattern, most in kinds if pattern.fullmatch(name)), None)


def expanded(size: int) -> int:
    """Returns the bytes that `size` compressed bytes may expand to: log lines never compress further than this."""
    return max(_EXPANDED, _RATIO * size)


def lines_in(size: int) -> int:
    """Returns how many lines an object of `size` bytes can hold, whatever its name states."""
    return expanded(size) // _SHORTEST_LINE


def check_sparse(what: str, body: bytes, *, comma: int, quote: int) -> None:
    """Raises Damaged if JSON has more values than its kind can have: each costs far more memory than it has bytes.

    `comma`, `quote`: the bytes for each of these characters, at least.
    """
    for character, least in ((b",", comma), (b'"', quote)):
        if body.count(character) > _ANY + len(body) // least:
            raise Damaged(f"{what}: it has more values than such a thing of {len(body):,} bytes may have", hint=HINT)


def too_large(what: str, most: int, size: int | None = None) -> Damaged:
    """Returns the error for a thing beyond its limit (bytes)."""
    has = "it is larger" if size is None else f"it has {size:,} bytes, more"
    return Damaged(f"{what}: {has} than the {most:,} bytes that such a thing may have", hint=HINT)
