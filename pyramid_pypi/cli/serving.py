"""``pyramid-pypi serve``: from an empty folder to a running index, and a clean end."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click
from waitress import wasyncore
from waitress.server import create_server

from pyramid_pypi import bootstrap, environment
from pyramid_pypi.app import make_app
from pyramid_pypi.cli.connections import MAX_HEADER_BYTES, KeptChannel
from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.memory import share_arenas
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.publishing.bell import Bell
from pyramid_pypi.settings import Settings
from pyramid_pypi.upload.values import most_form_bytes

_LOG = logging.getLogger(__name__)
_ANY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
_DRAIN_S = 30.0
# Files, database connections and the like that are open beside the clients' connections.
_OWN_DESCRIPTORS = 256


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=6543,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--threads", type=click.IntRange(1), help="Short for --set server.threads=THREADS."
)
@shared_options
@pass_invocation
def serve(invocation: Invocation, host: str, port: int, threads: int | None) -> None:
    """Serve the index, preparing its data folder first.

    Creates the folder, brings the database to the newest schema, makes the first
    administrator `admin` and writes a token that may do everything to DIR/admin.token.
    SIGTERM or SIGINT ends it once the requests in progress are answered.
    """
    if threads is not None:
        invocation.overrides["server.threads"] = str(threads)
    settings = invocation.settings()
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # It warns whenever all threads are busy for a moment, and each warning costs CPU then.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    if settings.log_level != "debug":
        logging.getLogger("alembic").setLevel(logging.WARNING)
    share_arenas()
    stopping = threading.Event()
    with _listening(host, port) as listener:
        address = _address(host, listener)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if not settings.site_public_url:
            if host in _ANY_ADDRESS:
                invocation.say("site.public_url is not set: only this machine is answered.")
            settings = replace(settings, site_public_url=address)
            _note_address(settings.data_dir / environment.ADDRESS_NAME, address)
        index = bootstrap.start(environment.build(settings))
        try:
            application = make_app(index.environment, index.publisher)
            server = _waitress(application, settings, listener)
            _on_signal(stopping, server)
            _announce(invocation, address, settings)
            _run(server, stopping, index.publisher.state.bell)
        finally:
            index.stop()


def _note_address(path: Path, address: str) -> None:
    """Tell other commands where the index is served; an unchanged note takes no room."""
    note = address + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != note:
        path.write_text(note, encoding="utf-8")


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return listener


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    name = "127.0.0.1" if host in _ANY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _waitress(application: Any, settings: Settings, listener: socket.socket) -> Any:
    """Return a waitress server that slow clients cannot fill.

    Each open connection costs a descriptor, not a thread: a request is given to a thread
    when it has arrived whole, and its answer leaves through the loop.
    """
    connections = _affordable(settings.server_connections)
    if connections < settings.server_connections:
        _LOG.warning("the limit of open files allows %d connections only", connections)
    server: Any = create_server(
        application,
        sockets=[listener],
        threads=settings.server_threads,
        connection_limit=connections,
        asyncore_use_poll=True,
        channel_timeout=settings.server_idle_s,
        # The application bounds files exactly, and asks who sends them; this bounds what
        # waits on disk before it can, whoever sends it.
        max_request_body_size=most_form_bytes(settings.upload_max_file_bytes),
        max_request_header_size=MAX_HEADER_BYTES,
        ident=None,
        clear_untrusted_proxy_headers=True,
        expose_tracebacks=False,
    )
    server.channel_class = KeptChannel
    return server


def _affordable(connections: int) -> int:
    """Raise the limit of open files as far as `connections` need, and return how many fit."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _OWN_DESCRIPTORS
    if limit != resource.RLIM_INFINITY and limit < needed:
        limit = needed if most == resource.RLIM_INFINITY else min(needed, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if limit == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, limit - _OWN_DESCRIPTORS))


def _on_signal(stopping: threading.Event, server: Any) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        server.pull_trigger()  # wakes the loop, which may sleep for a second

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _announce(invocation: Invocation, address: str, settings: Settings) -> None:
    invocation.say(f"Serving {settings.site_title} at {address}/")
    folder = settings.data_dir.absolute()
    invocation.say(f"Data folder: {folder}")
    invocation.say(f"Administrator token: {folder / 'admin.token'}")
    if settings.site_public_url != address:
        invocation.say(f"Users reach it at: {settings.site_public_url}")


def _run(server: Any, stopping: threading.Event, bell: Bell) -> None:
    """Serve until `stopping`, then until the requests in progress are answered.

    waitress's own `run` ends its loop at once, and answers still in its buffers with it.
    """
    while not stopping.is_set():
        _turn(server)
    _LOG.info("stopping")
    bell.close()  # requests that wait for news are answered now
    wasyncore.dispatcher.close(server)  # no new connections; the trigger stays open
    deadline = time.monotonic() + _DRAIN_S
    while _busy(server) and time.monotonic() < deadline:
        _turn(server)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(server._map)


def _turn(server: Any) -> None:
    wasyncore.loop(timeout=1, use_poll=True, map=server._map, count=1)


def _busy(server: Any) -> bool:
    channels = list(server.active_channels.values())
    return any(channel.requests or channel.total_outbufs_len for channel in channels)
