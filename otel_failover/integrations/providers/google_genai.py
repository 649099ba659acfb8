"""google-genai 1.60 to 3.x: generated content, its streams and chats, embeddings; the Gemini API and Vertex AI.

One logical call is one call of `Models.generate_content` or of its stream: automatic function calling asks several
times inside it, retries lie inside it too. A stream is a generator that sends nothing before its first step, so its
call begins where the generator is made, and is current at each step. All else goes through `BaseApiClient.request`,
where the path says what it is: counting tokens, files and caches are no inference and settle nothing. Those places are
the same from 1.60 to 3.4. Live sessions (WebSocket) and the Interactions API do not pass here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.domain.asked import Asked
from otel_failover._core.domain.endpoint import base_of, endpoint_of
from otel_failover._core.evidence.answers.content import wordless
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.providers import other_instrumentations
from otel_failover.integrations.providers.generator_calls import Shown, Usage, Wrappers
from otel_failover.integrations.seams import GENERATOR

_SDK: Final = "google_genai"
_DEFAULT: Final = "https://generativelanguage.googleapis.com"
_CONTENT: Final = "generate_content"
_OPERATIONS: Final = {
    "generateContent": _CONTENT,
    "streamGenerateContent": _CONTENT,
    "predict": _CONTENT,
    "predictLongRunning": _CONTENT,
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
}
"""Methods of a model that are inference; Vertex AI's `predict` makes images, and vectors where the model does."""

_OPTIONS: Final = "http_options"
_PARAMETERS: Final = ("http_method", "path", "request_dict", _OPTIONS)


# --- what was asked ---------------------------------------------------------------------------------------------------


def _of_models(models: Any, _: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """Read a call of `Models.generate_content`."""
    return _asked(models._api_client, _CONTENT, kwargs.get("model"), _field(kwargs.get("config"), _OPTIONS), kwargs)


def _of_chat(chat: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """Read a call of `Chat.send_message_stream`; the chat's own configuration stands in for the message's."""
    config = kwargs.get("config") or (args[1] if len(args) > 1 else None) or read(chat, "_config")
    said = {"contents": args[0] if args else kwargs.get("message"), "config": config}
    return _asked(chat._modules._api_client, _CONTENT, read(chat, "_model"), _field(config, _OPTIONS), said)


def _of_request(client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """Read a call of `BaseApiClient.request(http_method, path, request_dict, http_options)`."""
    given = {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}
    path, _, verb = str(given.get("path")).partition("?")[0].rpartition(":")
    operation = _OPERATIONS.get(verb) if str(given.get("http_method")).lower() == "post" else None
    model = path.rpartition("models/")[2]
    kind = "embeddings" if operation and "embedding" in model else operation
    return _asked(client, kind, model, given.get(_OPTIONS), given.get("request_dict"))


def _of_upload(client: Any, _: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """Read an upload: it posts to the provider's host, and asks no model."""
    return _asked(client, None, "", kwargs.get(_OPTIONS))


def _asked(client: Any, operation: str | None, model: object, options: Any, body: object = None) -> Asked:
    """Return what was asked; a base URL may be given with the call."""
    given = _field(options, "base_url") or _field(read(client, "_http_options"), "base_url")
    endpoint = endpoint_of(given) or "" if isinstance(given, str) else ""
    vertex = bool(read(client, "vertexai"))
    return Asked(
        sdk=_SDK,
        operation=operation,
        model=model if isinstance(model, str) else "",
        endpoint=endpoint,
        is_default=endpoint == _DEFAULT or (vertex and not read(client, "custom_base_url")),
        provider="gcp.vertex_ai" if vertex else "gcp.gemini",
        credential=read(client, "api_key") or (read(client, "project"), read(client, "location")),
        own_spans=other_instrumentations.is_instrumented_by_others(_SDK),
        body=body,
        base=base_of(given) if isinstance(given, str) else "",
    )


def _field(thing: Any, name: str) -> Any:
    """Return a field of options, which may be a mapping or the SDK's own object."""
    return thing.get(name) if isinstance(thing, Mapping) else read(thing, name)


# --- what came back ---------------------------------------------------------------------------------------------------


def _shown(response: Any) -> Shown:
    """Show a response or a chunk; its own `text` is left alone, since it logs into the host's log."""
    usage = read(response, "usage_metadata")
    counts = [read(usage, name) for name in ("candidates_token_count", "thoughts_token_count")]
    numbers = [count for count in counts if isinstance(count, int)]
    tokens = Usage(read(usage, "prompt_token_count"), sum(numbers) if numbers else None)
    return Shown(
        read(response, "response_id"),
        read(response, "model_version"),
        tokens,
        _text(response),
        read(response, "candidates"),
        read(response, "prompt_feedback"),
    )


def _text(response: Any) -> str:
    candidates = read(response, "candidates")
    content = read(candidates[0], "content") if isinstance(candidates, list) and candidates else None
    parts = read(content, "parts")
    texts = [read(part, "text") or wordless(part) for part in parts] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def _event_error(problem: BaseException) -> ErrorBody | None:
    """Return the error event that a stream's exception states: its response is the SDK's, around the wire's."""
    response = read(problem, "response")
    return error_in(read(problem, "details")) if hasattr(response, "response_stream") else None


# --- what is wrapped --------------------------------------------------------------------------------------------------

_WRAP: Final = Wrappers(_shown, _event_error)

_API, _MODELS, _CHATS = "google.genai._api_client", "google.genai.models", "google.genai.chats"
_ONE: Final = "one logical call: retries and automatic function calling are inside"
_MADE: Final = "where a stream's generator is made, before it sends anything"
_ELSE: Final = "embeddings and images; what is no inference is known by its path"

_BY_NAME: Final = "*, model, config"
_OF_CHAT: Final = "message, config"

GOOGLE_GENAI: Final = Library(
    _SDK,
    "google-genai",
    ">=1.60",
    (
        Patch(_MODELS, "Models.generate_content", _WRAP.call(_of_models), _ONE, takes=_BY_NAME),
        Patch(_MODELS, "AsyncModels.generate_content", _WRAP.acall(_of_models), _ONE, takes=_BY_NAME),
        Patch(
            _MODELS, "Models.generate_content_stream", _WRAP.stream(_of_models), _MADE, kind=GENERATOR, takes=_BY_NAME
        ),
        Patch(_MODELS, "AsyncModels.generate_content_stream", _WRAP.astream(_of_models), _MADE, takes=_BY_NAME),
        Patch(_CHATS, "Chat.send_message_stream", _WRAP.stream(_of_chat), _MADE, kind=GENERATOR, takes=_OF_CHAT),
        Patch(_CHATS, "AsyncChat.send_message_stream", _WRAP.astream(_of_chat), _MADE, takes=_OF_CHAT),
        Patch(_API, "BaseApiClient.request", _WRAP.call(_of_request), _ELSE, takes=", ".join(_PARAMETERS)),
        Patch(_API, "BaseApiClient.async_request", _WRAP.acall(_of_request), _ELSE, takes=", ".join(_PARAMETERS)),
        Patch(_API, "BaseApiClient.upload_file", _WRAP.call(_of_upload), "its posts are no inference"),
        Patch(_API, "BaseApiClient.async_upload_file", _WRAP.acall(_of_upload), "its posts are no inference"),
    ),
)
"""What is wrapped of google-genai."""
