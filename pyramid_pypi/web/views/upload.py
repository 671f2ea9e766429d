"""Uploads, as twine, uv, poetry, flit, hatch and pdm send them (PyPI's "legacy" API)."""

from __future__ import annotations

from typing import Any

from pyramid.view import view_config

from pyramid_pypi.accounts.permissions import Permission
from pyramid_pypi.changes import journal
from pyramid_pypi.upload import pipeline
from pyramid_pypi.upload.pipeline import Outcome, Rules
from pyramid_pypi.upload.refusals import ActionGone, UnknownAction
from pyramid_pypi.upload.values import Form, Spooled
from pyramid_pypi.web import answers, multipart
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.resources import LegacyUpload, Root

_SAID = {
    Outcome.NEW: "is published.",
    Outcome.SAME: "is here already, with the same bytes.",
}
_ACTION = "file_upload"
_RETIRED = frozenset(
    {"submit", "submit_pkg_info", "verify", "doc_upload", "remove_pkg", "user"}
)


@view_config(context=LegacyUpload, request_method="POST", permission=Permission.PROJECT_UPLOAD)
@view_config(context=Root, request_method="POST", permission=Permission.PROJECT_UPLOAD)
def upload(context: Any, request: Any) -> Answer:
    """Take one file of one release; 200 when it can be installed.

    Who asks is known from the headers before the body is looked at.  The same bytes under
    the same name are taken again and again; other bytes never.
    """
    environment = request.environment
    with multipart.received(
        request.environ,
        environment.blobs.new_spool_path,
        max_file_bytes=environment.settings.upload_max_file_bytes,
    ) as received:
        check_action(received.form)
        outcome = _take(request, received.file, received.form)
    said = _SAID[outcome]
    return answers.text(f"{received.file.filename} {said}\n")


def _take(request: Any, spooled: Spooled, form: Form) -> Outcome:
    environment = request.environment
    rules = Rules.of(environment.settings)
    known = pipeline.precheck(request.reading, request.actor, form, spooled, rules)
    # No snapshot is held while the file is inspected and other requests write.
    request.reading.rollback()
    sha256 = spooled.digests.sha256
    if known is not None and environment.blobs.holds(sha256, spooled.filename):
        outcome, serial = known, None
    else:
        # A file known to the index, whose bytes were lost, is made whole by this too.
        # Until the row is there, nobody may clear away the bytes as belonging to none.
        with environment.blobs.keeping():
            inspected = pipeline.receive(environment.blobs, spooled, form, rules)
            outcome, serial = request.commit(
                lambda session: pipeline.record(
                    session, request.actor, inspected, rules, at=request.now
                )
            )
            environment.blobs.confirm(inspected.digests.sha256, inspected.filename)
    if serial is None:
        # Another request has just recorded the same file, and may be publishing it still.
        serial = journal.newest(request.reading)
    request.show(serial)
    return outcome


def check_action(form: Form) -> None:
    """Return if the form asks to upload a file.

    Raises:
        ActionGone: it asks for something the old API offered once.
        UnknownAction: it asks for nothing, or nothing known.
    """
    actions = form.get(":action", ())
    if actions == (_ACTION,):
        return
    if len(actions) == 1 and actions[0] in _RETIRED:
        raise ActionGone(actions[0])
    raise UnknownAction("send the field :action once, as file_upload")
