"""The mutants of a module: cosmic-ray's, of the operators that turn a rule into another one."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

# Borders by one, and opposites. Replacing each operator by each other one would say little more, and take ten times as long.
COMPARISONS = ["Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"]
COMPARISONS += ["Is_IsNot", "IsNot_Is"]
ARITHMETIC = ["Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Mod_FloorDiv"]
OPERATORS = [
    *(f"core/ReplaceComparisonOperator_{each}" for each in COMPARISONS),
    *(f"core/ReplaceBinaryOperator_{each}" for each in ARITHMETIC),
    "core/AddNot",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/NumberReplacer",
    "core/ZeroIterationForLoop",
]


class Mutant(msgspec.Struct, frozen=True):
    """A module with one fault. `occurrence`: which of the places of this operator; `text`: the line with the fault."""

    operator: str
    occurrence: int
    line: int
    text: str
    code: str


def mutants(source: str) -> Iterator[Mutant]:
    """All that differ from the source."""
    for name in OPERATORS:
        operator = plugins.get_operator(name)()
        places = [place for node in ast_nodes(get_ast(source)) for place in operator.mutation_positions(node)]
        for occurrence, ((line, _), _) in enumerate(places):
            code = mutate_code(source, operator, occurrence)
            if code is not None and code != source:
                yield Mutant(name.removeprefix("core/"), occurrence, line, _first_other(source, code), code)


def _first_other(source: str, code: str) -> str:
    """The first line that differs."""
    pairs = zip(source.splitlines(), code.splitlines(), strict=False)
    return next((mine.strip() for old, mine in pairs if old != mine), "")
