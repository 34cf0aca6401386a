"""Selects the items of a restore: those that pass every requested filter.

A filter on attributes accepts an item that passes then, or now: a row that has changed is restored whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from backstream.errors import UsageError
from backstream.model.condition import Condition
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.model.values.key_arguments import parse_partition
from backstream.operations.restore.request import RestoreRequest
from backstream.operations.restore.states.nearest import Attributes, Nearest, scalar
from backstream.operations.restore.states.row_states import RowState
from backstream.vault import catalog as catalogs
from backstream.vault.table_vault import TableVault


class Filter(Protocol):
    """Tells whether an item is selected, in two steps, because reading an image costs a request."""

    def rules_out(self, candidate: RowState) -> bool:
        """True if an item is not selected, as far as that is clear without reading its image.

        It is always clear for one that did not exist.
        """

    def wants(self, then: bytes | None, live: bytes | None) -> bool:
        """True if an item that was not ruled out is selected, by its image then and now."""

    def nearest(self) -> str:
        """Returns the names nearest to the requested one, among the items that were looked at."""


class Selection:
    """All filters together. Without any, every item is selected."""

    def __init__(self, filters: Sequence[Filter] = ()) -> None:
        self._filters = filters

    def rules_out(self, candidate: RowState) -> bool:
        """True if one of the filters rules the item out."""
        return any(each.rules_out(candidate) for each in self._filters)

    def wants(self, then: bytes | None, live: bytes | None) -> bool:
        """True if all of the filters want the item."""
        return all(each.wants(then, live) for each in self._filters)

    def nearest(self) -> str:
        """Describes what the filters have found instead; empty if that is of no use."""
        return " ".join(text for each in self._filters if (text := each.nearest()))


def selection_of(vault: TableVault, request: RestoreRequest) -> Selection:
    """Returns a request's selection without its keys.

    Raises UsageError if a filter cannot be parsed, or does not fit this table.
    """
    filters: list[Filter] = []
    if request.partition is not None:
        schema = vault.catalog.key_schema
        filters.append(PartitionFilter(parse_partition(schema, request.partition), schema.hash.name, request.partition))
    if request.tenant is not None:
        filters.append(TenantFilter(vault, request.tenant))
    if request.where is not None:
        filters.append(ConditionFilter(Condition(request.where)))
    return Selection(filters)


class PartitionFilter:
    """Selects one partition key's items, by their keys."""

    def __init__(self, beginning: bytes, attribute: str, value: str) -> None:
        self._beginning = beginning
        self._attribute = attribute
        self._names = Nearest(value)

    def rules_out(self, candidate: RowState) -> bool:
        out = not candidate.key.startswith(self._beginning)
        if out and self._names.wanting:
            self._names.add(scalar(wire.attribute(candidate.key, self._attribute)))
        return out

    def nearest(self) -> str:
        return self._names.said(f"values of {self._attribute}")

    def wants(self, then: bytes | None, live: bytes | None) -> bool:
        del then, live
        return True


class ConditionFilter:
    """Selects items that satisfy a condition."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._attributes = Attributes()

    def rules_out(self, candidate: RowState) -> bool:
        return candidate.gone and not self.wants(None, candidate.live)

    def wants(self, then: bytes | None, live: bytes | None) -> bool:
        found = [image for image in (then, live) if image is not None]
        matches = any(map(self._condition.matches, found))
        for image in found if not matches and self._attributes.wanting else ():
            self._attributes.add_all(wire.decode(image))
        return matches

    def nearest(self) -> str:
        return self._attributes.said(self._condition.names)


class TenantFilter:
    """Selects items that belong to a tenant: then, or now. A row that changed its tenant is restored whole."""

    def __init__(self, vault: TableVault, tenant: str) -> None:
        if vault.catalog.tenant_attribute is None:
            raise UsageError(
                f"{vault.catalog.table} is not split by tenant",
                hint=f"Run `backstream init {vault.catalog.table} --tenant-attribute NAME` once, or select rows with --key.",
            )
        self._attribute = vault.catalog.tenant_attribute
        self._names = Nearest(tenant)
        self._folder = naming.tenant_folder({"S": tenant})
        ways = catalogs.ways_of(vault.store, vault.catalog)
        self._names_tell = ways is not None and {each.tenant_attribute for each in ways} <= {None, self._attribute}

    def rules_out(self, candidate: RowState) -> bool:
        """True if an item is clearly not the tenant's, neither at the moment nor live, without reading its image."""
        if self._names.wanting:
            self._note(candidate)
        if candidate.live is not None and self._in_image(candidate.live):
            return False
        then = candidate.then
        if then is None or candidate.gone:
            return True
        # An object's name states the tenant, unless the row was kept before the table was split by tenant, or was split by another
        # attribute.
        parts = then.place.name.split("/") if then.place is not None and self._names_tell else []
        return len(parts) == 3 and parts[1] != self._folder

    def wants(self, then: bytes | None, live: bytes | None) -> bool:
        """True if one of an item's two images belongs to the tenant."""
        return any(image is not None and self._in_image(image) for image in (then, live))

    def _note(self, candidate: RowState) -> None:
        """Keeps the tenant's name, as far as it is known without reading an image from the vault."""
        then = candidate.then
        for image in (candidate.live, None if then is None else then.image):
            if image is not None:
                self._names.add(scalar(wire.attribute(image, self._attribute)))
        parts = then.place.name.split("/") if then is not None and then.place is not None and self._names_tell else []
        if len(parts) == 3:
            self._names.add(naming.tenant_of(parts[1]))

    def nearest(self) -> str:
        return self._names.said("tenants")

    def _in_image(self, image: bytes) -> bool:
        return naming.tenant_folder(wire.attribute(image, self._attribute)) == self._folder
