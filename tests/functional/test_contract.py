"""The contract, the site map and the views say the same; and hold under odd questions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import checks
from webtest import TestApp

import pyramid_pypi
from pyramid_pypi import bootstrap, environment
from pyramid_pypi.accounts.permissions import Permission
from pyramid_pypi.app import configured, make_app
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.settings import Settings
from pyramid_pypi.web.places import every_address
from pyramid_pypi.web.resources import Root
from pyramid_pypi.web.security import READ
from tests.functional.conftest import Client

CONTRACT = json.loads((Path(pyramid_pypi.__file__).parent / "openapi.json").read_text())
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
SAMPLES = {
    "name": "demo",
    "version": "1.0",
    "filename": "demo-1.0.tar.gz",
    "user": "alice",
    "code": "file.exists",
    "aa": "aa",
    "bb": "bb",
    "rest": "c" * 60,
    "list": "index.json",
    "document": "index.json",
    "shadow": "d" * 64 + ".json",
    "pointer": "repomd.xml",
    "record": "repomd.json",
    "tree": "t",
    "node": "1f.json",
    "segment": "1-2.jsonl.gz",
    "role": "timestamp.json",
}
OPERATIONS = sorted(
    (path, method) for path, item in CONTRACT["paths"].items() for method in METHODS & set(item)
)
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def views(services: Environment, publisher: Publisher) -> list[dict[str, Any]]:
    """Every view that is not one of errors, with its permission."""
    found = []
    for view in configured(services, publisher).introspector.get_category("views"):
        told = dict(view["introspectable"])
        if told["request_methods"] is not None:
            permissions = [
                r["value"] for r in view["related"] if r.category_name == "permissions"
            ]
            found.append(told | {"permission": permissions[0] if permissions else None})
    return found


@sqlite
def test_contract_and_views_agree(views: list[dict[str, Any]]) -> None:
    served = {
        (place.path, view["request_methods"].lower())
        for view in views
        for place in every_address()
        if issubclass(place, view["context"])
    }

    assert served == set(OPERATIONS)


def test_contract_and_site_map_agree() -> None:
    assert {place.path for place in every_address()} == set(CONTRACT["paths"])
    for path in CONTRACT["paths"]:
        place: Any = Root()
        for segment in path.strip("/").split("/") if path != "/" else []:
            place = place[re.sub(r"{(\w+)}", lambda m: SAMPLES[m[1]], segment)]
        assert type(place).path == path


@sqlite
def test_every_view_has_a_permission_and_writes_have_a_writing_one(
    views: list[dict[str, Any]],
) -> None:
    for view in views:
        if view["request_methods"] == "GET":
            assert view["permission"] == READ
        else:
            assert view["permission"] in set(Permission)


def test_operations_have_names_of_their_own() -> None:
    names = [CONTRACT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An index of its own, with one project in it, for all the questions."""
    folder = tmp_path_factory.mktemp("contract")
    services = environment.build(Settings(data_dir=folder, site_public_url="http://localhost"))
    bootstrap.prepare(services)
    publisher = bootstrap.open_publisher(services)
    publisher.begin()
    app = TestApp(make_app(services, publisher), extra_environ={"HTTP_HOST": "localhost"})
    client = Client(app, (folder / "admin.token").read_text().strip())
    client.upload()
    yield client
    services.database.dispose()


@pytest.fixture(scope="module")
def contract(index: Client) -> Any:
    return schemathesis.openapi.from_wsgi("/openapi.json", index.app.app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_odd_questions(index: Client, contract: Any, path: str, method: str) -> None:
    """Nothing fails, and whatever is answered is what the contract promised."""

    @settings(max_examples=8, deadline=None, database=None, derandomize=True)
    @given(case=contract[path][method].as_strategy())
    def ask(case: Any) -> None:
        if "wait" in (case.query or {}):
            case.query["wait"] = 0
        for headers in ({}, index.signed()):
            # Without a socket between, Schemathesis reads bodies as they come.
            plain = {"Accept-Encoding": "identity"}
            case.call_and_validate(headers=headers | plain, checks=CHECKS)

    ask()
