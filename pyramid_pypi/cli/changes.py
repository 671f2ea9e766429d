"""``pyramid-pypi changes``: what the feed of a published tree tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.following.changed_paths import ChangedPaths, serial_of
from pyramid_pypi.following.sources import FolderSource, HttpSource, Source

_SERIAL = re.compile("[0-9]{1,16}")


@click.group()
def changes() -> None:
    """Tell what changed in a published tree."""


@changes.command()
@click.argument("source", metavar="DIR|URL")
@click.option(
    "--since",
    metavar="SERIAL|DIR",
    required=True,
    help="The serial that the copy shows, or the copy itself.",
)
@click.option(
    "--pointers",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the pointers that the copy will show; they are not told again.",
)
@click.option("--deleted", is_flag=True, help="What is gone, in place of what is there.")
@shared_options
@pass_invocation
def paths(
    invocation: Invocation, source: str, since: str, pointers: Path | None, deleted: bool
) -> None:
    """Print the paths of everything that changed, for `rsync --files-from`.

    SOURCE is a folder, or the address of an index or a mirror.  Needs no database.
    """
    is_serial = _SERIAL.fullmatch(since) is not None
    changed = ChangedPaths(
        _opened(source),
        int(since) if is_serial else serial_of(FolderSource(Path(since))),
        FolderSource(pointers) if pointers else None,
    )
    found = _each_once(changed.gone() if deleted else changed.present())
    if invocation.as_json:
        invocation.show({"serial": changed.serial, "paths": list(found)})
        return
    for path in found:
        click.echo(path)


def _opened(source: str) -> Source:
    is_address = source.startswith(("http://", "https://"))
    return HttpSource(source) if is_address else FolderSource(Path(source))


def _each_once(paths: Iterator[str]) -> Iterator[str]:
    return iter(dict.fromkeys(paths))
