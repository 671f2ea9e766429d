"""The WSGI application."""

from __future__ import annotations

import atexit
import os
from threading import Semaphore
from typing import Any

from pyramid.config import Configurator

from pyramid_pypi import bootstrap, environment, settings
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.web import views
from pyramid_pypi.web.documents import Documents
from pyramid_pypi.web.recent import Recent
from pyramid_pypi.web.request import Request
from pyramid_pypi.web.resources import Root
from pyramid_pypi.web.security import SecurityPolicy
from pyramid_pypi.web.transactions import Writer

# Paths and queries are checked.  Forms are read by `web.multipart` alone, which copes, and
# Locations are quoted where they are made: two tweens less for every page.
_SANITY = {
    "pyramid_sanity.check_form": False,
    "pyramid_sanity.ascii_safe_redirects": False,
}
_RECENT_BYTES = 32 * 1024 * 1024


def main(global_config: dict[str, str], **ini: str) -> Any:
    """Return the application that an INI file describes, its index started (`pserve`)."""
    chosen = environment.with_address(settings.load(ini, os.environ))
    index = bootstrap.start(environment.build(chosen))
    atexit.register(index.stop)
    return make_app(index.environment, index.publisher)


def make_app(services: Environment, publisher: Publisher) -> Any:
    """Return the WSGI application over `services` and their tree's `publisher`."""
    return configured(services, publisher).make_wsgi_app()


def configured(services: Environment, publisher: Publisher) -> Configurator:
    """Return Pyramid's configuration of the application, for tests to look into."""
    root = Root()
    config = Configurator(
        root_factory=lambda _request: root,
        request_factory=Request,
        security_policy=SecurityPolicy(),
        settings=_SANITY,
    )
    _equip(config.registry, services, publisher)
    config.include("pyramid_sanity")
    config.add_tween("pyramid_pypi.web.front.front_tween_factory")
    config.scan(views)
    config.commit()
    config.registry.methods = _methods(config)
    return config


def _equip(registry: Any, services: Environment, publisher: Publisher) -> None:
    """Put beside the views what is made once and used by every request."""
    chosen = services.settings
    recent = Recent(_RECENT_BYTES)
    tree_root = f"{chosen.tree_dir}/"
    registry.environment = services
    registry.publisher = publisher
    registry.site = publisher.site
    registry.writer = Writer(services, publisher)
    registry.recent = recent
    registry.tree_root = tree_root
    registry.documents = Documents(tree_root, recent, max_age_s=chosen.simple_max_age_s)
    # The other half of the threads is for those who do not wait.
    registry.seats = Semaphore(chosen.server_threads // 2)
    by_nginx = chosen.files_offload == "x-accel"
    registry.accel_prefix = chosen.files_accel_prefix if by_nginx else None


def _methods(config: Configurator) -> dict[type, list[str]]:
    """Return the methods each resource has views for, for the answer 405."""
    methods: dict[type, list[str]] = {}
    for view in config.introspector.get_category("views"):
        told = view["introspectable"]
        if told["request_methods"]:
            methods.setdefault(told["context"], []).append(told["request_methods"])
    return methods
