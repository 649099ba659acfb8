"""What SDK calls and transports raise, read while it is still their own, and what an exception was raised from."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain import reasons
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.evidence.references import IdentityMap, Reference
from otel_failover._core.failsafe import read, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator


_FACTS: Final = ("message", "status_code", "status", "code", "type", "reason", "request_id", "body", "response")
_LINKS: Final = 8


class CallError:
    """An exception that a provider call raised inside an attempt, with what it said at that moment.

    Libraries add other candidates' texts to an exception later (litellm mutates `.message`), so what it said is copied
    when it is raised: owning the object proves who raised it, never what it says now.

    Args:
        problem: The exception.

    Attributes:
        reference: It, remembered weakly where that is possible.
        text: `str()` of it.
        type_name: Its class, as `error.type` has it.
        code: Of the provider.
        transport: Our reason, and the timeout's kind, where it came of the transport.
    """

    __slots__ = ("_facts", "code", "reference", "text", "transport", "type_name")

    def __init__(self, problem: BaseException) -> None:
        self.transport = _transport_of(problem)
        self.reference = Reference(problem)
        self.type_name = qualified(type(problem))
        self.code = read(problem, "code")
        self.text, self._facts = _said_by(problem)

    def unchanged(self, problem: BaseException) -> bool:
        """Whether it still says what it said when it was raised."""
        return _said_by(problem) == (self.text, self._facts)

    def forget(self) -> None:
        """Let go of an exception that could not be remembered weakly."""
        self.reference.forget()


def _said_by(problem: BaseException) -> tuple[str, list[object]]:
    """Return the text of an exception, and what it says besides, by what each fact is compared.

    Itself where it is plain, its text where it is a body, else its identity.
    """
    try:
        text = str(problem)
    except Exception:
        text = text_of(problem)
    found: list[object] = []
    for name in _FACTS:
        try:
            value = getattr(problem, name, None)
        except Exception:
            value = None
        if value is None or isinstance(value, (str, int, float)):
            found.append(value)
        else:
            found.append(repr(value)[:4096] if isinstance(value, (dict, list)) else id(value))
    return text, found


def _transport_of(problem: BaseException) -> tuple[str, str | None]:
    """Return the transport error behind an SDK's exception: its cause's, else its own by name."""
    try:
        cause = problem.__cause__
    except Exception:  # a property of the host's own
        cause = None
    if isinstance(cause, BaseException):
        found = transport_reason(cause)
        if found[0] != reasons.CLIENT_ERROR:
            return found
    own: Any = type(problem)
    return _reason_of(own)


def qualified(cls: type) -> str:
    """Return a class's name as `error.type` carries it: `openai.RateLimitError`, builtins without a module."""
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


_SDKS: Final = frozenset(
    {
        "ai21", "anthropic", "azure", "boto3", "botocore", "aiobotocore", "cerebras", "cohere", "dashscope", "deepseek",
        "fireworks", "google", "groq", "huggingface_hub", "litellm", "mistralai", "ollama", "openai", "openrouter",
        "replicate", "together", "vertexai", "volcenginesdkarkruntime", "xai_sdk", "zai", "zhipuai",
    }
)  # fmt: skip
"""Packages whose exceptions say what a provider said."""


def host_class(problem: BaseException) -> str | None:
    """Return the class of an exception of the host's own code; None for an SDK's, or one made of an SDK's.

    Args:
        problem: What left an attempt.
    """
    kind = type(problem)
    if any(text_of(read(each, "__module__")).partition(".")[0] in _SDKS for each in kind.__mro__):
        return None
    return text_of(qualified(kind))[:255]


def error_in_exception(problem: BaseException) -> ErrorBody | None:
    """Return the error that an SDK's exception states, as it read it from a stream's event."""
    body = read(problem, "body")
    return error_in(body) if isinstance(body, dict) else None


def causes_of(thing: object, *, raised_from: bool = False) -> Iterator[object]:
    """Yield an exception and what it was raised from, at most eight, each once.

    Args:
        thing: The exception.
        raised_from: Follow only what `raise … from` says. Otherwise `__context__` is followed too, as a traceback shows
            it: where there is no cause, and none was denied (`from None`). Whoever follows that asks only for an object
            that is the attempt's own: of anybody else's, Python's filling it in proves nothing.
    """
    seen: list[object] = []
    while thing is not None and len(seen) < _LINKS and not any(thing is other for other in seen):
        seen.append(thing)
        yield thing
        cause = read(thing, "__cause__")
        hidden = raised_from or read(thing, "__suppress_context__")
        thing = cause if cause is not None else None if hidden else read(thing, "__context__")


# --- what a transport raised ------------------------------------------------------------------------------------------


def transport_reason(problem: BaseException) -> tuple[str, str | None]:
    """Return our reason and the timeout's kind for what a transport raised; by class names, to import no library."""
    kind: Any = type(problem)
    return _reason_of(kind)


@lru_cache(maxsize=128)
def _reason_of(kind: type) -> tuple[str, str | None]:
    if issubclass(kind, (asyncio.CancelledError, concurrent.futures.CancelledError)):
        return reasons.CANCELLED, None
    names = [cls.__name__ for cls in kind.__mro__]
    if not issubclass(kind, Exception):
        # What is thrown into a call from outside is no transport's: trio's Cancelled, Ctrl-C; gevent's own deadline.
        of_caller = any("Timeout" in name for name in names)
        return (reasons.TIMEOUT, CALLER) if of_caller else (reasons.CANCELLED, None)
    if any("Timeout" in name for name in names):
        leaf = names[0].lower()
        return reasons.TIMEOUT, next((which for start, which in _TIMEOUTS if leaf.startswith(start)), "total")
    if not _TRANSPORT.isdisjoint(names) or issubclass(kind, OSError):
        return (reasons.CONNECTION if _LOCAL.isdisjoint(names) else reasons.CLIENT_ERROR), None
    return reasons.CLIENT_ERROR, None


CALLER: Final = "caller"
"""The kind of a timeout that the caller has set, beside those of a transport."""

_TIMEOUTS: Final = (
    ("connect", "connect"), ("read", "read"), ("write", "write"), ("pool", "pool"), ("sockettimeout", "read"),
)  # fmt: skip
"""Kinds of timeout by how a class's name starts; aiohttp's `SocketTimeoutError` is that of `sock_read`."""


_TRANSPORT: Final = frozenset(
    {
        "TransportError", "NetworkError", "ClientConnectionError", "ClientPayloadError",
        "ProtocolError", "HTTPClientError", "ConnectionError", "IncompleteReadError",
    }
)  # fmt: skip
"""Base classes of transport errors: httpx's, httpcore's, aiohttp's two that are no OSError, urllib3's, botocore's."""


_LOCAL: Final = frozenset(
    {
        "UnsupportedProtocol", "LocalProtocolError",
        "InvalidURL", "MissingSchema", "InvalidSchema", "InvalidHeader", "UnrewindableBodyError",
    }
)  # fmt: skip
"""Transport errors about what this process would send: httpx's two, and those of requests, where each is an OSError."""


_READERS: Final = frozenset({"read", "aread", "content"})
"""Functions that read a whole body: of a response in httpx, requests and botocore."""


def status_begun(problem: BaseException) -> int | None:
    """Return the status of the answer whose body was being read when a transport failed; None where none had begun.

    Where the host wants the whole body, the library reads it before it hands the answer back: the status line came, and
    nobody has ever held the answer. Only the frames that the exception has passed know it.

    Args:
        problem: What the transport raised, as it leaves the library.
    """
    passed: set[int] = set()
    for link in causes_of(problem):
        step: Any = read(link, "__traceback__")
        # botocore raises an error of its own where it catches the transport's: that one has passed a frame of these
        # too. An error that the host was handling when it asked has not, though Python chains it just so.
        if passed and (step is None or id(step.tb_frame) not in passed):
            return None
        while step is not None:
            frame = step.tb_frame
            if frame.f_code.co_name in _READERS:
                status = read(frame.f_locals.get("self"), "status_code")
                if isinstance(status, int):
                    return status
            passed.add(id(frame))
            step = step.tb_next
    return None


_carried: Final[IdentityMap[object]] = IdentityMap()


def carry(problem: BaseException, response: object) -> None:
    """Remember which HTTP response an exception was made of, where it carries only a copy of its facts.

    Args:
        problem: What an SDK raised, as botocore's `ClientError`; one that cannot be remembered weakly is not.
        response: That it was made of; kept while the exception lives, as other SDKs' exceptions keep theirs.
    """
    _carried.set(problem, response)


def response_of(thing: object) -> object:
    """Return the HTTP response that an SDK's exception carries, under any of its names, or was made of."""
    for name in ("response", "raw_response", "http_response"):
        try:
            found = getattr(thing, name, None)
        except Exception:
            found = None
        if found is not None and not isinstance(found, (str, bytes, Mapping)):
            return found
    return _carried.get(thing)
