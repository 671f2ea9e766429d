"""What the web refuses before the domain is asked."""

from __future__ import annotations

from typing import ClassVar

from pyramid_pypi.errors import Kind, Refusal


class WebRefusal(Refusal):
    """A refusal with a status of its own, which no kind stands for."""

    status: ClassVar[int] = 400


class HostMalformed(WebRefusal):
    """The request has no `Host` header, more than one, or one that is no host name."""

    code = "request.host-malformed"
    title = "The Host header is missing or malformed"


class HostUnknown(WebRefusal):
    """The index does not answer under this host name.

    The operator lists the names it answers to in `site.public_url` and `site.hosts`.
    """

    code = "request.host-unknown"
    title = "The index does not answer to this host name"
    status = 421


class PathMalformed(WebRefusal):
    """The path or the query of the address is not valid UTF-8, or has unsafe parts."""

    code = "request.path-malformed"
    title = "The address is malformed"


class RequestMalformed(WebRefusal):
    """The request cannot be read; the detail says which part."""

    code = "request.malformed"
    title = "The request is malformed"


class PageMissing(WebRefusal):
    """There is nothing at this address."""

    code = "request.not-found"
    title = "There is nothing at this address"
    kind = Kind.MISSING
    status = 404


class MethodNotAllowed(WebRefusal):
    """The address does not take that method; the `Allow` header lists those it takes."""

    code = "request.method-not-allowed"
    title = "This address does not take that method"
    status = 405


class MethodUnknown(WebRefusal):
    """The index does not know this HTTP method at all."""

    code = "request.method-unknown"
    title = "Unknown HTTP method"
    status = 501


class NotAcceptable(WebRefusal):
    """None of the media types in `Accept` (or `?format=`) is offered at this address."""

    code = "request.not-acceptable"
    title = "None of the accepted media types is offered here"
    status = 406


class MediaTypeUnsupported(WebRefusal):
    """The body has another media type than this address takes.

    REST takes `application/json`, uploads take `multipart/form-data`.
    """

    code = "request.media-type"
    title = "The body has an unsupported media type"
    status = 415


class BodyTooLarge(WebRefusal):
    """The body is larger than this address takes."""

    code = "request.body-too-large"
    title = "The request body is too large"
    kind = Kind.TOO_LARGE
    status = 413


class BodyInvalid(WebRefusal):
    """The body is JSON, but not the document this address takes; the detail says where."""

    code = "request.body-invalid"
    title = "The request body is not what this address takes"
    status = 422


class Unexpected(WebRefusal):
    """The index failed in a way nobody foresaw.

    The answer carries an id; the operator finds the cause under it in the log.
    """

    code = "server.error"
    title = "The index failed to answer"
    status = 500
