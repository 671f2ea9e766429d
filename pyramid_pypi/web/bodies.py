"""JSON bodies of REST requests: bounded, unambiguous, and of the asked shape."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from pyramid_pypi.web.refusals import (
    BodyInvalid,
    BodyTooLarge,
    MediaTypeUnsupported,
    RequestMalformed,
)

MAX_BODY_BYTES = 64 * 1024

Body = TypeVar("Body", bound=msgspec.Struct)


def read(request: Any, shape: type[Body]) -> Body:
    """Return the JSON body of `request` as a `shape`.

    A request without any body reads as the empty object.

    Raises:
        BodyTooLarge: over 64 KiB.
        MediaTypeUnsupported: there is a body and it is not ``application/json``.
        RequestMalformed: no JSON, or JSON that two readers may take differently.
        BodyInvalid: a field is missing, unknown, or of the wrong type.
    """
    content = _content(request)
    document = _unambiguous(content) if content else {}
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise BodyInvalid(str(error)) from error


def _content(request: Any) -> bytes:
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise BodyTooLarge(f"at most {MAX_BODY_BYTES} bytes")
    content: bytes = request.body_file.read(MAX_BODY_BYTES + 1)
    if len(content) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"at most {MAX_BODY_BYTES} bytes")
    if content and request.content_type.lower() != "application/json":
        raise MediaTypeUnsupported(f"{request.content_type or 'no type'}; use application/json")
    return content


def _unambiguous(content: bytes) -> Any:
    try:
        return json.loads(
            content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except RecursionError:
        raise RequestMalformed("the JSON is nested too deeply") from None
    except ValueError as error:
        raise RequestMalformed(f"not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestMalformed("the JSON has two equal keys in one object")
    for text in (*found, *(v for v in found.values() if isinstance(v, str))):
        # A lone surrogate has no UTF-8; nothing we keep or publish could carry it.
        text.encode("utf-8")
    return found


def _no_constant(name: str) -> Any:
    raise RequestMalformed(f"{name} is not JSON")
