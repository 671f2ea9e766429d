"""``pyramid-pypi export``: a copy of the published tree for rsync."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.publishing.export_pointer import ExportIncomplete
from pyramid_pypi.publishing.exporting import Exporter, Run
from pyramid_pypi.values.instants import system_clock

_LEAST_REST_S, _MOST_REST_S = 1.0, 30.0
_LOOKS_A_LAG = 10


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--lag",
    "lag_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    help="How long documents are there before the pointer that names them.",
)
@click.option("--once/--watch", default=True, help="Run once, for cron; or go on for ever.")
@click.option(
    "--keep",
    "keep_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long what is named no more stays; publish.keep_s without it.",
)
@click.option("--copy", is_flag=True, help="Copy the files; without it they are linked.")
@click.option("--full", is_flag=True, help="Look at everything, not only at what changed.")
@shared_options
@pass_invocation
def export(
    invocation: Invocation,
    folder: Path,
    lag_s: float,
    once: bool,
    keep_s: float | None,
    copy: bool,
    full: bool,
) -> None:
    """Copy the published tree for rsync, its pointer lagging.

    DIR becomes a complete copy, by hard links where it is on the same file system.  Needs
    no database.  A run installs the pointer of an earlier run whose time has come, and
    places the documents for the next; it never waits.
    """
    settings = invocation.settings()
    keep_s = settings.publish_keep_s if keep_s is None else keep_s
    if keep_s < lag_s:
        raise click.UsageError("what is named no more must stay for longer than the lag")
    exporter = Exporter(
        settings.tree_dir, folder, system_clock, lag_s=lag_s, keep_s=keep_s, copy=copy
    )
    if once:
        _tell(invocation, exporter.run(full=full))
        return
    rest_s = min(max(lag_s / _LOOKS_A_LAG, _LEAST_REST_S), _MOST_REST_S)
    while True:
        try:
            run = exporter.run(full=full)
            full = False
            if (run.installed, run.placed, run.removed) != (None, None, 0):
                _tell(invocation, run)
        except ExportIncomplete as error:
            invocation.say(f"{error.sentence} [{error.code}]")
        time.sleep(rest_s)


def _tell(invocation: Invocation, run: Run) -> None:
    told = asdict(run)
    told["due_in_s"] = None if run.due_in_s is None else round(run.due_in_s)
    invocation.show(told)
