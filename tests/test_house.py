"""The plan of the house, held against its code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

import pyramid_pypi

HOUSE = Path(pyramid_pypi.__file__).parent
FLOORS = (
    "errors",
    "values settings",
    "formats models storage fetching",
    "accounts jobs environment migrations",
    "changes notices following",
    "catalog mirrors",
    "hosting publishing",
    "upload worker bootstrap",
    "web",
    "app",
    "cli",  # above `app`, since `serve` builds it
)
FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor.split()}
ONLY = {
    "pyramid": {"web", "app"},
    "pyramid_sanity": {"web", "app"},
    "webob": {"web", "app"},
    "lxml": {"formats"},
    "requests": {"fetching"},
    "transaction": {"web", "cli"},
    "zope": {"web", "cli"},
    "waitress": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "alembic": {"migrations"},
    "tuf": {"publishing", "following"},
    "securesystemslib": {"publishing", "following"},
    "cryptography": {"publishing"},
    "pysequoia": {"publishing", "following"},
}
# A face may stand on the application, but not reach into another face.
NEVER = {("cli", "web")}
BANNED = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|data|info|handle)(_|$)")
MOST_MODULE_LINES = 300
MOST_FUNCTION_LINES = 60
MODULES = sorted(
    module
    for module in HOUSE.rglob("*.py")
    if "versions" not in module.relative_to(HOUSE).parts
)

every_module = pytest.mark.parametrize(
    "module", MODULES, ids=lambda module: str(module.relative_to(HOUSE))
)


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def room_of(module: Path) -> str:
    return module.relative_to(HOUSE).with_suffix("").parts[0]


def dotted(module: Path) -> str:
    parts = ("pyramid_pypi", *module.relative_to(HOUSE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: Path) -> Iterator[str]:
    """Every imported name, those in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, line {node.lineno}"
            # `from package import module` names the module itself.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@every_module
def test_a_room_imports_only_from_lower_floors(module: Path) -> None:
    here = room_of(module)
    if here == "__init__":
        assert not list(imports(module))
        return
    for name in imports(module):
        top, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if top == "pyramid_pypi" and there != here:
            assert FLOOR[there] < FLOOR[here], f"{here} may not import {name}"
            assert (here, there) not in NEVER, f"{here} may not import {name}"
        assert here in ONLY.get(top, {here}), f"{here} may not import {name}"


def test_there_is_no_circle() -> None:
    known = {dotted(module) for module in MODULES}
    arrows = {dotted(m): {t for n in imports(m) if (t := target(n, known))} for m in MODULES}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for there in sorted(arrows[name] - {name}):
                walk(there, (*way, name))
            done.add(name)

    for name in sorted(known):
        walk(name, ())


def target(name: str, known: set[str]) -> str | None:
    """The module that an imported name lives in, if it is ours."""
    if name in known:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in known else None


@every_module
def test_sizes_and_names(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= MOST_MODULE_LINES, f"{lines} lines"
    for part in module.relative_to(HOUSE).with_suffix("").parts:
        assert not BANNED.search(part), f"{part} says nothing about what is inside"
    assert not re.search(r"\b(TODO|FIXME)\b", text)
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            long = node.end_lineno - node.lineno + 1
            assert long <= MOST_FUNCTION_LINES, f"{node.name} has {long} lines"


@every_module
def test_what_is_public_says_what_it_is(module: Path) -> None:
    tree = tree_of(module)
    assert ast.get_docstring(tree), "the module has no docstring"
    for name, node in public_definitions(tree):
        assert ast.get_docstring(node), f"{name} has no docstring"


def public_definitions(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


@every_module
def test_annotations_are_not_evaluated(module: Path) -> None:
    tree = tree_of(module)
    if len(tree.body) > 1:
        froms = [
            n for n in takewhile(starts_module, tree.body) if isinstance(n, ast.ImportFrom)
        ]
        assert any(node.module == "__future__" for node in froms)


def starts_module(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr | ast.ImportFrom | ast.Import)


def test_the_test_itself_can_fail(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text(
        "def f():\n    import lxml.etree\n    from pyramid_pypi.web import security\n"
    )
    assert list(imports(hidden)) == ["lxml.etree", "pyramid_pypi.web.security"]
    assert FLOOR["web"] > FLOOR["formats"]
    assert BANNED.search("string_utils")
    assert not BANNED.search("database")


def test_nothing_names_a_machine() -> None:
    top = HOUSE.parent
    paths = [
        p
        for p in top.rglob("*")
        if p.suffix in {".py", ".md", ".ini", ".cfg", ".toml", ".jinja2"}
    ]
    private = re.compile(r"(?<![\w.])/(work|root)/")
    for path in paths:
        if path.relative_to(top).parts[0].startswith((".venv", ".cache", "data", "build")):
            continue
        assert not private.search(path.read_text(encoding="utf-8")), path
