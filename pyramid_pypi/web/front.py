"""The front door: what is refused before any resource is looked for.

One tween above all others.  Everything it does for a good request is a few look-ups; the
rest is for the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pyramid.httpexceptions import HTTPException

from pyramid_pypi.errors import Refusal
from pyramid_pypi.settings import Settings
from pyramid_pypi.web.refusals import HostMalformed, HostUnknown, MethodUnknown, PathMalformed
from pyramid_pypi.web.views import errors

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::[0-9]{1,5})?\Z"
)
# Dot segments, NUL, Pyramid's own "@@" for naming a view, and two slashes: at the start of
# a Location they would begin the name of another host, later on relative links break.
_ODD_PATH = re.compile(r"//|/\.\.?(?:/|\Z)|\x00|/@@")
# Pyramid would let this header move the root of the site.
_VIRTUAL_ROOT = "HTTP_X_VHM_ROOT"
_MOST_REMEMBERED = 256


class Hosts:
    """The host names the index answers to."""

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.site_public_url).hostname
        named = {name.lower() for name in settings.site_hosts}
        self._any = "*" in named
        self._names = _LOOPBACK | named | ({_bracketed(public)} if public else set())
        self._good: set[str | None] = set()

    def check(self, host: str | None) -> None:
        """Return if the `Host` header says a name of ours.

        Raises:
            HostMalformed: it is missing, doubled, or no host name.
            HostUnknown: it is somebody else's.
        """
        if host in self._good:
            return
        # Two Host headers arrive here joined by a comma, which no name has.
        found = _HOST.match(host or "")
        if found is None:
            raise HostMalformed
        name = found["name"].lower().rstrip(".")
        if (
            not self._any
            and name not in self._names
            and (host or "").lower() not in self._names
        ):
            raise HostUnknown
        if len(self._good) < _MOST_REMEMBERED:
            self._good.add(host)


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def front_tween_factory(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Return the tween; Pyramid calls this once."""
    hosts = Hosts(registry.environment.settings)

    def front(request: Any) -> Any:
        try:
            _check(request.environ, hosts)
            response = handler(request)
        except Refusal as refusal:
            return errors.answer(request, refusal)
        # Tweens between here and the views, which no exception view reaches.
        if isinstance(response, HTTPException):
            return errors.answer(request, errors.refusal_of(request, response))
        return response

    return front


def _check(environ: dict[str, Any], hosts: Hosts) -> None:
    hosts.check(environ.get("HTTP_HOST"))
    if environ["REQUEST_METHOD"] not in METHODS:
        raise MethodUnknown
    if _ODD_PATH.search(environ["PATH_INFO"]):
        raise PathMalformed
    environ.pop(_VIRTUAL_ROOT, None)
