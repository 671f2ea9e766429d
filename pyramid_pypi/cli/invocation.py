"""What every verb of the command line shares: its options, its settings, its voice.

Data goes to standard output, as a table for people or as JSON for scripts; everything
said about the work goes to standard error.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from configparser import ConfigParser, Error, NoSectionError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyramid_pypi.errors import NotPrepared, SettingsInvalid
from pyramid_pypi.settings import Settings, load

if TYPE_CHECKING:
    from pyramid_pypi.environment import Environment

FAILURE = 1
FINDINGS = 3
_SECTION = "app:main"
# Controls but the newline, marks of direction, what has no width, halves of characters.
_UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_UNLIMITED_WIDTH = 10_000  # columns; a pipe has no edge to wrap at


@dataclass(slots=True)
class Invocation:
    """The shared options of one call, filled in while click reads them."""

    config: Path | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    yes: bool = False

    def settings(self) -> Settings:
        """Return the settings: options before environment before INI before defaults.

        Raises:
            SettingsInvalid: see `settings.load`; or the INI file cannot be read.
        """
        return load(read_ini(self.config), os.environ, self.overrides)

    def environment(self, *, in_use: bool = True) -> Environment:
        """Return the services that these settings describe.

        Raises:
            NotPrepared: the index is to be `in_use` already, and has no database file.
        """
        from pyramid_pypi import environment

        services = environment.build(environment.with_address(self.settings()))
        file = services.database.url.database if services.database.is_sqlite else None
        # SQLite would make an empty file at the first look into a folder that is no index.
        if in_use and file and not Path(file).exists():
            raise NotPrepared(f"there is no database {file}")
        return services

    def say(self, sentence: str) -> None:
        """Tell people on standard error, unless they asked for quiet."""
        if not self.quiet:
            click.echo(printable(sentence), err=True)

    def explain(self, sentence: str) -> None:
        """Tell those who asked to hear more."""
        if self.verbose:
            click.echo(printable(sentence), err=True)

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be taken back; end the program on a no."""
        if not self.yes:
            click.confirm(question, abort=True, err=True)

    def show(self, answer: Mapping[str, Any] | list[dict[str, Any]]) -> None:
        """Print the data a verb was asked for: JSON, or a table, or one line a value."""
        if self.as_json:
            told = json.dumps(answer, indent=2, ensure_ascii=False, default=str)
            click.echo(_UNPRINTABLE.sub(_in_json, told))
        elif isinstance(answer, list):
            _print_table(answer)
        else:
            for name, value in answer.items():
                click.echo(f"{name}: {_text(value)}")


def printable(text: str) -> str:
    """Return `text` with escapes for what would act on a terminal or not show at all.

    The names of files are given by others: an ESC in one could rewrite what is read.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def read_ini(path: Path | None) -> dict[str, str]:
    """Return the ``[app:main]`` section of the INI file at `path`; nothing for None.

    ``%(here)s`` stands for the folder of the file, as under ``pserve``.

    Raises:
        SettingsInvalid: the file cannot be read or has no such section.
    """
    if path is None:
        return {}
    here = {"here": str(path.absolute().parent), "__file__": str(path.absolute())}
    parser = ConfigParser(defaults=here)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
        return dict(parser.items(_SECTION))
    except NoSectionError as error:
        raise SettingsInvalid(f"{path} has no section [{_SECTION}]") from error
    except (OSError, UnicodeDecodeError, Error) as error:
        raise SettingsInvalid(f"cannot read {path}: {error}") from error


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    width = None if sys.stdout.isatty() else _UNLIMITED_WIDTH
    Console(width=width, markup=False, highlight=False).print(table)


def _in_json(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _text(value: Any) -> str:
    return printable(_words(value)).replace("\n", "\\n")


def _words(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(map(str, value)) or "-"
    return str(value)
