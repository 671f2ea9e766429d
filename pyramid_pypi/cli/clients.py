"""``pyramid-pypi client``: what pip, uv and twine must know to use this index."""

from __future__ import annotations

import click

from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options

_LOCAL = "http://127.0.0.1:6543"
_FILES = {
    "pip": "pip.conf, such as ~/.config/pip/pip.conf",
    "uv": "uv.toml, such as ~/.config/uv/uv.toml; upload by: uv publish --index here",
    "twine": "~/.pypirc; upload by: twine upload -r here dist/*",
}


@click.group()
def client() -> None:
    """Print the settings of pip, uv and twine for this index."""


@client.command()
@click.option("--pip", is_flag=True, help="For pip.conf.")
@click.option("--uv", is_flag=True, help="For uv.toml.")
@click.option("--twine", is_flag=True, help="For ~/.pypirc.")
@shared_options
@pass_invocation
def setup(invocation: Invocation, pip: bool, uv: bool, twine: bool) -> None:
    """Print configuration for the tools named, or for all of them.

    Nothing is written to disk.  A second index beside this one is never advised: an
    installer that asks two takes a stranger's package when its version is higher.
    """
    base = (invocation.settings().site_public_url or _LOCAL).rstrip("/")
    texts = {
        "pip": f"[global]\nindex-url = {base}/simple/\n",
        "uv": f'[[index]]\nname = "here"\nurl = "{base}/simple/"\n'
        f'publish-url = "{base}/legacy/"\ndefault = true\n',
        "twine": f"[distutils]\nindex-servers = here\n\n[here]\n"
        f"repository = {base}/legacy/\nusername = __token__\n",
    }
    asked = [tool for tool, wanted in (("pip", pip), ("uv", uv), ("twine", twine)) if wanted]
    chosen = {tool: texts[tool] for tool in asked or texts}
    if invocation.as_json:
        invocation.show(chosen)
        return
    for tool, text in chosen.items():
        click.echo(f"# {_FILES[tool]}\n{text}")
