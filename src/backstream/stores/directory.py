"""A store in a folder, for one machine or a shared disk: plain files that a person can find and read.

    flights/abc@/00000007/body              the seventh version of `flights/abc`, byte for byte
    flights/abc@/00000007/metadata.json     if it has any
    flights/abc@/00000008/deleted           the eighth is a delete marker
    flights/abc@/00000008/removed           it was one; somebody has removed it, and its number stays taken
    flights/abc@/00000009/                  empty: somebody has removed that version, as one deletes it in a bucket
    .backstream-drafts/                     versions being written; the remains of a crash do not count

A version is a folder that is written and synced as a draft and appears by one rename. The rename fails if that number is taken, so
it also decides between processes that write the same name: the loser looks again and takes the next number. Hence numbers have no
holes and are never used twice, and the act that adds a version also decides whether it may be added (`if_absent`).
"""

from __future__ import annotations

import errno
import heapq
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import (
    AccessDenied,
    AlreadyExists,
    BackstreamError,
    ConditionNotMet,
    Damaged,
    Failed,
    MissingBucket,
    MissingObject,
)
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.object_limits import Limit, too_large, unlimited
from backstream.ports import Clock, Found, ListedObject, ObjectInfo, ObjectVersion, Removal, StoredObject, Tag, VersionLock, Wanted
from backstream.stores.file_names import OBJECT_MARK, may_hold, to_folder, to_path
from backstream.stores.many import from_threads
from backstream.stores.markers import not_a_marker
from backstream.stores.version_folders import BODY, DELETED, folder_entries, name_text, seconds, taken, version_folder, version_rows

_METADATA = "metadata.json"
_REMOVED = "removed"
DRAFTS = ".backstream-drafts"  # no name maps to a leading dot

_HINTS = {
    errno.ENOSPC: "The disk is full: make room and run it again; everything written before is whole.",
    errno.EDQUOT: "The disk quota is used up: make room and run it again; everything written before is whole.",
    errno.ENAMETOOLONG: "The folder's own path is too long for such a name: use one with a shorter path.",
    errno.EMFILE: "Too many open files: raise the limit (ulimit -n).",
}


class DirectoryStore:
    """See `ports.ObjectStore`; versions are numbered from 00000001. The folder must exist, on a file system that tells A from a.

    `modified` is the file's own time, so copy a vault with its times (`cp -a`, `rsync -a`).
    """

    def __init__(self, folder: Path | str, clock: Clock, limit: Limit = unlimited) -> None:
        self._root = Path(folder).absolute()
        self._clock = clock
        self._limit = limit

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    def check(self) -> None:
        with self._explained("look into", ""), os.scandir(self._root):
            pass

    # --- writing ---

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        files = {BODY: body, _METADATA: msgspec.json.encode(dict(metadata))} if metadata else {BODY: body}
        with self._explained("write", name):
            return self._add(name, files, if_absent=if_absent, if_match=if_match)

    def delete(self, name: str) -> str:
        with self._explained("delete", name):
            return self._add(name, {DELETED: b""}, if_absent=False)

    def _add(self, name: str, files: Mapping[str, bytes], *, if_absent: bool, if_match: str | None = None) -> str:
        draft = self._root / DRAFTS / secrets.token_hex(16)
        try:
            self._write_draft(draft, files)
            while True:
                version = self._next_version(name, if_absent=if_absent, if_match=if_match)
                if _renamed(draft, version):
                    sync(version.parent)
                    return version.name
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # nothing is there after the rename; before it, nobody would miss it

    def _write_draft(self, draft: Path, files: Mapping[str, bytes]) -> None:
        draft.parent.mkdir(private_files.FOLDER, exist_ok=True)  # not the root: a vault that is not there is not made by a write
        draft.mkdir(private_files.FOLDER)
        received = round(self._clock.now() * 1e6) * 1_000  # nanoseconds; a float holds no more than microseconds
        for name, content in files.items():
            with private_files.create(draft / name) as file:
                file.write(content)
                file.flush()
                os.utime(file.fileno(), ns=(received, received))
                os.fsync(file.fileno())
        sync(draft)

    def _next_version(self, name: str, *, if_absent: bool, if_match: str | None) -> Path:
        """Returns the path of the next version of `name`, in a folder that will survive a crash."""
        folder = self._folder(name)
        numbers = taken(folder)
        if if_match is not None:
            self._match(name, _numbers(folder), if_match)
        if not numbers:
            private_files.make_folder(folder)
            for above in folder.parents:
                sync(above)
                if above == self._root:
                    break
            return folder / version_folder(1)
        if if_absent and (there := _numbers(folder)) and not (folder / version_folder(there[-1]) / DELETED).exists():
            raise AlreadyExists(f"{self._shown(name)} exists already.")
        return folder / version_folder(numbers[-1] + 1)

    def _match(self, name: str, numbers: Sequence[int], tag: str) -> None:
        """Raises ConditionNotMet if the current version does not have the tag, and MissingObject if there is none."""
        newest = version_folder(numbers[-1]) if numbers else ""
        if not newest or (self._folder(name) / newest / DELETED).exists():
            raise self._missing(name, newest, marker=bool(newest))
        if newest != tag:
            raise ConditionNotMet(f"{self._shown(name)} has changed.")

    def remove(self, name: str, version: str) -> bool:
        """See `ports.Markers`."""
        with self._explained("remove a delete marker of", name):
            there = self._folder(name) / version
            if not version.isdecimal() or not there.is_dir():
                return False
            if (there / BODY).exists():
                raise not_a_marker(self._shown(name), version)
            try:
                (there / DELETED).rename(there / _REMOVED)
            except FileNotFoundError:
                return False  # somebody else has done it
            sync(there)
            return True

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        """See `ports.VersionRemover`. An empty folder stays, so that the number stays taken."""
        for each in wanted:
            with self._explained("remove a version of", each.name):
                there = self._folder(each.name) / each.version
                for file in (BODY, DELETED, _METADATA) if each.version.isdecimal() else ():
                    with suppress(FileNotFoundError, NotADirectoryError):
                        (there / file).unlink()
                if there.is_dir():
                    sync(there)
            yield Removal(each)

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        """See `ports.VersionRemover`. A folder has no locks."""
        del version
        return None

    def forget(self, name: str) -> None:
        """See `ports.NameKeeper`."""
        folder = self._folder(name)
        with self._explained("forget", name):
            if folder.is_dir() and not _numbers(folder):
                shutil.rmtree(folder)
                for above in folder.parents:
                    if above == self._root or any(above.iterdir()):
                        break
                    above.rmdir()

    # --- reading ---

    def get(self, name: str, version: str | None = None) -> StoredObject:
        info = self.head(name, version)
        if info.size > self._limit(name):
            raise too_large(self._shown(name), self._limit(name), info.size)
        with self._explained("read", name):
            return StoredObject(info, (self._folder(name) / info.version / BODY).read_bytes())

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return from_threads(self.get, wanted)  # the disk may be far away

    def get_range(self, name: str, start: int, length: int) -> bytes:
        info = self.head(name)
        first = max(0, info.size + start) if start < 0 else start
        if first >= info.size:
            raise Damaged(f"{self._shown(name)} has {info.size} bytes: there are none from {start} on.")
        if length > self._limit(name):
            raise too_large(self._shown(name), self._limit(name))
        with self._explained("read", name), (self._folder(name) / info.version / BODY).open("rb") as file:
            file.seek(first)
            return file.read(length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        with self._explained("read", name):
            number = self._existing(name, version)
            there = self._folder(name) / number
            try:
                facts = (there / BODY).stat()
            except FileNotFoundError:
                raise self._missing(name, number, marker=(there / DELETED).exists()) from None
            return ObjectInfo(name, number, facts.st_size, seconds(facts), self._metadata(name, there), number)

    def _existing(self, name: str, version: str | None) -> str:
        """Returns the requested version, or the newest."""
        if version is not None:
            if version.isdecimal():  # nothing else is ours, least of all a path
                return version
            raise self._missing(name, version)
        if numbers := _numbers(self._folder(name)):
            return version_folder(numbers[-1])
        raise self._missing(name)

    def _metadata(self, name: str, there: Path) -> dict[str, str]:
        try:
            return msgspec.json.decode((there / _METADATA).read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except UNDECODABLE as error:
            raise Damaged(
                f"The metadata of {self._shown(name)}, version {there.name}, cannot be read: {reason(error)}.",
                hint=f"See {there / _METADATA}.",
            ) from error

    # --- listing ---

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        for version in self._walk(prefix, after, only_latest=True):
            if not version.marker:
                yield ListedObject(version.name, version.size, version.modified)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._walk(prefix, after, only_latest=False)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        with self._explained("list", name):
            versions = version_rows(name, str(self._folder(name)))
            newest = next(versions, None)
            if newest is None:
                self._root.stat()  # nothing to list is no error, but a missing store is
                return
            yield newest
            yield from versions

    def _walk(self, prefix: str, after: str, *, only_latest: bool) -> Iterator[ObjectVersion]:
        with self._explained("list", prefix):
            for name, folder in self._objects(prefix.encode(), after.encode()):
                versions = version_rows(name_text(name, folder), folder)
                yield from islice(versions, 1) if only_latest else versions

    def _objects(self, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, str]]:
        """Yields names that start with `prefix` and follow `after`, in order, with their folders.

        A heap holds the known part of the tree: objects by their names, folders by the common prefix of all names inside. The
        prefix is never greater than any of those names, so a folder is opened before one of them is due. It holds the folders along
        one path.
        """
        begin = prefix[: prefix.rfind(b"/") + 1]
        heap = list(folder_entries(str(self._root.joinpath(*to_folder(begin))), begin))
        if not heap:
            self._root.stat()  # nothing to list is no error, but a missing store is
        heapq.heapify(heap)
        while heap:
            known, component, above = heapq.heappop(heap)
            if component.endswith(OBJECT_MARK):
                if known.startswith(prefix) and known > after:
                    yield known, f"{above}/{component}"
            elif may_hold(known, prefix, after):
                for entry in folder_entries(f"{above}/{component}", known):
                    heapq.heappush(heap, entry)

    # --- words ---

    def _folder(self, name: str) -> Path:
        return self._root.joinpath(*to_path(name))

    def _shown(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _missing(self, name: str, version: str = "", *, marker: bool = False) -> BackstreamError:
        self._root.stat()  # a store that is not there has no objects either, but that is another error
        which = f"version {version} of {self._shown(name)}" if version else self._shown(name)
        return MissingObject(f"There is no {which}{': it is a delete marker' if marker else ''}.", marker=marker)

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        """Context that turns the system's errors into the project's."""
        try:
            yield
        except OSError as error:
            raise named(error, f"Could not {doing} {self._shown(name)}: {error.strerror}.", self._root) from error


def named(error: OSError, message: str, root: Path) -> Failed:
    """Returns the project's error for a system error of a store in the folder `root`."""
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return AccessDenied(message, hint=f"Give this user access to {root}.")
    if not root.is_dir():
        return MissingBucket(f"{message} {root} is no folder.", hint=f"mkdir -p '{root}'")
    return Failed(message, hint=_HINTS.get(error.errno or 0, ""))


def _numbers(folder: Path) -> list[int]:
    """Returns the versions in an object's folder, oldest first, without the newest ones that somebody has removed."""
    numbers = taken(folder)
    while numbers and not _is_version(folder / version_folder(numbers[-1])):
        numbers.pop()
    return numbers


def _is_version(there: Path) -> bool:
    return (there / BODY).exists() or (there / DELETED).exists()


def _renamed(draft: Path, version: Path) -> bool:
    """True if the draft became that version; False if another writer was first."""
    try:
        draft.rename(version)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def sync(folder: Path) -> None:
    """Makes the folder's own entries survive a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
