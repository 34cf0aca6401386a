"""The condition that an item is still as it was: what makes a write of a restore give way to somebody else's.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import msgspec

# An expression has 4 KB and 300 operators at most; two names of four characters, an operator and `AND` make 18 characters.
MOST_COMPARED = 140


class Condition(msgspec.Struct, frozen=True):
    """The parts of a request that say it."""

    ConditionExpression: str
    ExpressionAttributeNames: dict[str, str]
    ExpressionAttributeValues: dict[str, msgspec.Raw] | None = None


def unchanged(before: bytes | None, key: str, new: bytes | None = None) -> Condition:
    """That the item is as `before`, or, where that is None, does not exist. `key`: its hash key's name; `new`: what it will become.

    Each attribute is compared, whole (of an item with very many the first ones, in their order), and none of those that `new` would
    add may be there. What else somebody has added, and changed nothing, is not seen: no condition can say "and nothing more".
    """
    if before is None:
        return Condition("attribute_not_exists(#k)", {"#k": key})
    fields = _fields(before)
    names = {f"#{place}": name for place, name in enumerate(list(fields)[:MOST_COMPARED])}
    values = {f":{name[1:]}": fields[of] for name, of in names.items()}
    terms = [f"{name} = :{name[1:]}" for name in names]
    added = [name for name in (_fields(new) if new is not None else ()) if name not in fields][: MOST_COMPARED - len(terms)]
    for place, name in enumerate(added):
        names[f"#n{place}"] = name
        terms.append(f"attribute_not_exists(#n{place})")
    return Condition(" AND ".join(terms), names, values)


def _fields(image: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(image, type=dict[str, msgspec.Raw])
