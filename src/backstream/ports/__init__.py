"""The seams of the code: the outside services that each part needs, as Protocols with their semantics.

Implementations live in `stores/` and `tables/`; one contract suite per Protocol runs on all of them.
"""

from backstream.ports.account import Account, BucketSettings, Described, LockTrial, TriedLock
from backstream.ports.clock import Clock
from backstream.ports.engine import Engine, NamePartitions, StatePartition, TableState, UnreadableSource
from backstream.ports.images import Images, ManyImages, ScannedImages
from backstream.ports.objects import (
    Files,
    Found,
    ListedFiles,
    ListedObject,
    ManyWrites,
    Markers,
    NameKeeper,
    NewObject,
    ObjectInfo,
    ObjectStore,
    ObjectVersion,
    Removal,
    StoredObject,
    Tag,
    VersionLock,
    VersionRemover,
    Wanted,
    Written,
)
from backstream.ports.signing import HeadSigner, Verifier, Vouching
from backstream.ports.stream import ChangeStream, RecordsPage, Shard, StreamFacts
from backstream.ports.table import ConditionalWrite, Delete, Importer, ImportState, Put, ScanPage, Table, TableFacts, Write

__all__ = [
    "Account",
    "BucketSettings",
    "ChangeStream",
    "Clock",
    "ConditionalWrite",
    "Delete",
    "Described",
    "Engine",
    "Files",
    "Found",
    "HeadSigner",
    "Images",
    "ImportState",
    "Importer",
    "ListedFiles",
    "ListedObject",
    "LockTrial",
    "ManyImages",
    "ManyWrites",
    "Markers",
    "NameKeeper",
    "NamePartitions",
    "NewObject",
    "ObjectInfo",
    "ObjectStore",
    "ObjectVersion",
    "Put",
    "RecordsPage",
    "Removal",
    "ScanPage",
    "ScannedImages",
    "Shard",
    "StatePartition",
    "StoredObject",
    "StreamFacts",
    "Table",
    "TableFacts",
    "TableState",
    "Tag",
    "TriedLock",
    "UnreadableSource",
    "Verifier",
    "VersionLock",
    "VersionRemover",
    "Vouching",
    "Wanted",
    "Write",
    "Written",
]
