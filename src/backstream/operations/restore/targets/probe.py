"""Asks whether a live table may be written to, and changes nothing."""

from __future__ import annotations

import base64

from backstream import private_files
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.ports import Delete, Put, Table


def probe(table: Table) -> None:
    """Raises AccessDenied if this caller may not put and delete items.

    It asks for two writes on a condition that cannot hold: an item that does not exist would have to be there. So nothing is
    written, and no record gets into the stream.
    """
    key = wire.encode(_nobody(table.facts().schema))
    table.write_if(Put(key), key)
    table.write_if(Delete(key), key)


def _nobody(schema: KeySchema) -> dict[str, dict[str, str]]:
    """Returns a key that no item has."""
    name = f"backstream-probe-{private_files.token()}"
    values = {"S": name, "N": f"-{int(private_files.token(), 16)}", "B": base64.b64encode(name.encode()).decode()}
    return {each.name: {each.type: values[each.type]} for each in schema.attributes}
