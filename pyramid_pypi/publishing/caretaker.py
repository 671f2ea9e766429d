"""The thread that does what no answer waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from pyramid_pypi.errors import Refusal
from pyramid_pypi.publishing import orphans, sweeping
from pyramid_pypi.publishing.publisher import Publisher

log = logging.getLogger(__name__)

_TICK_S = 0.25
_FOLLOW_S = 1.0  # a release of several files has its companions written once
_POLL_S = 1.0  # for changes that another process committed and did not publish
_POINTER_S = 1.0  # its time, in whole seconds, grows with each
_RETRY_S = 30.0
# Before a step comes again, times what it took of the processor, which uploads want too,
# and of waiting, for the disk mostly.
_REST_OF_WORK = 20.0
_REST_OF_WAITING = 2.0
_SWEEP_S = 6 * 3600.0
_SOON_S = 600.0  # an index that is started anew each day is swept as well


class Caretaker:
    """Companions, lists, compressed twins, checkpoints, retries and sweeps, by the clock.

    Args:
        prepare: called again and again until it returns, before anything else: it brings
            up a database that was away at the start, and tells whether the tree stands
            by the present rules.
    """

    def __init__(self, publisher: Publisher, prepare: Callable[[], bool]) -> None:
        self._publisher = publisher
        self._prepare = prepare
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)
        self._sweeper: threading.Thread | None = None
        self._refused = ""
        settings = publisher.environment.settings
        self._clocks: list[tuple[float, Callable[[], object]]] = [
            (_FOLLOW_S, publisher.settle_all),
            (_POLL_S, publisher.publish_gap),
            (_POLL_S, self._clear_orphans),
            (settings.publish_lists_s, publisher.fresh_lists),
            (_POINTER_S, publisher.repository.refresh),
            (settings.publish_checkpoint_s, publisher.checkpoint),
            (_RETRY_S, publisher.retry_failures),
            (_SWEEP_S, self._sweep),
        ]

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present step, with lists and a checkpoint that leave nothing to do."""
        self._stopping.set()
        self._thread.join()
        publisher = self._publisher
        for step in (publisher.fresh_lists, publisher.repository.finish, publisher.checkpoint):
            self._guarded(step)

    def _run(self) -> None:
        while not self._guarded(self._begin):
            if self._stopping.wait(_POLL_S):
                return
        due = {step: time.monotonic() + min(every_s, _SOON_S) for every_s, step in self._clocks}
        while not self._stopping.is_set():
            self._stopping.wait(_TICK_S)
            for every_s, step in self._clocks:
                began, worked = time.monotonic(), time.thread_time()
                if began >= due[step]:
                    self._guarded(step)
                    ended, worked_s = time.monotonic(), time.thread_time() - worked
                    rest_s = _REST_OF_WORK * worked_s + _REST_OF_WAITING * (ended - began)
                    due[step] = ended + max(every_s, rest_s)

    def _begin(self) -> None:
        if not self._prepare():
            log.info("documents follow other rules or another address: all are written anew")
            self._publisher.rebuild_all(self._stopping.is_set)

    def _clear_orphans(self) -> None:
        orphans.clear(self._publisher.environment)

    def _sweep(self) -> None:
        # On the side: to look into a million folders takes minutes, and the clock goes on.
        if self._sweeper is None or not self._sweeper.is_alive():
            self._sweeper = threading.Thread(
                target=self._guarded, args=(self._swept,), name="sweeper", daemon=True
            )
            self._sweeper.start()

    def _swept(self) -> None:
        removed = sweeping.sweep(self._publisher.environment)
        log.debug("swept %d superseded documents", removed)

    def _guarded(self, step: Callable[[], object]) -> bool:
        """Return whether `step` went well; log it if not.  The thread outlives any step."""
        try:
            step()
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error.orig)
            return False
        except Refusal as refusal:
            if str(refusal) != self._refused:
                self._refused = str(refusal)
                log.error("%s: %s; tried again and again", refusal.title, refusal)  # noqa: TRY400
            return False
        except Exception:
            log.exception("%s failed; it will be tried again", step)
            return False
        return True
