"""Every setting of the index: its name, type, unit and default, in one place.

A setting is called ``section.key``.  It comes, in this order, from the command line, the
environment (``PYRAMID_PYPI_SECTION_KEY``, or ``…_FILE`` naming a file that holds it),
the INI file, or its default here.  Unknown names are refused, with the nearest known.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pyramid_pypi.errors import SettingsInvalid
from pyramid_pypi.settings.table import ABOUT, Settings

__all__ = ["ABOUT", "CONFIG", "PREFIX", "Settings", "load", "variable"]

PREFIX = "PYRAMID_PYPI_"
CONFIG = PREFIX + "CONFIG"  # names the INI file itself
_OF_TESTS = PREFIX + "TEST_"

# Keys that stand in an INI file's [app:…] section for Pyramid and its add-ons.
_FOREIGN = ("pyramid.", "debugtoolbar.")
_FOREIGN_EXACT = frozenset({"here", "__file__", "use"})


def load(
    ini: Mapping[str, str],
    environ: Mapping[str, str],
    command_line: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings, `command_line` before `environ` before `ini` before defaults.

    Args:
        ini: the ``[app:main]`` section; keys of Pyramid and its add-ons are passed over.
        environ: the process environment, of which only ``PYRAMID_PYPI_*`` is looked at.
        command_line: ``section.key`` names given as options.

    Raises:
        SettingsInvalid: a name is unknown or a value cannot be read; both are named.
    """
    texts = _from_ini(ini) | _from_environ(environ) | _from_ini(command_line or {})
    values = {ABOUT[name].name: _read(name, text) for name, text in texts.items()}
    return Settings(**values)


def _from_ini(ini: Mapping[str, str]) -> dict[str, str]:
    taken = {}
    for name, text in ini.items():
        if name in _FOREIGN_EXACT or name.startswith(_FOREIGN):
            continue
        if name not in ABOUT:
            raise SettingsInvalid(f"unknown setting {name!r}{_nearest(name, ABOUT)}")
        taken[name] = text
    return taken


def variable(name: str) -> str:
    """Return the environment variable that gives the setting `name`."""
    return PREFIX + name.upper().replace(".", "_")


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    by_variable = {variable(name): name for name in ABOUT}
    taken = {}
    for variable_name, text in environ.items():
        if not variable_name.startswith(PREFIX):
            continue
        plain = variable_name.removesuffix("_FILE")
        if variable_name in by_variable:
            taken[by_variable[variable_name]] = text
        elif plain in by_variable and plain != variable_name:
            taken[by_variable[plain]] = _secret_from(variable_name, Path(text))
        elif variable_name != CONFIG and not variable_name.startswith(_OF_TESTS):
            hint = _nearest(variable_name, by_variable)
            raise SettingsInvalid(f"unknown environment variable {variable_name}{hint}")
    return taken


def _secret_from(variable_name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{variable_name}: cannot read {path}: {error}") from error


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _read(name: str, text: str) -> Any:
    about = ABOUT[name].metadata
    shown = name if about["secret"] else f"{name} = {text!r}"
    try:
        value = about["read"](text)
    except ValueError as error:
        raise SettingsInvalid(f"{shown}: {error}") from error
    if about["least"] is not None and value < about["least"]:
        raise SettingsInvalid(f"{shown}: the least is {about['least']}")
    if about["choices"] and value not in about["choices"]:
        raise SettingsInvalid(f"{shown}: choose one of {', '.join(about['choices'])}")
    return value
