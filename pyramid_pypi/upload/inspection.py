"""Inspection of an uploaded file: every check that needs neither database nor network."""

from __future__ import annotations

from pyramid_pypi.formats.metadata_checks import parse_version
from pyramid_pypi.upload.checks import (
    check_artifact,
    check_digests,
    check_form,
    check_form_requirements,
    check_protocol,
    check_size,
    read_filename,
)
from pyramid_pypi.upload.sdists import inspect_sdist
from pyramid_pypi.upload.values import Form, Inspected, Limits, Spooled
from pyramid_pypi.upload.wheels import inspect_wheel


def inspect(spooled: Spooled, form: Form, limits: Limits) -> Inspected:
    """Return what the file `spooled` is; nothing of it is ever unpacked to disk.

    Metadata is read from the file; `form` may only repeat it.

    Raises:
        Refusal: a check of the form, the filename or the archive fails.
    """
    check_protocol(form)
    artifact = read_filename(spooled.filename, form)
    check_size(spooled, limits)
    check_digests(form, spooled.digests)
    size_bytes = spooled.digests.size_bytes
    content: bytes | None = None
    with spooled.path.open("rb") as file:
        if artifact.packagetype == "bdist_wheel":
            metadata, content = inspect_wheel(file, size_bytes, artifact, limits)
            check_form_requirements(form, metadata)
        else:
            metadata = inspect_sdist(file, size_bytes, artifact, limits)
    check_artifact(artifact, metadata)
    check_form(form, metadata)
    return Inspected(
        filename=artifact.filename,
        filename_key=artifact.key,
        digests=spooled.digests,
        packagetype=artifact.packagetype,
        python_tag=artifact.python_tag,
        name=artifact.name,
        display_name=metadata.name,
        version=parse_version(metadata.version),
        metadata=metadata,
        metadata_bytes=content,
    )
