"""What a request asks: dialect, operation, model; None where it is no inference, or may as well be anybody's.

Three ways to be sure, by what is known of the host:

| host | a request asks a model where |
|---|---|
| well known, and the path is one of its own | always: an error in the body is for the provider to find |
| a chain's, named by the user, or a gateway | the path has the shape, and a body that can be read asks something |
| any other | it has besides the dialect's own body: a model, and messages, an input or a prompt |
"""

# Without `from __future__ import annotations`: a named tuple would take the text of each annotation apart at import.

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from otel_failover._core.domain.endpoint import DEPLOYMENTS
from otel_failover._core.domain.providers import GATEWAYS, provider_of_host
from otel_failover._core.evidence.dialects import models, paths
from otel_failover._core.evidence.dialects.large_body import top_of
from otel_failover._core.evidence.dialects.paths import Shape
from otel_failover._core.failsafe import guarded
from otel_failover._core.text.escapes import compiled

_WHOLE: Final = 65_536
"""Bytes of a body that are parsed."""
_ASKS: Final[dict[str, tuple[str, ...]]] = {
    paths.CHAT_COMPLETIONS: ("messages", "prompt"),
    paths.COMPLETIONS: ("prompt",),
    paths.RESPONSES: ("input", "prompt"),
    paths.MESSAGES: ("messages",),
    paths.GEMINI: ("contents",),
    paths.INTERACTIONS: ("input",),
    paths.CONVERSE: ("messages",),
    paths.INVOKE: ("messages", "prompt", "message", "inputText", "inputs"),
    paths.COHERE: ("messages", "message"),
    paths.COHERE_1: ("message", "prompt"),
    paths.OLLAMA: ("messages", "prompt"),
    paths.TGI: ("inputs",),
    paths.LLAMA_CPP: ("prompt", "input_prefix"),
    paths.LM_STUDIO: ("input",),
    paths.DASHSCOPE: ("input",),
    paths.WATSONX: ("input",),
    paths.REPLICATE: ("input",),
    paths.CLOUDFLARE: ("messages", "prompt", "input"),
    paths.BAIDU: ("messages", "prompt"),
    paths.CONVERSATIONS: ("inputs",),
}
"""Where a dialect's body has what is asked."""
_VERSIONED: Final = r"/(?:v\d+\w*|openai)$"
_MODELS: Final = ("model", "model_id", "agent", "agent_id", "version")
_TURNS: Final = frozenset({"messages", "contents"})
_SHARED: Final = frozenset({paths.CHAT_COMPLETIONS, paths.INVOKE, paths.CLOUDFLARE})
"""Dialects by whose paths, where those name a model, vectors and pictures are made as well."""


class Inference(NamedTuple):
    """What a request asks.

    Args:
        dialect: `chat_completions`, `responses`, `completions`, `messages`, `gemini`, `converse`, `cohere`, `ollama` …
        operation: As `Asked.operation`: `chat`, `text_completion`, `generate_content`.
        model: As requested; empty where it cannot be found.
        streamed: A stream was asked for.
        base: Path of the base URL, what stands before the dialect's own ending, as `Asked.base` has it.
        body: Parsed, where it was; else None, and the bytes may be read later.
    """

    dialect: str
    operation: str
    model: str
    streamed: bool
    base: str
    body: object


@guarded(fallback=None)
def inference_in(
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, Any],
    content: bytes | None,
    *,
    is_known: bool,
    is_named: bool,
) -> Inference | None:
    """Return what a POST asks of a model; None where it is no inference, or may as well be anybody's.

    Args:
        host: Name of the host, in lower case.
        path: As it is sent, without the query: quoted where it was quoted.
        query: What follows the question mark.
        headers: Of the request, looked up by names in lower case: `content-type`, `content-encoding`, `accept` and the
            one by which DashScope streams. `httpx`'s, `requests`' and `aiohttp`'s find a name however it is spelt.
        content: The body, where it is in memory; None where it is a stream.
        is_known: The host is in the table, an alias, the chain's or a gateway.
        is_named: The user named the host: an alias, the chain's, a gateway.
    """
    shape = paths.shape_of(path)
    if shape is None or models.answers_nobody(shape.model):
        return None
    is_own = is_known and paths.is_hosts_own(host, shape)
    is_relayed = is_named or host in GATEWAYS or (is_known and provider_of_host(host) is None)
    if not is_own and not _may_be_asked(shape, is_named=is_named, is_known=is_relayed or is_known):
        return None
    if not _is_json(headers, content):
        return None
    body, seen = _read(content, headers)
    if seen is None:
        if not is_own and not is_relayed:
            return None
        if shape.dialect in models.OF_EVERY_KIND and models.makes_media(shape.model):
            shape = shape._replace(operation=paths.CONTENT)
        return _as_asked(shape, {}, None, headers, query)
    if shape.dialect == paths.COHERE and shape.where == paths.NAMED and "message" in seen:
        shape = shape._replace(dialect=paths.COHERE_1)
    elif shape.dialect == paths.COHERE_1 and "input" in seen and "message" not in seen:
        shape = shape._replace(dialect=paths.LM_STUDIO)
    asks = [name for name in _ASKS[shape.dialect] if seen.get(name) not in (None, "")]
    if shape.model and not asks and _are_turns(seen.get("input")):  # Databricks' agents
        asks = ["input"]
    if _is_a_job(seen):
        return None
    model = _model(shape, seen)
    if shape.dialect in models.OF_EVERY_KIND:
        operation = models.operation_of(shape, path, seen, model)
        if operation is None:
            return None
        if operation != shape.operation:  # its body is its own, and anybody's on a host that nobody knows
            shape = shape._replace(operation=operation)
            return _as_asked(shape, seen, body, headers, query) if is_own or is_relayed else None
    if shape.model and body is not None and not asks and shape.dialect in _SHARED:
        return None
    if not is_own and not (asks if is_relayed else _is_dialects_own(shape, seen, asks, model)):
        return None
    return _as_asked(shape, seen, body, headers, query)


def _may_be_asked(shape: Shape, *, is_named: bool, is_known: bool) -> bool:
    """Whether a path that is not known of its host may ask there."""
    if paths.is_for_a_job(shape):
        return False
    if shape.dialect == paths.RESPONSES and not shape.base:  # anybody's, as a form's
        return is_named
    return is_named or (shape.where == paths.KNOWN and is_known) or shape.where == paths.ANYWHERE


def _is_dialects_own(shape: Shape, seen: Mapping[str, Any], asks: list[str], model: str) -> bool:
    """Whether a body is the dialect's own: anybody's chat product has a `POST /messages`."""
    if not model or not asks:
        return False
    if shape.dialect == paths.MESSAGES and "max_tokens" not in seen:
        return False
    if shape.dialect == paths.RESPONSES and compiled(_VERSIONED).search(shape.base) is None:
        return False
    asked = seen[asks[0]]
    # Of a body that is too long to be parsed, only that something stands there is known.
    return asked is True or (_are_turns(asked) if asks[0] in _TURNS else bool(asked))


def _are_turns(asked: object) -> bool:
    """Whether this is who said what, in order."""
    return isinstance(asked, list) and asked != [] and all(isinstance(turn, Mapping) for turn in asked)


# --- the body ---------------------------------------------------------------------------------------------------------


def _header(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.lower() if isinstance(value, str) else ""


def _is_json(headers: Mapping[str, Any], content: bytes | None) -> bool:
    """Whether a body is JSON: it says so, or it looks so where a client has no word for it."""
    kind = _header(headers, "content-type")
    return "json" in kind or (content is not None and content[:64].lstrip()[:1] == b"{")


def _read(content: bytes | None, headers: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the body, parsed where it is short, and the keys at its top; None for what cannot be read."""
    if not content or _header(headers, "content-encoding") not in ("", "identity"):
        return None, None
    if len(content) > _WHOLE:
        return None, top_of(content) or None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None, None
    return (body, body) if isinstance(body, dict) else (None, None)


def _model(shape: Shape, seen: Mapping[str, Any]) -> str:
    """Return the model: as the path has it, else the body, else the name of a deployment."""
    given = (seen.get(name) for name in _MODELS)
    return shape.model or next((each for each in given if isinstance(each, str)), "") or _deployment(shape.base)


def _deployment(base: str) -> str:
    return base.rpartition(DEPLOYMENTS)[2].partition("/")[0] if DEPLOYMENTS in base else ""


def _is_a_job(seen: Mapping[str, Any]) -> bool:
    """Whether the answer is to be fetched later: xAI's deferred completions, Cloudflare's batches."""
    return seen.get("deferred") is True or "requests" in seen


def _as_asked(shape: Shape, seen: Mapping[str, Any], body: Any, headers: Mapping[str, Any], query: str) -> Inference:
    model = _model(shape, seen)
    named = seen.get("model")
    base = shape.base
    # What an SDK puts into the path of one request, and only repeats the model, is no part of the client's base URL.
    if isinstance(named, str) and named and base.endswith(f"{DEPLOYMENTS}{named}"):
        base = base[: -len(DEPLOYMENTS) - len(named)]
    operation = shape.operation
    if operation == paths.CHAT and "prompt" in seen and "messages" not in seen and shape.dialect != paths.RESPONSES:
        operation = paths.TEXT
    return Inference(shape.dialect, operation, model, _is_streamed(shape, seen, headers, query), base, body)


def _is_streamed(shape: Shape, seen: Mapping[str, Any], headers: Mapping[str, Any], query: str) -> bool:
    """Whether a stream was asked for: by the path, the body, a header, or by saying nothing."""
    if shape.streamed is not None:
        return shape.streamed
    if shape.dialect == paths.DASHSCOPE:
        return _header(headers, "x-dashscope-sse") == "enable"
    if shape.dialect == paths.OLLAMA:
        return seen.get("stream") is not False
    if not seen:
        return "text/event-stream" in _header(headers, "accept") or "alt=sse" in query
    return seen.get("stream") is True
