"""Asks executors, before anything else, whether they can open the vault with their own credentials."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

import msgspec

from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.tasks import Opener, failure, opened, raised
from backstream.errors import BackstreamError
from backstream.vault import catalog


class Probing(msgspec.Struct, frozen=True):
    """A task that reads the catalog; it yields the machine's name with the error that came, as a value."""

    opener: Opener

    def __call__(self, orders: Iterable[bytes]) -> Iterator[tuple[str, tuple[str, str, str] | None]]:
        """Yields one answer for each order."""
        for _ in orders:
            try:
                vault = opened(self.opener)
                catalog.load(vault.store, vault.catalog.table)
            except BackstreamError as error:
                yield socket.gethostname(), failure(error)
            else:
                yield socket.gethostname(), None


def probe(cluster: Cluster, opener: Opener) -> None:
    """Raises the error of an executor that cannot read the vault. Nothing was begun then."""
    asked = [b""] * cluster.width
    for host, failed in cluster.run(cluster.spread(asked), Probing(opener), range(len(asked))):
        if failed is not None:
            error = raised(failed)
            hint = f"Executors use their own credentials: give {host} a role that may read the vault. {error.hint}".strip()
            raise type(error)(f"an executor on {host} cannot read the vault: {error.message}", hint=hint)
