"""The condition that an item is unchanged: with it, a write of a restore gives way to somebody else's.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

# An expression has at most 4 KB and 300 operators. Two names of four characters, an operator and `AND` make 18 characters.
MOST_COMPARED = 140


# The limit of an UpdateItem's changes in its 4 KB: each attribute takes a name, a value and a sign.
MOST_CHANGED = 200


class RequestCondition(msgspec.Struct, frozen=True):
    """The parts of a request that state the condition."""

    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, msgspec.Raw] | None = None


def unchanged(before: bytes | None, key: str, new: bytes | None = None) -> RequestCondition:
    """Returns the condition that the item is as `before`, or does not exist if that is None. `key`: its hash key's name; `new`: its
    next image.

    Each attribute is compared as a whole (for an item with very many, only the first ones in their order), and no attribute that
    `new` would add may exist. Other attributes that somebody has added, without changing any, go unseen: no condition can say "and
    nothing more".
    """
    if before is None:
        return RequestCondition("attribute_not_exists(#k)", {"#k": key})
    fields = _fields(before)
    names = {f"#{place}": name for place, name in enumerate(list(fields)[:MOST_COMPARED])}
    values = {f":{name[1:]}": fields[of] for name, of in names.items()}
    terms = [f"{name} = :{name[1:]}" for name in names]
    added = [name for name in (_fields(new) if new is not None else ()) if name not in fields][: MOST_COMPARED - len(terms)]
    for place, name in enumerate(added):
        names[f"#n{place}"] = name
        terms.append(f"attribute_not_exists(#n{place})")
    return RequestCondition(" AND ".join(terms), names, values)


class Update(msgspec.Struct, frozen=True):
    """The parts of an UpdateItem that turns an item into another one, if it is unchanged."""

    UpdateExpression: str
    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, msgspec.Raw] | None = None


def update(before: bytes, after: bytes, keys: Collection[str]) -> Update | None:
    """Returns the update that changes `before` into `after`. It names only the attributes in which they differ, so no other one is
    touched.

    `keys`: the key attributes, which are the same in both however they are spelled; DynamoDB takes no update of them. The condition
    comes from `unchanged`, changing attributes first. Returns None if more change than one request can name.
    """
    old, new = _fields(before), _fields(after)
    others = {name: raw for name, raw in new.items() if name not in keys}
    put = [name for name, raw in others.items() if name not in old or bytes(old[name]) != bytes(raw)]
    removed = [name for name in old if name not in new]
    if len(put) + len(removed) > MOST_CHANGED:
        return None
    first = {name: old[name] for name in (*put, *removed) if name in old}
    condition = unchanged(msgspec.json.encode({**first, **old}), "", after)
    names, values = dict(condition.ExpressionAttributeNames), dict(condition.ExpressionAttributeValues or {})
    parts = []
    if put:
        names.update({f"#p{place}": name for place, name in enumerate(put)})
        values.update({f":p{place}": new[name] for place, name in enumerate(put)})
        parts.append("SET " + ",".join(f"#p{place}=:p{place}" for place in range(len(put))))
    if removed:
        names.update({f"#r{place}": name for place, name in enumerate(removed)})
        parts.append("REMOVE " + ",".join(f"#r{place}" for place in range(len(removed))))
    return Update(" ".join(parts), condition.ConditionExpression, names, values)


def _fields(image: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(image, type=dict[str, msgspec.Raw])
