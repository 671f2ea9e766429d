from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyramid_pypi import app, environment
from pyramid_pypi.settings import Settings


@pytest.mark.parametrize(
    ("chosen", "noted", "expected"),
    [
        ("https://pypi.example.org", "http://127.0.0.1:8000\n", "https://pypi.example.org"),
        ("", "http://127.0.0.1:8000\n", "http://127.0.0.1:8000"),
        ("", "", "http://127.0.0.1:6543"),
        ("", None, "http://127.0.0.1:6543"),
    ],
)
def test_the_address(tmp_path: Path, chosen: str, noted: str | None, expected: str) -> None:
    if noted is not None:
        (tmp_path / environment.ADDRESS_NAME).write_text(noted)
    settings = Settings(data_dir=tmp_path, site_public_url=chosen)
    assert environment.with_address(settings).site_public_url == expected


def test_pserve_has_an_address_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    application = app.main({}, **{"data.dir": str(tmp_path)})
    for stop in at_exit:
        stop()
    assert application.registry.site.public_url == "http://127.0.0.1:6543"
