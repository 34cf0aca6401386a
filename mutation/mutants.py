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
    *(f"ReplaceComparisonOperator_{each}" for each in COMPARISONS),
    *(f"ReplaceBinaryOperator_{each}" for each in ARITHMETIC),
    "AddNot",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
]


class Mutant(msgspec.Struct, frozen=True):
    """A place of a module for one fault. `occurrence`: which of the places of this operator."""

    operator: str
    occurrence: int
    line: int


def mutants(source: str) -> Iterator[Mutant]:
    """All places, by operator."""
    tree = get_ast(source)
    for name in OPERATORS:
        operator = plugins.get_operator(f"core/{name}")()
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, ((line, _), _) in enumerate(places):
            yield Mutant(name, occurrence, line)


def planted(source: str, mutant: Mutant) -> str:
    """The module with that fault."""
    code = mutate_code(source, plugins.get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
    return source if code is None else code


def first_other(source: str, code: str) -> str:
    """The first line that differs."""
    pairs = zip(source.splitlines(), code.splitlines(), strict=False)
    return next((mine.strip() for old, mine in pairs if old != mine), "")
