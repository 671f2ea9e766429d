"""``pyramid-pypi config``: which settings hold, and whether they can be used."""

from __future__ import annotations

from typing import Any

import click

from pyramid_pypi.cli.invocation import FINDINGS, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.errors import SettingsInvalid
from pyramid_pypi.settings import ABOUT, Settings

_MASK = "(set, not shown)"


@click.group()
def config() -> None:
    """Show or check the settings."""


@config.command()
@shared_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """Print every setting and the value that holds; secrets are masked."""
    invocation.show(values(invocation.settings()))


@config.command()
@shared_options
@pass_invocation
def check(invocation: Invocation) -> None:
    """Tell whether the settings can be used; exit status 3 if not."""
    try:
        invocation.settings()
    except SettingsInvalid as refusal:
        invocation.show({"usable": False, "code": refusal.code, "detail": refusal.detail})
        raise click.exceptions.Exit(FINDINGS) from refusal
    invocation.show({"usable": True})


def values(settings: Settings) -> dict[str, Any]:
    """Return all settings by ``section.key`` name, secrets masked, as JSON values."""
    shown = {}
    for name, about in ABOUT.items():
        value = getattr(settings, about.name)
        if about.metadata["secret"] and value:
            value = _MASK
        shown[name] = value if isinstance(value, bool | int | tuple) else str(value)
    return shown
