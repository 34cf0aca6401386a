"""Tries whether the vault's server keeps what it promises, instead of believing it: docs/notes/0068-servers-are-tried.md.

Some servers answer 200 to PutBucketVersioning or `If-None-Match`, and do nothing. A vault there loses what it overwrites. A server
that has passed is recorded in the vault, so that a later `init` asks for one object instead of trying again. The objects of a trial
lie in a folder that no table can have, below a delete marker.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import msgspec

from backstream.errors import AlreadyExists, ConditionNotMet, Failed, MissingObject, Refused, UnversionedBucket
from backstream.model import moment
from backstream.model.tables.naming import SYSTEM_FOLDER
from backstream.model.values.decoding import UNDECODABLE
from backstream.ports import ObjectStore

FOLDER = f"{SYSTEM_FOLDER}/~server/"  # no table can have that name
RECORD = f"{FOLDER}proven.json"
FORMAT = 1
AT_ONCE = 8  # writers of one name
_NO_TAG = f'"{"0" * 32}"'
_LOOKED_AT = 10  # versions of the tried object: this trial's are the newest
# As much as a row version carries, and more: S3 takes 2,048 bytes of names and values.
_SAID: Mapping[str, str] = {"backstream-tried": "MiXed.Case-42 " + "aZ" * 450, "event-name": "REMOVE", "x": "="}

Comparing = Callable[[], bool]  # True if the server refuses a body that is not what its checksum says


class ServerProof(msgspec.Struct, frozen=True):
    """The record of a server that has passed. `at`: ISO 8601; `checksums`: it refuses a body that its checksum does not fit.

    `at_once`: of writers that create one name at the same moment, one wins; records from before this was tried say so, too.
    """

    format: int
    endpoint: str
    at: str
    checksums: bool
    at_once: bool = True


def proof_of(store: ObjectStore, endpoint: str) -> ServerProof | None:
    """Returns the record of this server; None if there is none, or if it is of another endpoint or cannot be read."""
    try:
        found = msgspec.json.decode(store.get(RECORD).body, type=ServerProof)
    except (MissingObject, *UNDECODABLE):
        return None
    return found if found.format == FORMAT and found.endpoint == endpoint else None


def prove(store: ObjectStore, endpoint: str, now: float, comparing: Comparing | None) -> ServerProof:
    """Returns the record of the vault's server, which is tried if there is none yet.

    Raises Refused if it does not keep versions, ids, conditions or metadata as S3 does, with each thing that it did.
    """
    return proof_of(store, endpoint) or try_now(store, endpoint, now, comparing)


def try_now(store: ObjectStore, endpoint: str, now: float, comparing: Comparing | None) -> ServerProof:
    """Returns the record after a new trial. Raises Refused as `prove` does."""
    faults = [*faults_of(store)]
    if faults:
        raise Refused(
            f"the server of {store.url} would lose data: {'; '.join(faults)}",
            hint="Use a server, or a newer version of it, that keeps versions as S3 does: see docs/servers.md.",
        )
    checksums = comparing is None or comparing()
    proof = ServerProof(FORMAT, endpoint, moment.iso(now), checksums, one_wins(store))
    store.put(RECORD, msgspec.json.format(msgspec.json.encode(proof), indent=2), {"format": str(FORMAT)})
    return proof


def faults_of(store: ObjectStore) -> Iterator[str]:
    """Yields what the server does otherwise than S3. After the first fault the rest is tried only where that still says something.

    Errors of permissions and connections are raised: nothing is known then.
    """
    first, second = secrets.token_hex(16).encode(), secrets.token_hex(16).encode()
    folder = f"{FOLDER}{secrets.token_hex(8)}/"  # of its own, since others may try at the same time
    tried = f"{folder}tried"
    try:
        one = store.put(tried, first, _SAID)
        conditions = [*_conditions(store, tried, f"{folder}Tried")]
        two = store.put(tried, second)
        yield from conditions
        if one == two:
            yield f"two versions have one id ({one})"
            return
        marker = _marker(store, tried, {one, two})
        if marker is None:
            yield "a delete leaves no delete marker, or one without an id"
        yield from _versions(store, tried, [each for each in (marker, two, one) if each is not None])
        yield from _first(store, tried, one, first)
    except UnversionedBucket as error:
        yield f"it keeps no versions, though it says so ({error.message})"


def _conditions(store: ObjectStore, tried: str, other_case: str) -> Iterator[str]:
    """Tries writes that must be refused, on an object that is there."""
    try:
        store.put(tried, b"written over", if_absent=True)
    except AlreadyExists:
        pass
    else:
        yield "it ignores If-None-Match: of two writers, one would overwrite the other"
    try:
        store.put(tried, b"written over", if_match=_NO_TAG)
    except (ConditionNotMet, MissingObject):
        pass
    except Failed as error:
        if type(error) is not Failed:
            raise
        yield error.message
    else:
        yield "it ignores If-Match: one of two changes at once would be lost"
    if _is_there(store, other_case):
        yield "it does not tell upper from lower case in names"


def _is_there(store: ObjectStore, name: str) -> bool:
    try:
        store.head(name)
    except MissingObject:
        return False
    return True


def one_wins(store: ObjectStore) -> bool:
    """Returns True if one of several writers that create a name at the same moment succeeds, and no other."""
    name = f"{FOLDER}{secrets.token_hex(8)}/once"

    def create(_: int) -> bool:
        try:
            store.put(name, b"created", if_absent=True)
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="trial") as pool:
        won = sum(pool.map(create, range(AT_ONCE)))
    store.delete(name)
    return won == 1


def _marker(store: ObjectStore, tried: str, others: set[str]) -> str | None:
    """Deletes the object. Returns the id of its delete marker; None if there is none, or if the object can still be read."""
    marker = store.delete(tried)
    try:
        store.get(tried)
    except MissingObject:
        return None if marker in others else marker
    return None


def _versions(store: ObjectStore, tried: str, newest_first: list[str]) -> Iterator[str]:
    """Compares the listing of versions with the written ones."""
    listed = [row.version for row in islice(store.versions_of(tried), _LOOKED_AT)]
    known = [each for each in listed if each in newest_first]
    if missing := [each for each in newest_first if each not in known]:
        yield f"its listing of versions lacks {len(missing)} of {len(newest_first)} that were written"
    elif known != newest_first:
        yield "its listing of versions is not newest first"


def _first(store: ObjectStore, tried: str, version: str, body: bytes) -> Iterator[str]:
    """Reads the version that was overwritten, by its id."""
    try:
        found = store.get(tried, version)
    except MissingObject:
        yield "it keeps no versions: an overwritten one is gone"
        return
    if found.body != body:
        yield "it gives other bytes for a version's id"
    elif found.info.version != version:
        yield f"it gives the version {found.info.version} for the id {version}"
    if dict(found.info.metadata) != dict(_SAID):
        changed = [name for name, value in _SAID.items() if found.info.metadata.get(name) != value]
        yield f"it loses or changes metadata ({', '.join(changed) or 'something is added'})"


def warnings_of(proof: ServerProof) -> list[str]:
    """Returns what is weaker than S3, and costs no data by itself."""
    found = [] if proof.checksums else ["the server compares no checksums: a body that is damaged on its way is kept as it arrives"]
    if not proof.at_once:
        found.append(
            "the server lets several writers create one name at the same moment: let no two commands, tails or functions write "
            "one table's vault at once"
        )
    return found
