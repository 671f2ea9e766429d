"""Why an upload is refused: one small class for each reason, with a stable code."""

from __future__ import annotations

from pyramid_pypi.errors import Kind, Refusal

# --- the request ------------------------------------------------------------------


class ActionGone(Refusal):
    """The upload form asks for an action of the old upload API that was retired.

    Only `file_upload` is left.  Projects appear with their first file, and files are
    checked as they come in.  Update your uploading tool.
    """

    code = "upload.action-gone"
    title = "This upload action is gone"
    kind = Kind.GONE


class UnknownAction(Refusal):
    """The upload form asks for an action the index does not know; use `file_upload`."""

    code = "upload.unknown-action"
    title = "Unknown upload action"


class UploadTooLarge(Refusal):
    """The file, or the whole request, is larger than the index takes.

    Split the distribution, leave out what need not be in it, or ask the operator.
    """

    code = "upload.too-large"
    title = "The upload is too large"
    kind = Kind.TOO_LARGE


class FormTooComplex(Refusal):
    """The upload form has more fields, or longer ones, than any real distribution."""

    code = "upload.form-too-complex"
    title = "The upload form is too complex"


class BodyTruncated(Refusal):
    """The request ended before the upload form did.  Nothing was kept; try again."""

    code = "upload.body-truncated"
    title = "The request body is not a whole upload form"


class FileMissing(Refusal):
    """The upload form has no file: send exactly one, in the part named `content`."""

    code = "upload.file-missing"
    title = "Upload payload does not have a file"


class FormInvalid(Refusal):
    """A field of the upload form cannot be used; the detail names it and says why."""

    code = "upload.form-invalid"
    title = "Invalid upload form"


class DigestMismatch(Refusal):
    """The file that arrived is not the one whose digest the form states.

    It was damaged on the way, or changed after the digest was taken.  Upload it again.
    """

    code = "upload.digest-mismatch"
    title = "The digest supplied does not match a digest calculated from the uploaded file"


class MetadataMismatch(Refusal):
    """The form, the filename and the metadata inside the file disagree.

    The index believes the file; the form and the filename may only repeat it.  Build
    the file again rather than renaming it.
    """

    code = "upload.metadata-mismatch"
    title = "The upload contradicts the metadata of the file"


# --- the name of the file ---------------------------------------------------------


class FilenameInvalid(Refusal):
    """The filename is not that of a wheel (PEP 427) or sdist (PEP 625)."""

    code = "upload.filename-invalid"
    title = "Invalid distribution filename"


class TypeUnsupported(Refusal):
    """Only wheels (`.whl`) and sdists (`.tar.gz`, `.zip`) are taken.

    Eggs, Windows installers, RPMs and the like are retired formats.
    """

    code = "upload.type-unsupported"
    title = "This type of distribution file is not supported"


# --- archives ---------------------------------------------------------------------


class NotAWheel(Refusal):
    """The file is named like a wheel, but lacks what every wheel has.

    It is not a zip archive, or has no METADATA, WHEEL or RECORD in one `.dist-info`
    directory, or a wheel format version that installers do not know.
    """

    code = "upload.not-a-wheel"
    title = "The file is not a wheel"


class NotAnSdist(Refusal):
    """The file is named like an sdist, but is not a source archive with PKG-INFO.

    It must be a gzipped tar (or a zip) archive with one directory, `NAME-VERSION`, and
    the file PKG-INFO in it.
    """

    code = "upload.not-an-sdist"
    title = "The file is not a source distribution"


class ZipFraming(Refusal):
    """Two readers of this zip archive could see different files in it.

    The central directory, the local headers and the data must agree and leave no gap.
    Build the archive again with a current build backend.
    """

    code = "upload.zip-framing"
    title = "The zip archive is ambiguous"


class TarFraming(Refusal):
    """The tar archive is damaged, or two readers could see different files in it."""

    code = "upload.tar-framing"
    title = "The tar archive is ambiguous"


class ArchiveCorrupt(Refusal):
    """The data of the archive does not unpack to what its headers promise."""

    code = "upload.archive-corrupt"
    title = "The archive is damaged"


class ZipBomb(Refusal):
    """The zip archive unpacks to far more than its size allows."""

    code = "upload.zip-bomb"
    title = "The zip archive unpacks to too much"


class TarBomb(Refusal):
    """The tar archive unpacks to far more than its size allows."""

    code = "upload.tar-bomb"
    title = "The tar archive unpacks to too much"


class TooManyMembers(Refusal):
    """The archive holds more files than the index takes in one."""

    code = "upload.too-many-members"
    title = "The archive has too many members"


class MemberName(Refusal):
    """A path in the archive is absolute, leaves the archive, or is too odd or too long."""

    code = "upload.member-name"
    title = "The archive has a member with an unsafe path"


class MemberType(Refusal):
    """The archive holds a link, a device or another thing that is no file or directory."""

    code = "upload.member-type"
    title = "The archive has a member that is neither file nor directory"


class DuplicateMember(Refusal):
    """The archive holds two members of one path, or a file where a directory is."""

    code = "upload.duplicate-member"
    title = "The archive has two members of the same path"


class DistInfoMismatch(Refusal):
    """The wheel's `.dist-info` directory belongs to another project or version."""

    code = "upload.dist-info-mismatch"
    title = "The .dist-info directory does not fit the wheel"


class RecordMismatch(Refusal):
    """RECORD of the wheel does not list exactly the files in it, with size and hash.

    Someone changed the wheel after it was built; build it again, or run `wheel pack`.
    """

    code = "upload.record-mismatch"
    title = "RECORD does not match the contents of the wheel"


class EntryPointInvalid(Refusal):
    """`entry_points.txt` of the wheel cannot be read, or a name in it is no file name."""

    code = "upload.entry-point-invalid"
    title = "Invalid entry points"


class LicenseFileMissing(Refusal):
    """The metadata names a License-File that the archive does not hold (PEP 639)."""

    code = "upload.license-file-missing"
    title = "A license file is missing"


# --- what the index already knows -------------------------------------------------


class FileExists(Refusal):
    """The index has a file of that name with other bytes; files never change.

    Upload a new version, or a new build number of the wheel.
    """

    code = "file.exists"
    title = "File already exists"
    kind = Kind.CONFLICT


class FilenameReused(Refusal):
    """A file of that name was deleted; its name stays taken for any other bytes.

    Upload a new version, or a new build number of the wheel.
    """

    code = "file.name-reused"
    title = "This filename has been used before and was deleted"
    kind = Kind.CONFLICT


class ContentKnown(Refusal):
    """The index has the same bytes under another filename."""

    code = "file.content-known"
    title = "The same content exists under another filename"
    kind = Kind.CONFLICT


class NameConfusable(Refusal):
    """The project's name is too easily mistaken for that of an existing project."""

    code = "project.name-confusable"
    title = "The name is too similar to an existing project"
    kind = Kind.CONFLICT


class NameProhibited(Refusal):
    """The name belongs to Python's standard library, or the operator reserved it."""

    code = "project.name-prohibited"
    title = "The name is not allowed for a project"


class ReleaseClosed(Refusal):
    """The release is too old to take further files; upload a new version."""

    code = "release.closed"
    title = "The release is closed to new files"


class ProjectFull(Refusal):
    """The files of the project have reached its size limit; ask the operator."""

    code = "project.full"
    title = "The project has reached its size limit"


class ProjectReadOnly(Refusal):
    """The project is archived or quarantined and takes no files."""

    code = "project.read-only"
    title = "The project does not take new files"
    kind = Kind.FORBIDDEN
