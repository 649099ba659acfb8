"""What the wire formats share: the call read from a request, the reply to give, the fault to report.

Each format is a module beside this one, or in `compatible`, that follows `WireFormat`. A format knows no connection and
no log: it turns facts into bytes.
"""

from __future__ import annotations

import itertools
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_failover.testing.answers import Answer
    from otel_failover.testing.loopback import Request

__all__ = [
    "Call",
    "Fault",
    "Kind",
    "Reply",
    "Script",
    "WireFormat",
    "fresh_hex",
    "json_body",
    "model_of",
    "sse",
]

Kind = Literal[
    "openai",
    "anthropic",
    "gemini",
    "bedrock",
    "mistral",
    "cohere",
    "ollama",
    "tgi",
    "vllm",
    "openrouter",
    "dashscope",
]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for; `operation` is empty for a path the provider does not have.

    Attributes:
        names_model: Whether its answer names a model; None: where it has an id, too.
    """

    operation: str
    model: str | None = None
    streamed: bool = False
    body: Mapping[str, Any] | None = None
    names_model: bool | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a success says; `response_id` is None for operations that have none. It may be `withheld` in part."""

    pieces: tuple[str, ...]
    model: str
    response_id: str | None
    withheld: bool = False

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def output_tokens(self) -> int:
        """One token a piece: plausible, and known to the test that programmed the answer."""
        return len(self.pieces)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in a provider's terms: text, code (for the log) and error object (for the wire)."""

    message: str
    code: str | None
    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """A stream as it goes out: the opening, one entry a piece of text, then one of three ends.

    Attributes:
        content_type: Where it is not the format's usual one.
    """

    opening: bytes
    deltas: tuple[bytes, ...]
    closing: bytes
    error: bytes
    failed: bytes
    content_type: str | None = None


class WireFormat(Protocol):
    """What a module has to provide to be a wire format."""

    BASE_PATH: str
    REQUEST_ID_HEADER: str
    STREAM_TYPE: str

    def read_call(self, request: Request) -> Call:
        """Return what the request asks for; never raises, whatever the body."""

    def new_request_id(self) -> str | None:
        """Return a fresh request id, or None where the provider sends none."""

    def new_response_id(self, call: Call) -> str | None:
        """Return a fresh response id, or None where the operation has none."""

    def headers(self, answer: Answer) -> dict[str, str]:
        """Return the provider's own header fields, all but the request id."""

    def fault(self, answer: Answer) -> Fault:
        """Return the error an answer describes, with the provider's usual words where it leaves them out."""

    def envelope(self, fault: Fault, request_id: str | None) -> Mapping[str, Any]:
        """Return the document an error goes out in."""

    def whole(self, call: Call, reply: Reply) -> Any:
        """Return the document a success goes out in."""

    def script(self, call: Call, reply: Reply, fault: Fault) -> Script:
        """Return the stream a success goes out in, with all its ends."""


def fresh_hex(length: int) -> str:
    """Return hex digits no other call returns: a counter, then random ones."""
    return f"{next(_numbers):08x}{secrets.token_hex(length // 2)}"[:length]


def json_body(request: Request) -> Mapping[str, Any]:
    """Return the request's JSON object, or an empty one when the body is anything else."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def model_of(body: Mapping[str, Any]) -> str | None:
    """Return the model a body names, or None where it names none."""
    model = body.get("model")
    return model if isinstance(model, str) else None


def sse(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """Return one server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
