"""``python -m pyramid_pypi.cli``: the command, where its script is not on the path."""

from __future__ import annotations

from pyramid_pypi.cli.main import main

if __name__ == "__main__":
    main(prog_name="pyramid-pypi")
