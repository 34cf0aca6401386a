"""Makes commands from functions: a parameter's annotation describes it on the command line, and click does the rest.

`Annotated[Path | None, Option(metavar="PATH", help="...")] = None` is an optional option of a type that click checks. typer works
in the same way. This module covers the few types that these commands have. typer itself builds each parameter with pydantic, which
takes longer to load than everything else in a command on a small vault: docs/notes/0034-start.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import click

from backstream.apps.selection.table_selection import TableSelection
from backstream.model import moment_arguments
from backstream.model.values.item_text import ItemText

_ZONE = "backstream.zone"  # where a context keeps what eager options said
_FROM_ITEM = "backstream.key_from_item"
_SELECTION = "backstream.selection."  # and the name of an option that selects tables


class Declared:
    """The description of a parameter in its annotation. `names`: its options; without any, the parameter's name is one.

    `min`: the least allowed number; None for any. `once`: a second value is refused; click itself would drop the first.
    `alone`: the option's value if it stands without one; None if it needs one.
    """

    def __init__(
        self,
        *names: str,
        metavar: str | None = None,
        help: str = "",  # noqa: A002 - the word of every such library
        min: float | None = None,  # noqa: A002 - the same
        show_default: bool = True,
        once: bool = False,
        alone: str | None = None,
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.help = help
        self.min = min
        self.show_default = show_default
        self.once = once
        self.alone = alone


class Option(Declared):
    """A parameter that is given by its name."""


class Argument(Declared):
    """A parameter that is given by its place."""


class Place(click.Argument):
    """An argument with a description in the help."""

    def __init__(self, name: str, about: str, **settings: Any) -> None:
        super().__init__([name], **settings)
        self._about = about

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:  # noqa: ARG002 - click's own signature
        """Returns its name and description."""
        return self.metavar or self.human_readable_name, f"{self._about}  [required]".strip() if self.required else self._about


class TablesPlace(Place):
    """The names of tables. With the options that select tables in other ways, its value is a `TableSelection`."""

    def process_value(self, ctx: click.Context, value: Any) -> TableSelection:
        """Returns the selection. Raises a usage error if nothing is selected, unless a command takes all then."""
        names = super().process_value(ctx, value) or ()
        every, *others = (ctx.meta.get(_SELECTION + each) for each in SELECTING)
        asked = TableSelection(tuple(names), bool(every), *(tuple(each or ()) for each in others))
        if not asked.is_given and self.needed:
            raise click.MissingParameter("Name tables, or give --all, --match, --tag or --group.", ctx, self)
        asked.check()
        return asked

    needed = False


class FilterOption(click.Option):
    """An option that selects.

    It is refused if given twice: the first value would be dropped, and more would be selected than intended.
    """


class Verb(click.Command):
    """One command. Its usage line names arguments as manuals do: `TABLE`, and `[TABLE]` if it is optional."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the parameters' values into the context. Raises a usage error if a filter is given twice."""
        if any(isinstance(each, FilterOption) for each in self.params):
            given = [each for each in self.make_parser(ctx).parse_args(list(args))[2] if isinstance(each, FilterOption)]
            twice = next((each for each in given if given.count(each) > 1), None)
            if twice is not None:
                raise click.UsageError(f"{twice.opts[0]} is given twice: it takes one value", ctx)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Returns the parts of the usage line."""
        return ["[OPTIONS]", *(each.metavar or "" for each in self.params if isinstance(each, Place))]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the arguments, then the options."""
        arguments = [each.get_help_record(ctx) for each in self.params if isinstance(each, Place)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        records = (each.get_help_record(ctx) for each in self.get_params(ctx) if not isinstance(each, Place))
        with formatter.section("Options"):
            formatter.write_dl([each for each in records if each is not None])


class MomentText(click.ParamType[Any]):
    """The text of a moment. A time without an offset is read in the zone of `--tz`, if that is given."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 - click's own signature
        """Returns the same text, with its zone."""
        zone = None if ctx is None else ctx.meta.get(_ZONE)
        return value if zone is None else moment_arguments.with_zone(str(value), zone)


class KeyText(click.ParamType[Any]):
    """The text of a key, or with `--key-from-item` the text of an item that holds it."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 - click's own signature
        """Returns the text, marked if it is an item's."""
        return ItemText(value) if ctx is not None and ctx.meta.get(_FROM_ITEM) else value


def _note(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keeps the value of an eager option for the options that are read after it."""

    def noted(context: click.Context, _param: click.Parameter, value: Any) -> None:
        context.meta[name] = value

    return noted


def _companions(params: Sequence[click.Parameter]) -> list[click.Parameter]:
    """Returns the options that a command has because it takes moments or keys."""
    kinds = {type(kind) for each in params for kind in (getattr(each.type, "types", None) or [each.type])}
    zone = click.Option(
        ["--tz"],
        metavar="ZONE",
        is_eager=True,
        expose_value=False,
        callback=_note(_ZONE),
        help="The zone of times without an offset: Europe/Berlin, UTC.",
    )
    item = click.Option(
        ["--key-from-item"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note(_FROM_ITEM),
        help="A key may be a whole item: its other attributes are ignored.",
    )
    selecting = [_selecting(name) for name in SELECTING] if any(isinstance(each, TablesPlace) for each in params) else []
    return [*selecting, *([item] if KeyText in kinds else []), *([zone] if MomentText in kinds else [])]


# The options of a command that takes several tables, in the order of `TableSelection`.
SELECTING = {
    "all": (None, "All tables of the vault."),
    "match": ("GLOB", "Tables whose names match, e.g. 'shop-*'; repeatable."),
    "tag": ("KEY=VALUE", "Tables with this tag; repeated: with all of them."),
    "group": ("NAME[@MOMENT]", "The tables of a group, as it is or was; repeatable."),
}


def _selecting(name: str) -> click.Option:
    metavar, about = SELECTING[name]
    kind: dict[str, Any] = {"is_flag": True} if metavar is None else {"metavar": metavar, "multiple": True}
    noted = _note(_SELECTION + name)
    return click.Option([f"--{name}"], is_eager=True, expose_value=False, callback=noted, help=about, **kind)


class OneOf(click.Choice[str]):
    """One of an enumeration, by its value."""

    def __init__(self, kind: type[Enum]) -> None:
        super().__init__([each.value for each in kind])
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the member of the enumeration."""
        return self._kind(super().convert(value, param, ctx))


def command_of(name: str, function: Callable[..., Any]) -> Verb:
    """Returns the command that calls a function. The first paragraph of its docstring is its help."""
    annotations = get_type_hints(function, include_extras=True)
    params = [_param(each, annotations[each.name]) for each in inspect.signature(function).parameters.values()]
    params += _companions(params)
    return Verb(name, params=params, callback=function, help=inspect.getdoc(function), context_settings=HELP)


HELP = {"help_option_names": ["-h", "--help"]}
TEXTS: dict[str, click.ParamType[Any]] = {"MOMENT": MomentText(), "KEY": KeyText()}  # by what the help calls them


def _param(parameter: inspect.Parameter, annotation: Any) -> click.Parameter:
    kind, declared = get_args(annotation)[:2]
    if kind is TableSelection:
        tables = TablesPlace(parameter.name, declared.help, metavar=declared.metavar, nargs=-1, required=False)
        tables.needed = parameter.default is inspect.Parameter.empty
        return tables
    word = (declared.metavar or "").split(" ")[0].strip("[]")
    settings = _typed(_without_none(kind), declared.min, TEXTS.get(word, click.STRING))
    missing = parameter.default is inspect.Parameter.empty
    if missing:
        settings["required"] = True
    elif not (several := settings.get("multiple") or settings.get("nargs") == -1):
        settings["default"] = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    if not missing and several:
        settings["callback"] = partial(_or_default, parameter.default)
    if isinstance(declared, Argument):
        multiple = settings.pop("multiple", False)
        nargs = {"nargs": -1} if multiple else {}
        return Place(parameter.name, declared.help, metavar=declared.metavar, **{"required": False, **settings, **nargs})
    if declared.alone is not None:
        settings |= {"is_flag": False, "flag_value": declared.alone}
    names = declared.names or (f"--{parameter.name.strip('_').replace('_', '-')}",)
    return (FilterOption if declared.once else click.Option)(
        [parameter.name, *names],
        help=declared.help,
        metavar=declared.metavar,
        show_default=declared.show_default and kind is not bool,
        **settings,
    )


def _without_none(kind: Any) -> Any:
    """Returns the type of a given value: `str` for `str | None`."""
    if NoneType not in get_args(kind):
        return kind
    return next(each for each in get_args(kind) if each is not NoneType)


def _typed(kind: Any, least: float | None, text: click.ParamType[Any]) -> dict[str, Any]:
    """Returns click's settings for a value of this type. `text`: the type for text."""
    if get_origin(kind) is list:
        return {"multiple": True, **_typed(get_args(kind)[0], least, text)}
    if get_origin(kind) is tuple:
        return {"nargs": len(get_args(kind)), "type": tuple(_typed(each, least, text)["type"] for each in get_args(kind))}
    if kind is bool:
        return {"is_flag": True}
    if kind is Path:
        return {"type": click.Path(path_type=Path)}
    if issubclass(kind, Enum):
        return {"type": OneOf(kind)}
    if least is not None:
        return {"type": click.IntRange(min=int(least)) if kind is int else click.FloatRange(min=least)}
    return {"type": {str: text, int: click.INT, float: click.FLOAT}[kind]}


def _or_default(default: Any, _context: click.Context, _param: click.Parameter, given: Sequence[Any]) -> Any:
    """Returns a repeatable option's values as a list; the function's own default if none was given."""
    return list(given) if given else default
