"""Keeps data on the server: hidden attributes, the values of masked ones, and, for private vaults, keys in URLs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

import msgspec

from backstream.apps.web import addresses
from backstream.apps.web.access.remembered import Remembered
from backstream.apps.web.access.settings import WebSettings
from backstream.errors import BackstreamError, Refused, UsageError
from backstream.model.condition import Condition, path_of
from backstream.model.values.decoding import UNDECODABLE
from backstream.operations.inspect.actors import ActorClaim, ActorSource
from backstream.vault.catalog import Catalog

WITHHELD = "the details are withheld here, since attributes are hidden or masked: the command line tells them"
_attributes = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ShownValue(msgspec.Struct, frozen=True):
    """One attribute as it may be shown. `raw`: its typed value in DynamoDB JSON; `token`: equal where values are; `masked`."""

    raw: bytes
    token: bytes
    masked: bool = False


class Privacy:
    """Decides what may be shown."""

    def __init__(self, settings: WebSettings, remembered: Remembered) -> None:
        self._settings = settings
        self._remembered = remembered

    # --- items ---

    def attributes(self, image: bytes | None) -> dict[str, ShownValue]:
        """Returns an image's attributes, without the hidden ones; none for an item that does not exist."""
        if image is None or image == b"null":
            return {}
        try:
            fields = _attributes.decode(msgspec.json.format(image, indent=-1))
        except UNDECODABLE:
            return {}
        hidden, masked = self._settings.hidden, self._settings.masked
        return {
            name: ShownValue(b"" if name in masked else bytes(raw), bytes(raw), name in masked)
            for name, raw in fields.items()
            if name not in hidden
        }

    def names(self, names: Iterable[str]) -> list[str]:
        """Returns attributes' names, without the hidden ones."""
        return [name for name in names if name not in self._settings.hidden]

    @property
    def guards(self) -> bool:
        """True if anything of items is held back."""
        return bool(self._settings.guarded)

    def check_table(self, catalog: Catalog) -> None:
        """Raises Refused if a key attribute of the table must be hidden: rows cannot be distinguished without it."""
        keys = self._settings.guarded.intersection(catalog.key_schema.names)
        if keys:
            raise Refused(
                f"the items of {catalog.table} are not shown: {', '.join(sorted(keys))} is part of their keys, and is to be hidden",
                hint="Leave it out of --hide and --mask; --private keeps keys out of URLs.",
            )

    def check_filters(self, catalog: Catalog, where: str | None, attributes: Sequence[str], tenant: str | None) -> None:
        """Raises UsageError if a filter would disclose a guarded attribute."""
        asked = set(Condition(where).attributes if where else ()) | self._settings.hidden.intersection(attributes)
        if tenant is not None and catalog.tenant_attribute is not None:
            asked.add(catalog.tenant_attribute)
        if self._settings.guarded & asked:
            raise UsageError("a filter asks for an attribute that is hidden or masked here", hint="Use the command line for that.")

    def allows_actor(self, catalog: Catalog) -> bool:
        """True if the actor in items may be shown."""
        attribute = catalog.actor_attribute
        return attribute is None or path_of(attribute)[0] not in self._settings.guarded

    def claims(self, catalog: Catalog, claims: Sequence[ActorClaim]) -> list[ActorClaim]:
        """Returns the actors of a change, as far as they may be shown."""
        return [each for each in claims if each.source is not ActorSource.ATTRIBUTE or self.allows_actor(catalog)]

    # --- words ---

    def words(self, texts: Iterable[str]) -> list[str]:
        """Returns notes that may mention items' contents."""
        found = list(texts)
        return [WITHHELD] if self.guards and found else found

    def error(self, error: BackstreamError) -> tuple[str, str]:
        """Returns the error and the next step, as far as they may be shown.

        This tool's own texts of usage and refusal hold no items.
        """
        if self.guards and not isinstance(error, (UsageError, Refused)):
            return f"it failed ({type(error).__name__})", WITHHELD
        return error.message, error.hint

    # --- URLs ---

    def item_url(self, table: str, key: bytes) -> str:
        """Returns the address of an item's screen: with its key, or, if keys are private, with its hash."""
        if self._settings.private:
            return addresses.at(f"/t/{quote(table)}/item?k={self._remembered.put(key)}")
        return addresses.at(f"/t/{quote(table)}/item?{urlencode({'key': key.decode()})}")

    def remember(self, text: str) -> str:
        """Returns the id that replaces a text in URLs."""
        return self._remembered.put(text.encode()) if text else ""

    def recall(self, name: str) -> str:
        """Returns the text of an id. Raises UsageError if it is no longer known."""
        if not name:
            return ""
        found = self._remembered.get(name)
        if found is None:
            raise UsageError(
                "the server has forgotten the meaning of this address",
                hint="The server was started again, or it is long ago. Ask anew.",
            )
        return found.decode()
