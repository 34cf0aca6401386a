"""Finds and reads CloudTrail's files: those that may hold the events of some hours.

    [PREFIX/]AWSLogs/[ORGANIZATION/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHMMZ_UNIQUE.json.gz

A folder of files without that layout is read too. Only files whose names exclude the hours are skipped. Source:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from backstream.errors import Damaged, NotFound, Refused, UsageError
from backstream.model import moment
from backstream.model.calls.cloudtrail import CallTarget
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.key_arguments import NumberText
from backstream.ports import ListedFiles
from backstream.vault import decompression
from backstream.vault.decompression import UNREADABLE

HOUR = 3_600
LATE = 2 * HOUR  # seconds by which a file may be younger than its events: AWS delivers most within 15 minutes
EARLY = 4_200  # seconds by which a file's name may be older than its events: some names state the hour in which the events began
MOST_FILES = 100_000  # that are looked through in a folder without the layout
LOGS = "AWSLogs/"
_TRAIL = "CloudTrail"
_ACCOUNT = re.compile(r"\d{12}")
_ORGANIZATION = re.compile(r"o-[a-z0-9]{4,32}")
_IN_PATH = re.compile(r"(?:^|/)(\d{12})/CloudTrail(?:/([a-z0-9-]+)(?:/((?:\d+/){0,2}\d+))?)?/?$")
_FOLDERS = re.compile(r"(?:^|/)(\d{12})/CloudTrail/([a-z0-9-]+)/")
_FILE = re.compile(r"(?:^|/)(\d{12})_CloudTrail_([a-z0-9-]+)_(\d{8}T\d{4})Z_[^/]*$")
_YEAR = re.compile(r"(\d{4})/")
_NO_EVENTS = re.compile(r"(?:^|/)CloudTrail-[A-Za-z]+/|_CloudTrail-[A-Za-z]+_")  # digests and insights


class TrailFile(msgspec.Struct, frozen=True):
    """One file. `delivered` is the second in its name, None if the name has none."""

    name: str
    size: int
    delivered: int | None


class Trail:
    """The CloudTrail files of one table's account and region. `path` is the folder's path, as its URL states it."""

    def __init__(self, files: ListedFiles, path: str, target: CallTarget) -> None:
        self.source = files
        self._files = files
        self._path = path.strip("/")
        self._target = target

    @property
    def url(self) -> str:
        """The URL of the folder."""
        return self._files.url

    def files(self, hours: Collection[int]) -> list[TrailFile]:
        """The files that may hold events of these hours (since 1970), in the order of their names.

        Raises Refused if the folder belongs to another account or region, and NotFound if it does not exist.
        """
        regions = self._of_path() or self._below()
        if regions is None:
            listed = self._without_layout()
        else:
            days = sorted({day for hour in hours for day in _days(hour)})
            listed = [each for region in regions for day in days for each in region.of_day(day)]
            listed += [each for region in regions for each in region.loose()]
        return [each for each in listed if _may_hold(each, hours)]

    # --- where they are ---

    def _of_path(self) -> list[_Region] | None:
        """Returns the region's folder if the URL itself leads to an account's folder or below it; None if it does not."""
        found = _IN_PATH.search(self._path)
        if found is None:
            return None
        account, region, date = found.groups()
        self._check(account, region)
        return [_Region(self._files, "" if region else f"{self._target.region}/", f"{date}/" if date else "")]

    def _check(self, account: str, region: str | None) -> None:
        wanted = self._target
        if account != wanted.account:
            raise self._refused({account})
        if region is not None and region != wanted.region:
            raise Refused(
                f"{self.url} holds the events of {region}: the table {wanted.name} is in {wanted.region}",
                hint="Give the folder of the table's own region, or a folder above it.",
            )

    def _refused(self, accounts: Collection[str]) -> Refused:
        named = ", ".join(sorted(accounts)[:5])
        return Refused(
            f"{self.url} holds the events of account {named}: the table {self._target.name} is in account {self._target.account}",
            hint=f"Give the folder of that account, as s3://bucket/AWSLogs/{self._target.account}, or a folder above it.",
        )

    def _below(self) -> list[_Region] | None:
        """Returns the region's folders if the layout begins below the folder, with an account, an organization or AWSLogs; None if
        it does not.
        """
        own = self._path.rpartition("/")[2]
        found: dict[str, list[str]] = {}
        for account, place in self._accounts(own):
            if any(True for _ in islice(self._files.list(f"{place}{_TRAIL}/"), 1)):
                found.setdefault(account, []).append(f"{place}{_TRAIL}/")
        if not found:
            return None
        if self._target.account not in found:
            raise self._refused(found)
        return [_Region(self._files, f"{place}{self._target.region}/", "") for place in found[self._target.account]]

    def _accounts(self, own: str) -> Iterator[tuple[str, str]]:
        for base in ("", LOGS):
            for each in self._folders(base):
                if _ACCOUNT.fullmatch(each):
                    yield each, f"{base}{each}/"
                elif _ORGANIZATION.fullmatch(each):
                    yield from ((one, f"{base}{each}/{one}/") for one in self._folders(f"{base}{each}/") if _ACCOUNT.fullmatch(one))
                elif each == _TRAIL and not base and _ACCOUNT.fullmatch(own):
                    yield own, ""

    def _folders(self, prefix: str) -> Iterator[str]:
        """Yields the folders right below one, with a request for each.

        Yields nothing if a thousand files come before the next folder.
        """
        after = ""
        while True:
            listing = islice(self._files.list(prefix, after=after), 1_000)
            found = next((name for each in listing if "/" in (name := each.name.removeprefix(prefix))), None)
            if found is None:
                return
            folder = found.partition("/")[0]
            yield folder
            after = f"{prefix}{folder}0"  # "0" follows "/"

    def _without_layout(self) -> list[TrailFile]:
        """Returns every file whose name does not state another account or region."""
        listed, others = list[TrailFile](), set[str]()
        for number, each in enumerate(self._files.list("")):
            if number >= MOST_FILES:
                raise UsageError(
                    f"{self.url} holds more than {MOST_FILES:,} files, and not in CloudTrail's folders",
                    hint="Give the folder that holds AWSLogs, or one of those below it.",
                )
            if each.name.endswith("/") or _NO_EVENTS.search(each.name):
                continue
            told = _FOLDERS.search(each.name) or _FILE.search(each.name)
            if told is None or told.groups()[:2] == (self._target.account, self._target.region):
                listed.append(_listed(each.name, each.size))
            else:
                others.add(told[1])
        if not listed and others - {self._target.account}:
            raise self._refused(others)
        return listed


class _Region(msgspec.Struct, frozen=True):
    """The folder of a region. `prefix` is below the given folder; `date` is the part of the day that the path already states."""

    files: ListedFiles
    prefix: str
    date: str

    def of_day(self, day: str) -> Iterator[TrailFile]:
        """Yields the files of a day (`2026/11/29/`)."""
        if day.startswith(self.date):
            for each in self.files.list(f"{self.prefix}{day.removeprefix(self.date)}"):
                if not each.name.endswith("/"):
                    yield _listed(each.name, each.size)

    def loose(self) -> Iterator[TrailFile]:
        """Yields the files right below the region's folder, in no day's folder: somebody copied them.

        Costs a request for each year.
        """
        after: str | None = None if self.date else ""
        while after is not None:
            listing, after = self.files.list(self.prefix, after=after), None
            for each in listing:
                year = _YEAR.match(each.name.removeprefix(self.prefix))
                if year is not None:
                    after = f"{self.prefix}{year[1]}0"  # "0" follows "/"
                    break
                if not each.name.endswith("/"):
                    yield _listed(each.name, each.size)


def _listed(name: str, size: int) -> TrailFile:
    told = _FILE.search(name)
    try:
        delivered = None if told is None else moment.parse_compact(f"{told[3]}00Z")
    except ValueError:
        delivered = None
    return TrailFile(name, size, delivered)


def _days(hour: int) -> Iterator[str]:
    for second in (hour * HOUR - EARLY, hour * HOUR + HOUR, hour * HOUR + HOUR + LATE):
        yield moment.day_and_hour(second)[0].replace("-", "/") + "/"


def _may_hold(file: TrailFile, hours: Collection[int]) -> bool:
    if file.delivered is None:
        return True
    first, last = (file.delivered - LATE) // HOUR, (file.delivered + EARLY) // HOUR
    return any(hour in hours for hour in range(first, last + 1))


def missing(trail: Trail) -> NotFound:
    """Returns the error for a folder without files for the requested time."""
    return NotFound(
        f"there are no CloudTrail files for that time in {trail.url}",
        hint="Data events of DynamoDB are off by default: see docs/who.md. A trail delivers within about 15 minutes.",
    )


# --- what is in a file ------------------------------------------------------------------------------------------------------------

_HEAD = re.compile(r'\ufeff?\s*\{\s*"Records"\s*:\s*\[')
_LONGEST_HEAD = 1_000
_SPACE = re.compile(r"\s*")
_GZIP = b"\x1f\x8b"
_json = json.JSONDecoder(parse_int=NumberText, parse_float=NumberText)


def read(files: ListedFiles, file: TrailFile) -> bytes:
    """Returns a file's bytes as stored."""
    return files.get(file.name).body


def events(body: bytes) -> Iterator[object]:
    """Yields the elements of a file's `Records`, with numbers as `NumberText`. Memory holds a few MB at a time.

    Raises Damaged at the place where the file stops being one; the elements before that place have been yielded.
    """
    pieces: Iterable[bytes] = [body]
    if body.startswith(_GZIP):
        pieces = decompression.bounded(decompression.gunzipped(body), object_limits.expanded(len(body)))
    try:
        yield from _TrailRecords(_decoded(pieces)).each()
    except UNREADABLE as error:
        raise Damaged(f"not gzip data ({error})") from error
    except UnicodeDecodeError as error:
        raise Damaged("not JSON: it is not UTF-8") from error


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in pieces:
        for start in range(0, len(piece), decompression.BLOCK):
            yield decoder.decode(piece[start : start + decompression.BLOCK])
    yield decoder.decode(b"", final=True)


class _TrailRecords:
    """Reads `{"Records":[...]}` as its text arrives."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._text = ""
        self._place = 0

    def each(self) -> Iterator[object]:
        self._begin()
        if self._next() != "]":
            yield self._value()
            while (sign := self._next()) == ",":
                self._place += 1
                yield self._value()
            if sign != "]":
                raise Damaged("not JSON: a list that does not go on")
        self._place += 1
        if self._next() != "}":
            raise Damaged("not a CloudTrail file: something follows its Records")
        self._place += 1
        if self._next():
            raise Damaged("not JSON: something follows its end")

    def _begin(self) -> None:
        while (found := _HEAD.match(self._text)) is None:
            if len(self._text) > _LONGEST_HEAD or not self._more():
                raise Damaged('not a CloudTrail file: it does not begin with {"Records":[')
        self._place = found.end()

    def _next(self) -> str:
        """Returns the next character that is not a space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._place)
            self._place = self._place if found is None else found.end()
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def _value(self) -> object:
        self._next()
        while True:
            try:
                value, self._place = _json.raw_decode(self._text, self._place)
            except UNDECODABLE as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise Damaged(f"not JSON, or cut off: {reason(error)}") from error
            else:
                return value

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        if len(self._text) - self._place > object_limits.EVENT:
            raise object_limits.too_large("an event", object_limits.EVENT)
        self._text, self._place = self._text[self._place :] + piece, 0
        return True


def seconds_read(files: Sequence[TrailFile]) -> int | None:
    """Returns the newest delivery among files, by their names; None if no name states one."""
    return max((each.delivered for each in files if each.delivered is not None), default=None)
