"""What the index refuses, and why.  Nothing here knows HTTP.

A refusal is a rule of the index saying no.  Its `code` never changes once released:
scripts match it, and ``/problems/CODE`` explains it.  Its `title` is one fixed ASCII
sentence that may stand in an HTTP reason phrase; user text goes into `detail` only.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import ClassVar


class Kind(enum.Enum):
    """What sort of no it is; the faces map it to a status or an exit code."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too-large"
    UNAVAILABLE = "unavailable"
    STORAGE_FULL = "storage-full"


class Refusal(Exception):
    """A rule of the index says no.

    The class docstring of each subclass is what ``/problems/CODE`` shows to people: it
    says what was wrong and what to do about it.
    """

    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The index refuses this request"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail

    @property
    def sentence(self) -> str:
        """Return the title with the detail, as one line for people and uploaders."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


def every_refusal() -> Iterator[type[Refusal]]:
    """Yield each concrete refusal class imported so far, in order of its code."""
    found: dict[str, type[Refusal]] = {}
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        for refusal in waiting.pop().__subclasses__():
            waiting.append(refusal)
            if "code" in vars(refusal):
                found[refusal.code] = refusal
    for code in sorted(found):
        yield found[code]


class NotAuthenticated(Refusal):
    """The request carries no credentials, or credentials the index does not know.

    Send an API token: user name `__token__`, the token as the password, or
    `Authorization: Bearer TOKEN`.  A token may have expired or been revoked.
    """

    code = "auth.invalid"
    title = "Invalid or non-existent authentication information"
    kind = Kind.UNAUTHENTICATED


class NotPermitted(Refusal):
    """The token is good, but its owner or its scope does not reach this far.

    Ask an owner of the project for a role, or use a token with a wider scope.
    """

    code = "auth.not-permitted"
    title = "You are not allowed to do this"
    kind = Kind.FORBIDDEN


class NoSuchProject(Refusal):
    """There is no project of that name."""

    code = "project.missing"
    title = "No such project"
    kind = Kind.MISSING


class NoSuchRelease(Refusal):
    """The project has no release of that version."""

    code = "release.missing"
    title = "No such release"
    kind = Kind.MISSING


class NoSuchFile(Refusal):
    """The project has no file of that name."""

    code = "file.missing"
    title = "No such file"
    kind = Kind.MISSING


class NoSuchUser(Refusal):
    """There is no user of that name."""

    code = "user.missing"
    title = "No such user"
    kind = Kind.MISSING


class NoSuchToken(Refusal):
    """There is no token of that number."""

    code = "token.missing"
    title = "No such token"
    kind = Kind.MISSING


class UserExists(Refusal):
    """Another user has that name already."""

    code = "user.exists"
    title = "A user of that name already exists"
    kind = Kind.CONFLICT


class BadValue(Refusal):
    """A value of the request cannot be used; the detail names it and says why."""

    code = "request.bad-value"
    title = "Invalid value"


class LastOwner(Refusal):
    """A project keeps at least one owner: add another before this one leaves."""

    code = "role.last-owner"
    title = "A project cannot lose its last owner"
    kind = Kind.CONFLICT


class DatabaseAway(Refusal):
    """The database does not answer, so nothing can be changed just now.

    Pages and files are served all the same.  Try again in a moment.
    """

    code = "database.away"
    title = "The database does not answer; try again in a moment"
    kind = Kind.UNAVAILABLE


class DatabaseEmpty(Refusal):
    """The database holds nothing, but the published tree beside it does.

    Most likely `database.url` or the data folder is not the one that was meant; to go on
    would remove every page.  If the empty database is meant, delete the files `published`
    and `checkpoint.json` of the data folder first.
    """

    code = "database.empty"
    title = "The database is empty, but the published tree is not"
    kind = Kind.UNAVAILABLE


class StorageFull(Refusal):
    """The disk of the index is full.  Nothing of the request was kept."""

    code = "storage.full"
    title = "The index has no room left"
    kind = Kind.STORAGE_FULL


class SettingsInvalid(Refusal):
    """A setting is unknown or has a value that cannot be used; the detail names it."""

    code = "settings.invalid"
    title = "The settings cannot be used"


class NotPrepared(Refusal):
    """The data folder or the database holds no index yet, or one of an older version.

    Run `pyramid-pypi init` or `pyramid-pypi db upgrade` with the same settings; `serve`
    does both at its start.
    """

    code = "index.not-prepared"
    title = "There is no index of this version yet"
    kind = Kind.MISSING
