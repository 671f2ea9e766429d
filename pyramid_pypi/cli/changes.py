"""``pyramid-pypi changes``: what a copy of a published tree lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.following.changed_paths import ChangedPaths, pointed
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource, HttpSource, Source
from pyramid_pypi.values.instants import system_clock

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def changes() -> None:
    """Tell what changed in a published tree."""


@changes.command()
@click.argument("source", metavar="DIR|URL")
@click.option("--since", type=_FOLDER, required=True, metavar="DIR", help="The copy.")
@click.option(
    "--pointers",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the pointers that the copy will show; they are not told again.",
)
@click.option("--deleted", is_flag=True, help="What is gone, in place of what is there.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The root of the signatures that is trusted.",
)
@click.option(
    "--state",
    type=_FOLDER,
    help="Folder that remembers what was seen; an older tree is refused then.",
)
@click.option("--unsigned", is_flag=True, help="Take a tree without signatures.")
@shared_options
@pass_invocation
def paths(
    invocation: Invocation,
    source: str,
    since: Path,
    pointers: Path | None,
    deleted: bool,
    root: Path | None,
    state: Path | None,
    unsigned: bool,
) -> None:
    """Print the paths of everything a copy lacks, for `rsync --files-from`.

    SOURCE is a folder, or the address of an index or a mirror.  Needs no database.
    """
    tree = _opened(source)
    pointer = pointed(
        tree,
        FolderSource(pointers) if pointers else None,
        Trusting(root.read_bytes() if root else None, state, unsigned),
        system_clock,
    )
    changed = ChangedPaths(tree, FolderSource(since), pointer, tells_pointers=pointers is None)
    # All of them or none: whoever reads a pipe does not see how it ends.
    found = list(_each_once(changed.gone() if deleted else changed.present()))
    if pointer.root in {"met", "none"}:
        invocation.say("Nobody vouches for this tree: give the root you trust by --root.")
    if invocation.as_json:
        invocation.show({"serial": changed.serial, "paths": found})
        return
    for path in found:
        click.echo(path)


def _opened(source: str) -> Source:
    is_address = source.startswith(("http://", "https://"))
    return HttpSource(source) if is_address else FolderSource(Path(source))


def _each_once(paths: Iterator[str]) -> Iterator[str]:
    return iter(dict.fromkeys(paths))
