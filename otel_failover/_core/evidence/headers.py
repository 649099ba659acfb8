"""Reads the few headers that matter, in one pass over the raw ones.

A look-up by name encodes and compares for each name; a request has some fifteen headers and we want to know of a dozen
names, on every request.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_failover._core.failsafe import read
from otel_failover._core.text.gate import learn
from otel_failover._core.text.redaction import own_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

_ISSUED: Final = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"apim-request-id", b"x-ms-request-id")
_SENT: Final = frozenset({*_ISSUED, b"x-client-request-id", b"x-correlation-id"})
_NAME: Final = itemgetter(0)
AWS_ERROR: Final = b"x-amzn-errortype"
"""Where an AWS error's code stands."""
_ANSWER: Final = frozenset({*_ISSUED, b"retry-after", b"retry-after-ms", b"date", AWS_ERROR})


def raw_headers(headers: object) -> Sequence[tuple[bytes, bytes]]:
    """Return the raw headers of `httpx`, or any mapping's in the same form."""
    try:
        raw: Any = headers.raw  # type: ignore[attr-defined]  # of httpx alone
    except Exception:
        raw = None
    if raw is not None:
        return raw  # type: ignore[no-any-return]
    items: Any = read(headers, "items")
    if items is None:
        return ()
    return [(_encoded(name), _encoded(value)) for name, value in items()]


def _encoded(part: object) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")


def of_answer(headers: object) -> dict[bytes, str]:
    """Return the request ids, `retry-after*`, `date` and AWS's error of a response, names in lower case."""
    raw, found = raw_headers(headers), dict[bytes, str]()
    # `compress` and `map` keep the pass over all of them in C.
    for name, value in compress(raw, map(_matters_of_answer, map(_NAME, raw))):
        found[name.lower()] = value.decode("latin-1")
    return found


@lru_cache(maxsize=512)
def _matters_of_answer(name: bytes) -> bool:
    """Whether a response's header of this name matters."""
    return name.lower() in _ANSWER


def aws_error(answer: dict[bytes, str]) -> str | None:
    """Return the code of an AWS error, which stands in a header: `ThrottlingException:http://…` and `…#Throttling…`.

    Args:
        answer: As `of_answer` gives it.
    """
    value = answer.get(AWS_ERROR)
    return value.partition(":")[0].rpartition("#")[2].strip()[:255] or None if value else None


def issued_id(answer: dict[bytes, str]) -> str | None:
    """Return the request id that a response issued."""
    for name in _ISSUED if answer else ():
        if name in answer:
            return answer[name]
    return None


class Sent(NamedTuple):
    """What is kept of the headers of a request.

    Args:
        secrets: The credentials that it carries.
        ids: The request ids that we sent ourselves: a provider that echoes one has not issued it.
    """

    secrets: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def of_request(request: object) -> Sent:
    """Return what matters of a request.

    Args:
        request: With its headers, and its URL with the query.
    """
    try:
        headers, url = request.headers, request.url  # type: ignore[attr-defined]  # or it is no request
    except Exception:
        headers, url = read(request, "headers"), read(request, "url")
    raw, named, ids = raw_headers(headers), [], []
    for name, value in compress(raw, map(_matters_of_request, map(_NAME, raw))):
        if name.lower() in _SENT:
            ids.append(value.decode("latin-1"))
        else:
            named.append((name, value))
    held: tuple[str, ...] = _of_headers(tuple(named))
    try:
        is_bare = url.query == url.userinfo == b""  # of httpx alone
    except Exception:
        is_bare = False
    if not is_bare:
        of_url = own_secrets((), str(url))
        learn(of_url)
        held = (*held, *of_url)
    return Sent(held, tuple(ids))


_KEYS: Final = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")


def credential_of(headers: object, url: object) -> str | None:
    """Return the credential that tells a request's key from another of the same provider; compared in memory only.

    Args:
        headers: Of the request.
        url: Of the request, with its query.
    """
    named = tuple((name, value) for name, value in raw_headers(headers) if name.lower() in _KEYS)
    found: tuple[str, ...] = _of_headers(named) if named else own_secrets((), str(url))
    return found[0] if found else None


@lru_cache(maxsize=512)
def _matters_of_request(name: bytes) -> bool:
    """Whether a request's header of this name is a request id, or may hold a credential."""
    return name.lower() in _SENT or bool(own_secrets([(name.decode("latin-1"), "k=Xy7Zw5Vu3Ts1Rq9Po")]))


@lru_cache(maxsize=64)
def _of_headers(found: tuple[tuple[bytes, bytes], ...]) -> tuple[str, ...]:
    """Return the credentials of some headers; the same few come again and again."""
    secrets = own_secrets((name.decode("latin-1"), value.decode("latin-1")) for name, value in found)
    learn(secrets)
    return secrets
