"""How much an unknown sender can make the server keep."""

from __future__ import annotations

import configparser
import socket
from pathlib import Path

import pyramid_pypi
from pyramid_pypi.cli import serving
from pyramid_pypi.settings import Settings
from pyramid_pypi.upload.values import MIB, most_form_bytes

TOP = Path(pyramid_pypi.__file__).parent.parent


def test_waitress_takes_no_more_than_the_largest_upload() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = Settings(upload_max_file_bytes=5 * MIB, server_connections=100)
        server = serving._waitress(lambda *_: [], settings, listener)
        try:
            assert server.adj.max_request_body_size == most_form_bytes(5 * MIB) == 22 * MIB
        finally:
            server.close()


def test_so_does_the_production_file() -> None:
    described = configparser.ConfigParser(interpolation=None)
    described.read(TOP / "production.ini")
    bound = int(described["server:main"]["max_request_body_size"])
    nginx = (TOP / "docs/operators.md").read_text().partition("client_max_body_size ")[2]

    assert bound == most_form_bytes(Settings().upload_max_file_bytes)
    assert int(nginx.partition("m;")[0]) * MIB == bound
