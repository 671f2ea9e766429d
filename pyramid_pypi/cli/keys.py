"""``pyramid-pypi keys``: the keys that sign the repository metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyramid_pypi.cli.invocation import FINDINGS, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.publishing import standing
from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring
from pyramid_pypi.publishing.signing import Signer
from pyramid_pypi.publishing.turns import Turn

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_several_offline_dirs = click.option(
    "--offline-dir",
    "offline_dirs",
    type=_FOLDER,
    multiple=True,
    help="Folder with offline keys, if not DIR/keys/offline; may be repeated.",
)


@dataclass(frozen=True, slots=True)
class _Table:
    """What a ceremony works with, while nobody publishes."""

    signer: Signer
    ceremony: Ceremony
    keyring: Keyring


@click.group()
def keys() -> None:
    """Make, change and look at the keys that sign the metadata."""


@keys.command()
@click.option("--offline-dir", type=_FOLDER, help="Where to put the offline keys.")
@shared_options
@pass_invocation
def init(invocation: Invocation, offline_dir: Path | None) -> None:
    """Make the keys of a new index; what is there already stays as it is."""
    with _ceremony(invocation, (offline_dir,) if offline_dir else ()) as table:
        table.signer.prepare()
    _show(invocation, table.keyring)


@keys.command()
@click.argument("role", type=click.Choice(["online", "targets", "root"]))
@_several_offline_dirs
@shared_options
@pass_invocation
def rotate(invocation: Invocation, role: str, offline_dirs: tuple[Path, ...]) -> None:
    """Replace the keys of a role, and remove the old ones within reach.

    `online` takes the offline keys of root and targets, the others those of root.  A
    running server goes on with the new keys by itself.
    """
    invocation.confirm(f"Replace the {role} keys for good?")
    with _ceremony(invocation, offline_dirs) as table:
        changes: dict[str, Callable[[], None]] = {
            "online": lambda: table.ceremony.rotate_online(table.signer.sign_again),
            "targets": table.ceremony.rotate_targets,
            "root": table.ceremony.rotate_root,
        }
        changes[role]()
        table.signer.sign_again()
        for path in table.ceremony.tidy():
            invocation.say(f"Removed {path}.")
    _show(invocation, table.keyring)


@keys.command()
@_several_offline_dirs
@shared_options
@pass_invocation
def sign(invocation: Invocation, offline_dirs: tuple[Path, ...]) -> None:
    """Sign root and targets for another year, whichever's keys are here."""
    with _ceremony(invocation, offline_dirs) as table:
        signed = table.ceremony.prolong()
        table.signer.sign_again()
    invocation.say(f"Signed for another year: {' and '.join(signed)}.")
    _show(invocation, table.keyring)


@keys.command()
@_several_offline_dirs
@shared_options
@pass_invocation
def status(invocation: Invocation, offline_dirs: tuple[Path, ...]) -> None:
    """Tell where each key lies and until when it has signed.

    Ends with status 3 when something must be done: within 30 days root or targets expire,
    or the online key is missing, or nobody signs.
    """
    keyring = Keyring(invocation.settings().keys_dir, offline_dirs)
    if _show(invocation, keyring):
        raise click.exceptions.Exit(FINDINGS)


@contextmanager
def _ceremony(invocation: Invocation, offline: tuple[Path, ...]) -> Iterator[_Table]:
    """Give what a ceremony works with, while nobody else shows a pointer."""
    environment = invocation.environment(in_use=False)
    settings = environment.settings
    environment.blobs.prepare()
    keyring = Keyring(settings.keys_dir, offline)
    keyring.refuse_within(environment.tree.root)
    signer = Signer(
        environment.tree,
        settings.keys_dir,
        environment.clock,
        timestamp_expiry_s=settings.signing_timestamp_expiry_s,
        offline=offline,
    )
    with Turn(settings.data_dir / "repository.lock").taken():
        yield _Table(signer, Ceremony(keyring, environment.clock), keyring)


def _show(invocation: Invocation, keyring: Keyring) -> bool:
    """Print how the keys stand; return whether something must be done about them."""
    environment = invocation.environment(in_use=False)
    found = standing.look(environment.tree, keyring, environment.clock())
    rows: list[dict[str, Any]] = [
        {
            "role": key.role,
            "key": key.key_id,
            "secret": key.secret,
            "signed_until": key.signed_until and f"{key.signed_until:%Y-%m-%dT%H:%M:%SZ}",
            "renewed_by": key.renewed_by,
        }
        for key in found.keys
    ]
    invocation.show(rows)
    for sentence in (*found.due, *found.advice):
        invocation.say(f"{sentence[0].upper()}{sentence[1:]}.".replace("?.", "?"))
    return bool(found.due)
