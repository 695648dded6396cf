"""Options of a verb, generated from the fields of a configuration dataclass (`config.option`).

A field becomes `--name`, also set by NORA_BENCH_NAME. Its help is the first sentence of the field's docstring, its shown
default the field's, or the `shown` of its metadata. Values stay text; `config.parse` checks them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from ...envs.field_docs import field_docs

PREFIX = "NORA_BENCH_"
Trust = Annotated[
    list[str] | None,
    typer.Option(metavar="MODULE:NAME", envvar="NORA_BENCH_TRUST", help="A suite of the run that may be imported."),
]


def option(name: str, text: str, shown: str = "") -> Any:
    """An option `--name` that can also be set as NORA_BENCH_NAME."""
    variable = PREFIX + name.partition("/")[0].upper().replace("-", "_")
    return typer.Option(f"--{name}", envvar=variable, help=text, show_default=shown or False)


def options_of(config: type) -> list[inspect.Parameter]:
    """One parameter per field of a configuration, None where the option is not given."""
    docs = field_docs(config)
    return [_parameter(field, docs[field.name].partition(". ")[0].rstrip(".") + ".") for field in fields(config)]


def _parameter(field: Field[Any], text: str) -> inspect.Parameter:
    name = field.name.replace("_", "-")
    if isinstance(field.default, bool):
        kind, name = bool | None, f"{name}/--no-{name}"
    else:
        kind = list[str] | None if field.metadata["repeatable"] else str | None
    annotation = Annotated[kind, option(name, text, field.metadata["shown"])]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_options_of(config: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Put the options of a configuration before a verb's own.

    The verb receives as its first argument the mapping field -> text of the options that were given.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(verb, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(verb).parameters.values()][1:]
        generated = options_of(config)

        def command(**values: Any) -> None:
            given = {p.name: values.pop(p.name) for p in generated}
            verb({name: value for name, value in given.items() if value is not None and value != []}, **values)

        command.__name__, command.__doc__ = verb.__name__, verb.__doc__
        command.__annotations__ = {p.name: p.annotation for p in (*generated, *own)}
        setattr(command, "__signature__", inspect.Signature([*generated, *own]))  # noqa: B010  unknown to type checkers
        return command

    return decorate
