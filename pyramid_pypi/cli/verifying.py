"""``pyramid-pypi verify``: check a tree, here or elsewhere, by nothing but itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pyramid_pypi.cli.invocation import FINDINGS, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.following.findings import Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.repairing import Repairer
from pyramid_pypi.following.sources import FolderSource, HttpSource, Source
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.values.instants import iso_instant, system_clock
from pyramid_pypi.values.names import normalize

_ROOTS = {
    "given": "The signatures were checked from the root that was given.",
    "known": "The signatures were checked from the root of an earlier run.",
    "met": "The root of the signatures is the tree's own: nobody vouches for it."
    " Get it another way, and give it by --root.",
    "none": "No signature was checked.",
}


@click.command()
@click.argument("source", metavar="DIR|URL")
@click.option("--project", "names", metavar="NAME", multiple=True, help="All of one project.")
@click.option("--all", "everything", is_flag=True, help="Every byte of the tree.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The root of the signatures that is trusted.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that remembers what was seen; an older tree is refused then.",
)
@click.option(
    "--ahead", is_flag=True, help="Documents may be newer than the pointer, as in an export."
)
@click.option("--unsigned", is_flag=True, help="Take a tree without signatures.")
@click.option("--repair-from", metavar="DIR|URL", help="Mend SOURCE, a folder, from this tree.")
@shared_options
@pass_invocation
def verify(
    invocation: Invocation,
    source: str,
    names: tuple[str, ...],
    everything: bool,
    root: Path | None,
    state: Path | None,
    ahead: bool,
    unsigned: bool,
    repair_from: str | None,
) -> None:
    """Check a published tree by its signatures and hashes.

    SOURCE is a folder, or the address of an index or a mirror.  Needs no database and no
    data folder.  Ends with status 3 on findings.
    """
    wanted = Wanted(tuple(map(normalize, names)), everything, ahead=ahead)
    trusting = Trusting(root.read_bytes() if root else None, state, unsigned)
    tree = _opened(source)
    with _progress(invocation) as on_progress:
        if repair_from is None:
            verifier = Verifier(tree, wanted, trusting, system_clock, on_progress=on_progress)
            found = list(verifier.findings())
        else:
            if not isinstance(tree, FolderSource):
                raise click.UsageError("only a folder can be repaired")
            repairer = Repairer(tree, _opened(repair_from), wanted, trusting, system_clock)
            found = list(repairer.findings(on_progress=on_progress))
            verifier = repairer.verifier
    _report(invocation, tree, verifier, found)


def _opened(source: str) -> Source:
    is_address = source.startswith(("http://", "https://"))
    return HttpSource(source) if is_address else FolderSource(Path(source))


def _report(
    invocation: Invocation, tree: Source, verifier: Verifier, found: list[Finding]
) -> None:
    rows = [_row(finding) for finding in found]
    pointer = verifier.pointer
    if invocation.as_json:
        summary: dict[str, Any] = {
            "serial": pointer.repomd.serial if pointer else None,
            "time": iso_instant(pointer.repomd.at) if pointer else None,
            "root": pointer.root if pointer else None,
            "fetches": tree.tally.fetches,
            "bytes": tree.tally.bytes,
            "ahead": sorted(verifier.ahead),
            "findings": rows,
        }
        invocation.show(summary)
    else:
        invocation.show(rows)
    if pointer:
        invocation.say(_ROOTS[pointer.root])
        at = iso_instant(pointer.repomd.at)
        invocation.say(f"The tree shows serial {pointer.repomd.serial} of {at}.")
    if verifier.ahead:
        invocation.say(f"{len(verifier.ahead)} documents are newer than what is signed yet.")
    left = sum(not finding.repaired for finding in found)
    noun = "finding" if len(found) == 1 else "findings"
    invocation.say(f"{len(found)} {noun}, {left} left; {tree.tally.fetches} documents read.")
    if left:
        raise click.exceptions.Exit(FINDINGS)


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "fault": finding.fault.value,
        "path": finding.path,
        "detail": finding.detail,
        "since": iso_instant(finding.since) if finding.since else None,
        "repaired": finding.repaired,
    }


@contextmanager
def _progress(invocation: Invocation) -> Iterator[Callable[[int, int], None]]:
    """Give what is told of progress, and show it where somebody watches."""
    if invocation.quiet or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("projects", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=max(of, done))
