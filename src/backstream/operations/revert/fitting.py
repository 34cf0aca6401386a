"""Tells in the plan, before anything is written, whether the live table accepts an item's old state."""

from __future__ import annotations

from typing import Any

import msgspec

from backstream.model.values import item_limits, wire
from backstream.model.values.item_limits import InvalidItem
from backstream.ports import TableFacts


class Fitting:
    """Knows the keys of a table's indexes, and the limit of an item's size.

    The key of an index has the type of its definition, and is not empty. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """

    def __init__(self, facts: TableFacts) -> None:
        description: dict[str, Any] = msgspec.json.decode(facts.description) if facts.description else {}
        types = {each["AttributeName"]: each["AttributeType"] for each in description.get("AttributeDefinitions", [])}
        indexes = [*description.get("GlobalSecondaryIndexes", []), *description.get("LocalSecondaryIndexes", [])]
        self._keys = {
            part["AttributeName"]: (index["IndexName"], types.get(part["AttributeName"], ""))
            for index in indexes
            for part in index["KeySchema"]
            if part["AttributeName"] not in facts.schema.names
        }

    def unfit(self, image: bytes) -> str:
        """Returns why the table would not accept an item; empty if it does."""
        try:
            item_limits.check_size(image)
        except InvalidItem as error:
            return str(error)
        for name, (index, kind) in self._keys.items():
            value = wire.attribute(image, name)
            if value is not None and (kind not in value or value[kind] == ""):
                was = "it was empty" if kind in value else f"{next(iter(value), 'nothing')} was there"
                return f"{name} is a key of the index {index}, which takes {kind} alone, and never an empty one: {was}"
        return ""
