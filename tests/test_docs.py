"""Documentation names every setting, refusal and verb there is, and none that is not."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pyramid_pypi
from pyramid_pypi import bootstrap, environment
from pyramid_pypi.cli.main import VERBS, main
from pyramid_pypi.errors import Refusal, every_refusal
from pyramid_pypi.publishing.faults import Fault
from pyramid_pypi.settings import ABOUT, Settings

TOP = Path(pyramid_pypi.__file__).parent.parent
OPERATORS = (TOP / "docs" / "operators.md").read_text(encoding="utf-8")
ARCHITECTURE = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
README = (TOP / "README.md").read_text(encoding="utf-8")
PAGES = [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md"))]


def rows(heading: str) -> dict[str, list[str]]:
    """The table under `heading` of operators.md: first cell to the others."""
    section = OPERATORS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if match := re.fullmatch(r"`([^`]+)`", cells[0].strip()):
            found[match[1]] = cells[1:]
    return found


def refusals() -> list[type[Refusal]]:
    for module in pkgutil.walk_packages(pyramid_pypi.__path__, "pyramid_pypi."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    return list(every_refusal())


def test_settings_table() -> None:
    table = rows("Settings")
    assert sorted(table) == sorted(ABOUT)
    for name, about in ABOUT.items():
        default = getattr(Settings(), about.name)
        shown, text = table[name]
        assert text == about.metadata["doc"], name
        assert shown.strip("`") == written(default), name


def written(default: object) -> str:
    """A default as an INI file has it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return " ".join(default) or "(empty)"
    return str(default) or "(empty)"


def test_findings_table() -> None:
    assert sorted(rows("What fsck finds")) == sorted(Fault)


def test_refusals_table() -> None:
    table = rows("Refusals")
    known = {refusal.code: refusal for refusal in refusals()}
    assert sorted(table) == sorted(known)
    for code, refusal in known.items():
        assert table[code] == [refusal.kind.value, refusal.title], code


@pytest.mark.parametrize("refusal", refusals(), ids=lambda refusal: str(refusal.code))
def test_a_refusal_speaks_to_people(refusal: type[Refusal]) -> None:
    assert re.fullmatch(r"[a-z]+(?:\.[a-z-]+)", refusal.code)
    assert refusal.title.isascii()
    assert "\n" not in refusal.title
    assert (refusal.__doc__ or "").strip().endswith(".")


def leaves(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield name
        return
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        assert found is not None
        yield from leaves(found, f"{name} {inner}".strip())


def test_every_verb_is_in_the_readme_and_nothing_else() -> None:
    table = README.split("| verb | does |", 1)[1].split("\n\n", 1)[0]
    named = re.findall(
        r"`([a-z]+(?: [a-z]+)?)`",
        "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `")),
    )
    assert sorted(named) == sorted(leaves(main, ""))


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_says_what_they_say(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    assert (command.help or "").partition("\n\n")[0].replace("\n", " ") == VERBS[verb][1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_production_settings_are_known() -> None:
    for name in ("development.ini", "production.ini"):
        section = (TOP / name).read_text().split("[app:main]")[1].split("\n[")[0]
        for key in re.findall(r"^#?([a-z_.]+) = ", section, re.MULTILINE):
            assert key in {*ABOUT, "use"}, f"{name}: {key}"


def test_the_data_folder_is_described(tmp_path: Path) -> None:
    index = bootstrap.start(environment.build(Settings(data_dir=tmp_path)))
    index.stop()
    with index.environment.blobs.keeping():
        found = {path.name for path in tmp_path.iterdir()}
    section = ARCHITECTURE.split("## The data folder", 1)[1].split("\n## ", 1)[0]
    named = {name.rstrip("/") for name in re.findall(r"`([a-z./]+)`", section)}
    # SQLite's own, beside the database.
    assert {name for name in found if not name.endswith(("-wal", "-shm"))} <= named


def test_every_module_that_the_map_names_is_there() -> None:
    table = ARCHITECTURE.split("## The map", 1)[1].split("\n## ", 1)[0]
    for package, told in re.findall(r"^\| \d+ \| `(\w+)` \| (.*) \|$", table, re.MULTILINE):
        folder = TOP / "pyramid_pypi" / package
        for module in re.findall(r"`(\w+)`", told.split(";")[0]) if folder.is_dir() else ():
            there = folder / module
            assert there.is_dir() or there.with_suffix(".py").exists(), f"{package}/{module}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_files_named_in_prose_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|tests|benchmarks)/[\w./-]+)`", text):
        assert (TOP / name).exists(), name
