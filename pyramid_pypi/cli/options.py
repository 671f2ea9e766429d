"""The options that every verb of the command line takes, before or after its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pyramid_pypi.cli.invocation import Invocation

Function = TypeVar("Function", bound=Callable[..., Any])

pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def shared_options(function: Function) -> Function:
    """Give a group or a verb the options that all of them take, in either place."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def _noting(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(Invocation), attribute, value)

    return note


def _note_data(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Invocation).overrides["data.dir"] = value


def _note_set(
    context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> None:
    for assignment in value:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"{assignment!r}: write SECTION.KEY=VALUE")
        context.ensure_object(Invocation).overrides[name.strip()] = text


_OPTIONS = (
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="PYRAMID_PYPI_CONFIG",
        expose_value=False,
        callback=_noting("config"),
        help="INI file with the settings.",
    ),
    click.option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=_note_set,
        help="One setting; may be repeated.",
    ),
    click.option(
        "--data",
        metavar="DIR",
        expose_value=False,
        callback=_note_data,
        help="Data folder; short for --set data.dir=DIR.",
    ),
    click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_noting("as_json"),
        help="Print data as JSON.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_noting("quiet"),
        help="Say nothing but data and errors.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_noting("verbose"),
        help="Say more.",
    ),
    click.option(
        "-y",
        "--yes",
        is_flag=True,
        expose_value=False,
        callback=_noting("yes"),
        help="Do not ask before acting.",
    ),
)
