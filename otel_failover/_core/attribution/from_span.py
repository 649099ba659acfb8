"""What a span, ours or anybody's, claims about an error: read out of its attributes, status and events.

Claims are: the status description, `error.*`, HTTP status keys, `gen_ai.response.*`, and on an ERROR span the type and
message of its exception events. Not the stack trace, links, prompts, tool content, or keys that speak of `previous`,
`fallback` or `retry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.trace import StatusCode

from otel_failover._core.attribution.claim import Claim, http_status
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers
from otel_failover._core.domain.endpoint import address_of, endpoint_of
from otel_failover._core.failsafe import text_of

_ERROR_PROVIDER: Final = ("error.llm_provider", "litellm.provider.error.llm_provider")
_HTTP_STATUS: Final = (names.HTTP_STATUS, "http.status_code")
_CODES: Final = ("error.code",)
_REQUEST_IDS: Final = ("error.request_id",)
_ADDRESS: Final = ("server.address", "net.peer.name")
_URLS: Final = ("url.full", "http.url")
_CLAIM_KEYS: Final = frozenset({names.GEN_AI_RESPONSE_ID, _ERROR_PROVIDER[1], *_HTTP_STATUS, "exception.message"})
_NO_TEXT: Final = frozenset({names.ERROR_TYPE, *_ERROR_PROVIDER, *_CODES, *_REQUEST_IDS})
_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion", "responses"})
_EVENTS: Final = 8

_CANNOT_RAISE: Final[dict[str, frozenset[str]]] = {
    "anthropic": frozenset({"gcp.gemini", "openai", "cohere", "mistral_ai", "perplexity"}),
    "google.genai": frozenset(
        {"openai", "anthropic", "aws.bedrock", "azure.ai.openai", "cohere", "mistral_ai", "groq"}
    ),
    "botocore": frozenset({"openai", "gcp.gemini", "gcp.vertex_ai", "azure.ai.openai", "groq"}),
    "cohere": frozenset({"openai", "anthropic", "gcp.gemini", "gcp.vertex_ai", "groq"}),
    "mistralai": frozenset({"openai", "anthropic", "gcp.gemini", "groq", "cohere"}),
}
"""SDK families, by the module of their exceptions, and the providers that never raise them. The OpenAI SDK talks to
everybody, so it is not here."""


class Reading(NamedTuple):
    """One span's claim, and whom the span speaks of.

    Args:
        claim: About its error.
        error: Whether it claims an error; else only a response.
        provider: The one provider that the span names, in OpenTelemetry's spelling.
        model: The requested model that it names.
        address: Host and port that it names.
    """

    claim: Claim
    error: bool
    provider: str | None = None
    model: str | None = None
    address: tuple[str, int | None] | None = None


def read_claim(span: Any, since: int | None = None) -> Reading | None:
    """Return what a span claims, or None where it claims nothing.

    Args:
        span: A span that is ending, or has ended.
        since: Exception events before this are no claims, in nanoseconds of the wall clock.
    """
    attributes: Mapping[str, Any] = span.attributes or {}
    is_error = span.status.status_code is StatusCode.ERROR
    if not is_error and not may_claim(attributes):
        return None
    status = next((n for key in _HTTP_STATUS if (n := http_status(attributes.get(key))) is not None), None)
    claim = _claim_in(span, attributes, status, since, is_error=is_error)
    has_facts = claim.type is not None or bool(claim.texts or claim.codes or claim.request_ids)
    error = is_error or has_facts or (status or 0) >= 400
    if not error and claim.response_id is None:
        return None
    return _reading(claim, attributes, error=error)


def _reading(claim: Claim, attributes: Mapping[str, Any], *, error: bool) -> Reading:
    provider = _single(attributes.get(names.GEN_AI_PROVIDER) or attributes.get(names.GEN_AI_SYSTEM))
    model = attributes.get(names.GEN_AI_REQUEST_MODEL)
    return Reading(claim, error, provider, model if isinstance(model, str) else None, _address(attributes))


def read_record(record: Any, span: Mapping[str, Any]) -> Reading | None:
    """Return what a log record claims that is an exception event, or None where it claims nothing.

    Args:
        record: Of the SDK; older ones keep an event's facts in its body.
        span: The attributes of its span, which say of whom it speaks.
    """
    body = record.body if isinstance(record.body, Mapping) else {}
    facts = {**body, **(record.attributes or {})}
    claim = _claim_of_event(facts)
    if claim.type is None and not claim.texts:
        return None
    named = {**span, **facts}
    claim = claim._replace(conflict=_conflict(named, [claim.type] if claim.type else []))
    return _reading(claim, named, error=True)


def read_events(span: Any, since: int | None = None) -> list[tuple[Any, Claim]]:
    """Return the exception events of a span, each with what it claims.

    Args:
        span: A span of the SDK.
        since: Nanoseconds since the epoch; an event from before that is no claim. None for all of them.
    """
    events = [event for event in span.events if event.name == names.EVENT_EXCEPTION and event.attributes]
    if since is not None:
        events = [event for event in events if event.timestamp >= since]
    return [(event, _claim_of_event(event.attributes)) for event in events[-_EVENTS:]]


def _claim_of_event(attributes: Mapping[str, Any]) -> Claim:
    kind, text = attributes.get(names.EXCEPTION_TYPE), attributes.get(names.EXCEPTION_MESSAGE)
    return Claim(
        type=kind if isinstance(kind, str) else None,
        texts=(text,) if isinstance(text, str) and text else (),
    )


def may_conflict(span: Any) -> bool:
    """Whether a span outside every attempt and run is worth reading: it runs for every span of the process."""
    return span.status.status_code is StatusCode.ERROR or has_error_provider(span)


def has_error_provider(span: Any) -> bool:
    """Whether a span names its error's provider in a key of its own."""
    attributes = span.attributes
    # Not asked by name: to look up what is not there raises, two frames deep.
    return attributes is not None and _ERROR_PROVIDER[0] in iter(attributes)


def may_claim(attributes: Mapping[str, Any]) -> bool:
    """Whether a span without an ERROR status may claim anything: with little ado, since many are asked."""
    keys = list(attributes)
    if not _CLAIM_KEYS.isdisjoint(keys):
        return True
    return "error." in " ".join(keys) and any(key.startswith("error.") for key in keys)


def _claim_in(
    span: Any, attributes: Mapping[str, Any], status: int | None, since: int | None = None, *, is_error: bool
) -> Claim:
    """Collect the claim out of a span; `error.type` may be a class, a code or a status, which its looks decide."""
    texts = [span.status.description, attributes.get("exception.message")]
    texts += [value for key, value in attributes.items() if key.startswith("error.") and key not in _NO_TEXT]
    types = [attributes.get(names.ERROR_TYPE)]
    if is_error:
        events = [claim for _, claim in read_events(span, since)]
        texts += [text for claim in events for text in claim.texts]
        types += [claim.type for claim in events]
    kinds = [kind for kind in types if isinstance(kind, str) and kind]
    words = [kind for kind in kinds if "." not in kind and not kind[:1].isupper() and not kind.isdigit()]
    codes = [*(attributes.get(key) for key in _CODES), *words]
    numbers = [http_status(value) for value in (*codes, *kinds)]
    response_id = attributes.get(names.GEN_AI_RESPONSE_ID)
    return Claim(
        type=kinds[0] if kinds else None,
        texts=tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text)),
        status=status if status is not None else next((n for n in numbers if n is not None), None),
        codes=frozenset(code for code in codes if isinstance(code, str) and code and not code.isdigit()),
        request_ids=frozenset(value for key in _REQUEST_IDS if isinstance(value := attributes.get(key), str)),
        response_id=response_id if isinstance(response_id, str) and not is_error else None,
        conflict=_conflict(attributes, kinds),
    )


def _single(value: object) -> str | None:
    """Return the one provider that a value names; a composite one (`fallback:openai,anthropic`) names none."""
    if not isinstance(value, str) or not value or "," in value or ":" in value:
        return None
    return providers.canonical(value)


def _conflict(attributes: Mapping[str, Any], kinds: list[str]) -> str | None:
    """Return the provider of the span's error where the span itself names another one."""
    named = _single(attributes.get(names.GEN_AI_PROVIDER) or attributes.get(names.GEN_AI_SYSTEM))
    if named is None or named not in providers.PROVIDERS:
        return None
    for key in _ERROR_PROVIDER:
        theirs = _single(attributes.get(key))
        if theirs is not None and theirs in providers.PROVIDERS:
            return None if _is_kin(theirs, named) else theirs
    if text_of(attributes.get(names.GEN_AI_OPERATION)) not in _INFERENCE:
        return None
    for kind in kinds:
        family = next((each for each in _CANNOT_RAISE if kind.startswith(each + ".")), None)
        if family is not None and named in _CANNOT_RAISE[family]:
            return {"google.genai": "gcp.gemini", "botocore": "aws.bedrock", "mistralai": "mistral_ai"}.get(
                family, family
            )
    return None


def _is_kin(one: str, other: str) -> bool:
    """Whether two names may mean one provider: Google's three, Azure's two and the OpenAI they host."""
    if one == other:
        return True
    families = ("gcp.", "azure.")
    if any(one.startswith(family) and other.startswith(family) for family in families):
        return True
    return {one, other} in ({"openai", "azure.ai.openai"}, {"openai", "azure.ai.inference"})


def _address(attributes: Mapping[str, Any]) -> tuple[str, int | None] | None:
    for key in _ADDRESS:
        host = attributes.get(key)
        if isinstance(host, str) and host:
            port = attributes.get("server.port", attributes.get("net.peer.port"))
            return host, port if isinstance(port, int) else None
    for key in _URLS:
        url = attributes.get(key)
        if isinstance(url, str) and (endpoint := endpoint_of(url)):
            return address_of(endpoint)
    return None


def names_candidate(candidate: identity.Candidate, reading: Reading) -> bool:
    """Whether a span names a candidate: by its model, else by its provider."""
    if reading.model is not None and reading.model == candidate.model:
        return reading.provider is None or reading.provider == candidate.provider
    return reading.model is None and reading.provider is not None and reading.provider == candidate.provider


def by_model_alone(reading: Reading) -> Reading | None:
    """Return a reading without its provider, where that is no provider: a framework's own name, `strands-agents`."""
    if reading.model is None or reading.provider is None or reading.provider in providers.PROVIDERS:
        return None
    return reading._replace(provider=None)
