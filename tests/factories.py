"""Uploads without a wire: files that tests record, and whole projects made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.version import Version
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import core_metadata
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.upload import pipeline
from pyramid_pypi.upload.pipeline import Outcome, Rules
from pyramid_pypi.upload.values import Inspected, Limits
from pyramid_pypi.values.digests import Digester, Digests
from pyramid_pypi.values.names import normalize
from tests.conftest import NOON
from tests.distributions import metadata

RULES = Rules(
    limits=Limits(),
    max_project_bytes=10**9,
    release_closes_after=None,
    prohibited_names=frozenset(),
)


def digests_of(content: bytes) -> Digests:
    digester = Digester()
    digester.update(content)
    return digester.digests()


def wheel_of(
    name: str = "demo",
    version: str = "1.0",
    *,
    content: bytes = b"",
    build: str = "",
    requires_python: str | None = None,
) -> Inspected:
    """Return a wheel as inspection leaves it; `content` stands for its bytes."""
    lines = [f"Requires-Python: {requires_python}"] if requires_python else []
    described = metadata(name, version, lines)
    stem = f"{normalize(name).replace('-', '_')}-{version}{build and '-' + build}"
    return Inspected(
        filename=f"{stem}-py3-none-any.whl",
        filename_key=f"{normalize(name)}-{version}-{build}-py3-none-any",
        digests=digests_of(content or f"wheel of {name} {version} {build}".encode()),
        packagetype="bdist_wheel",
        python_tag="py3",
        name=normalize(name),
        display_name=name,
        version=Version(version),
        metadata=core_metadata.parse(described),
        metadata_bytes=described,
    )


def sdist_of(
    name: str = "demo", version: str = "1.0", *, content: bytes = b"", ending: str = ".tar.gz"
) -> Inspected:
    """Return an sdist as inspection leaves it; `content` stands for its bytes."""
    return Inspected(
        filename=f"{normalize(name).replace('-', '_')}-{version}{ending}",
        filename_key=f"{normalize(name)}-{version}.sdist",
        digests=digests_of(content or f"sdist of {name} {version}".encode()),
        packagetype="sdist",
        python_tag="source",
        name=normalize(name),
        display_name=name,
        version=Version(version),
        metadata=core_metadata.parse(metadata(name, version)),
        metadata_bytes=None,
    )


def record(
    session: Session,
    actor: Actor,
    file: Inspected,
    *,
    at: datetime = NOON,
    rules: Rules = RULES,
) -> Outcome:
    return pipeline.record(session, actor, file, rules, at=at)


@dataclass
class Workshop:
    """An index at work: every call commits, and publishes what it changed."""

    services: Environment
    publisher: Publisher
    actor: Actor

    def store(self, file: Inspected, content: bytes = b"") -> None:
        """Keep the bytes of `file`; `content` is what it was made of."""
        blobs = self.services.blobs
        spooled = blobs.new_spool_path()
        spooled.write_bytes(content)
        assert digests_of(content) == file.digests
        blobs.keep(spooled, file.digests.sha256, file.filename, file.metadata_bytes)

    def add(self, name: str = "demo", version: str = "1.0", **how: bytes | str) -> Inspected:
        """Upload a wheel, as far as it is installable."""
        content = how.pop("content", f"wheel {name} {version} {how}".encode())
        assert isinstance(content, bytes)
        file = wheel_of(name, version, content=content, **how)  # type: ignore[arg-type]
        with self.services.blobs.keeping():
            self.store(file, content)
            with self.services.database.writing() as session:
                assert record(session, self.actor, file) is Outcome.NEW
        self.show(session)
        return file

    def show(self, session: Session) -> int:
        """Publish what `session` committed."""
        serial = journal.committed_serial(session)
        assert serial is not None
        assert self.publisher.publish_until(serial, wait_s=5)
        return serial

    def settle(self) -> None:
        """Write everything that may lag."""
        self.publisher.settle_all()
        self.publisher.fresh_lists()
        self.publisher.repository.refresh(whole=True)


def later(**span: float) -> datetime:
    return NOON + timedelta(**span)
