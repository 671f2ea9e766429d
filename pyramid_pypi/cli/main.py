"""The command ``pyramid-pypi``: its verbs, loaded when called, and how it ends.

Exit status: 0 done, 1 failure or refusal, 2 wrong usage, 3 findings (`fsck`, `doctor`,
`config check`, `keys status`, `verify`).
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import click

from pyramid_pypi.cli.invocation import FAILURE, printable
from pyramid_pypi.cli.options import shared_options
from pyramid_pypi.errors import Refusal

# A verb's module is imported when the verb runs: the help of all costs nobody SQLAlchemy.
VERBS = {
    "serve": ("serving:serve", "Serve the index, preparing its data folder first."),
    "init": ("upkeep:init", "Prepare the data folder: schema, first administrator, token."),
    "db": ("upkeep:db", "Upgrade or check the schema of the database."),
    "user": ("people:user", "Add users."),
    "token": ("people:token", "Create, list and revoke API tokens."),
    "project": ("projects:project", "Yank, delete, set status and roles."),
    "import": ("importing:import_group", "Take in many files at once."),
    "keys": ("keys:keys", "Make, change and look at the keys that sign the metadata."),
    "publish": ("upkeep:publish", "Bring the published tree up to date."),
    "fsck": ("upkeep:fsck", "Compare database, release files and published tree."),
    "export": ("exporting:export", "Copy the published tree for rsync, its pointer lagging."),
    "changes": ("changes:changes", "Tell what changed in a published tree."),
    "verify": ("verifying:verify", "Check a published tree by its signatures and hashes."),
    "config": ("configuring:config", "Show or check the settings."),
    "doctor": ("diagnosing:doctor", "Look for what keeps the index from working well."),
    "client": ("clients:client", "Print the settings of pip, uv and twine for this index."),
}


class Verbs(click.Group):
    """The top group: knows its verbs by name, and words each refusal in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb called `cmd_name`, imported now."""
        if cmd_name not in VERBS:
            return None
        # Pyramid 2.1 imports it at run time; its users can do nothing about that.
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"pyramid_pypi.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - tells mypy, and cannot fail
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their summaries, without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a refusal or a failing disk becomes one line and status 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except (Refusal, OSError) as error:
            reason = f"{error.sentence} [{error.code}]" if isinstance(error, Refusal) else error
            click.echo(printable(f"pyramid-pypi: {reason}"), err=True)
            raise click.exceptions.Exit(FAILURE) from error


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pyramid_pypi")
@shared_options
def main() -> None:
    """Run a Python package index whose every public document is a checksummed file."""
