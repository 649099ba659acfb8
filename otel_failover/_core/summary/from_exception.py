"""What exceptions say of candidates, where no run's evidence is at hand: taken at their word, and no further.

By duck typing: no library is imported, every read is guarded, no text is handed on. Who it was is read from keys and
from the host that a request went to, never from an SDK's name; an exception that names nobody makes no row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_failover._core.attribution.from_exception import from_exception
from otel_failover._core.domain import candidate as identity
from otel_failover._core.domain import providers, reasons
from otel_failover._core.domain.outcome import ERROR, REJECTED, SKIPPED
from otel_failover._core.evidence.call_error import response_of
from otel_failover._core.evidence.error_body import ErrorBody, error_in
from otel_failover._core.failsafe import read, text_of
from otel_failover._core.summary.row import CandidateSummary, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH: Final = 8
_MOST: Final = 64
_TEXT: Final = 2_048
_PROVIDER_KEYS: Final = ("llm_provider", "provider_name", "provider")
_MODEL_KEYS: Final = ("model_id", "model_name", "model")
_LITELLM: Final = "litellm"
_COOLING: Final = "RouterRateLimitError"
_REJECTED: Final = "ResponseRejected"
_CHAIN: Final = "fallback:"
_STATUS: Final = r"(?:Error code|status_code): (\d{3})\b"
_HAYSTACK: Final = (
    r"(?s)All \d+ chat generators failed\. Last error: (?P<last>.*)\. Failed chat generators: \[(?P<names>[^\]]*)\]"
)

_BY_CLASS: Final = (
    ("ContextWindowExceededError", reasons.CONTEXT_OVERFLOW),
    ("ContentPolicyViolationError", reasons.CONTENT_POLICY),
)
_NO_CONNECTION: Final = frozenset(
    {
        "APIConnectionError", "ConnectError", "ConnectionError", "RemoteProtocolError", "ReadError", "WriteError",
        "NetworkError", "EndpointConnectionError", "ClientConnectionError", "ModelConnectionError",
    }
)  # fmt: skip
_STOCK: Final = ((reasons.TIMEOUT, "timed out"), (reasons.CONNECTION, "connection error"))

_GENERATORS: Final = (
    ("AzureOpenAI", "azure.ai.openai"), ("OpenAI", "openai"), ("Anthropic", "anthropic"), ("Google", "gcp.gemini"),
    ("Vertex", "gcp.vertex_ai"), ("AmazonBedrock", "aws.bedrock"), ("Cohere", "cohere"), ("Mistral", "mistral_ai"),
    ("Ollama", "ollama"), ("HuggingFace", "hugging_face"), ("TogetherAI", "together_ai"),
    ("OpenRouter", "openrouter"), ("Nvidia", "nvidia_nim"), ("WatsonX", "ibm.watsonx.ai"),
)  # fmt: skip
"""How the names of haystack's generators begin."""


class _Facts(NamedTuple):
    """What one exception says.

    Args:
        provider: By a key of its own, or by the host that was asked.
        model: By a key of its own.
        status: Of an answer; one that a library made up is left out.
        reason: In our vocabulary.
        bound: It carries a request, a response or a body: it is about a call, whoever was asked.
    """

    provider: str | None
    model: str | None
    status: int | None
    reason: str
    bound: bool


def members_of(problem: object) -> tuple[BaseException, ...]:
    """Return the exceptions of a group: Python's own, its backport's, or anything that looks alike."""
    members = read(problem, "exceptions")
    if not isinstance(members, (tuple, list)):
        return ()
    return tuple(each for each in members[:_MOST] if isinstance(each, BaseException))


def rows_of(problem: BaseException) -> list[CandidateSummary]:
    """Return a row for each candidate that an exception is about, in its order; none where it names nobody.

    Args:
        problem: A group, a loop's or an SDK's error, or any other.
    """
    return list(_rows(problem, _DEPTH))[:_MOST]


def _rows(problem: BaseException, depth: int) -> Iterator[CandidateSummary]:
    if not depth:
        return
    inner = read(problem, "original_exception")
    cause = read(problem, "__cause__")
    members = members_of(problem)
    if members:
        yield from _group(problem, members, depth)
    elif (found := re.match(_HAYSTACK, text_of(problem)[: 4 * _TEXT])) is not None:
        yield from _haystack(found)
    elif isinstance(inner, BaseException):
        yield from _rows(inner, depth - 1)
    elif (row := _single(problem)) is not None:
        yield row
    elif isinstance(cause, BaseException):
        yield from _rows(cause, depth - 1)


# --- groups -----------------------------------------------------------------------------------------------------------


def _group(problem: BaseException, members: tuple[BaseException, ...], depth: int) -> Iterator[CandidateSummary]:
    attempts = read(problem, "attempts")
    listed = list(attempts)[:_MOST] if isinstance(attempts, (tuple, list)) else []
    if listed and all(isinstance(read(each, "model_name"), str) for each in listed):
        yield from _attempts(*_paired(listed, members), depth)
        return
    for member in members:
        if type(member).__name__ == _REJECTED:
            yield _made(None, None, None, reasons.RESPONSE_REJECTED, REJECTED)
        else:
            yield from _rows(member, depth - 1)


def _paired(listed: list[object], members: tuple[BaseException, ...]) -> tuple[list[object], dict[int, BaseException]]:
    """Return the attempts that a group lists (pydantic-ai 2.56 and later), and the exception of each, by position.

    The exceptions stand in the order of the attempts, without those whose answer was rejected. A chain inside the chain
    is a group among them; its attempts are listed too, before one for itself.
    """
    flat = [each for each in listed if not text_of(read(each, "model_name")).startswith(_CHAIN)]
    for attempts, errors in ((flat, list(_leaves(members, _DEPTH))), (listed, _raised(members))):
        failed = [at for at, each in enumerate(attempts) if read(each, "outcome") != REJECTED]
        if len(failed) == len(errors):
            return attempts, dict(zip(failed, errors, strict=True))
    return flat, {}


def _raised(members: tuple[BaseException, ...]) -> list[BaseException]:
    return [each for each in members if type(each).__name__ != _REJECTED]


def _leaves(members: tuple[BaseException, ...], depth: int) -> Iterator[BaseException]:
    for each in _raised(members):
        inner = members_of(each) if depth else ()
        yield from _leaves(inner, depth - 1) if inner else [each]


def _attempts(listed: list[object], errors: dict[int, BaseException], depth: int) -> Iterator[CandidateSummary]:
    for position, each in enumerate(listed):
        problem = errors.get(position)
        provider, model = _provider_word(read(each, "provider_name")), _model_word(read(each, "model_name"))
        if read(each, "outcome") == REJECTED:
            yield _made(provider, model, None, reasons.RESPONSE_REJECTED, REJECTED)
        elif problem is not None and members_of(problem):
            yield from _rows(problem, depth - 1)
        elif problem is not None:
            facts = _facts(problem)
            yield _made(provider or facts.provider, model, facts.status, facts.reason)
        else:
            status = _status_in(text_of(read(each, "error")))
            yield _made(provider, model, status, reasons.from_answer(status))


def _haystack(found: re.Match[str]) -> Iterator[CandidateSummary]:
    """Yield rows for haystack's text: it names the generators' classes, and the error of the last one only."""
    names = [name.strip(" '\"") for name in found["names"].split(",") if name.strip()][:_MOST]
    for position, name in enumerate(names, 1):
        provider = next((each for start, each in _GENERATORS if name.startswith(start)), None)
        status = _status_in(found["last"]) if position == len(names) else None
        reason = _stock(found["last"]) if position == len(names) and status is None else None
        yield _made(provider, None, status, reason or reasons.from_answer(status))


# --- one exception ----------------------------------------------------------------------------------------------------


def _single(problem: BaseException) -> CandidateSummary | None:
    facts = _facts(problem)
    if _is_litellm(problem) and type(problem).__name__ == _COOLING:
        # Every deployment cools down and nothing was asked; its 429 is no provider's.
        return CandidateSummary(None, facts.model, None, "cooldown", title_of(SKIPPED, "cooldown"), SKIPPED, 0)
    if not (facts.provider or facts.model or facts.bound):
        return None
    return _made(facts.provider, facts.model, facts.status, facts.reason)


def _made(
    provider: str | None, model: str | None, status: int | None, reason: str, outcome: str = ERROR
) -> CandidateSummary:
    return CandidateSummary(provider, model, status, reason, title_of(outcome, reason), outcome)


def _facts(problem: BaseException) -> _Facts:
    said, body = from_exception(problem), _body(problem)
    response = None if _is_litellm(problem) else response_of(problem)
    answered = read(response, "status_code")
    status = answered if isinstance(answered, int) and not isinstance(answered, bool) else said.status
    status, reason = _reason(problem, status, said.codes, body)
    provider = next((word for key in _PROVIDER_KEYS if (word := _provider_word(read(problem, key)))), None)
    model = next((word for key in _MODEL_KEYS if (word := _model_word(read(problem, key)))), None)
    if provider and model:
        model = _without(model, (provider, read(problem, "llm_provider")))
    asked = read(problem, "request") if not _is_litellm(problem) else None
    bound = body is not None or response is not None or asked is not None
    return _Facts(provider or _by_host(problem), model, status, reason, bound)


def _reason(
    problem: BaseException, status: int | None, codes: frozenset[str], body: ErrorBody | None
) -> tuple[int | None, str]:
    """Return the status, unless a library made it up, and the reason: by class, status, code, words."""
    answered = response_of(problem) or response_of(read(problem, "__cause__"))
    made_up = status is None or answered is None or _is_litellm(problem)
    around = _class_names(problem) | _class_names(read(problem, "__cause__"))
    if made_up and any("Timeout" in name for name in around):
        return None, reasons.TIMEOUT
    if made_up and not _NO_CONNECTION.isdisjoint(around):
        real = not _is_litellm(problem) or _caused_by_transport(problem)
        return None, reasons.CONNECTION if real else reasons.UNKNOWN
    names = _class_names(problem)
    by_class = next((reason for name, reason in _BY_CLASS if name in names), None)
    reason = by_class
    if reason is None and body is not None:
        reason = body.reason(status)
    if reason is None or reason == reasons.UNKNOWN:
        reason = reasons.from_answer(status, sorted(codes), body.message if body else "")
    if reason == reasons.UNKNOWN and status is None:
        reason = _stock(text_of(problem)) or reason
    return (None if read(problem, "in_stream") is True else status), reason


def _class_names(problem: object) -> frozenset[str]:
    return frozenset(cls.__name__ for cls in type(problem).__mro__)


def _caused_by_transport(problem: BaseException) -> bool:
    """Whether a connection failed below litellm, which calls whatever it does not know an APIConnectionError."""
    link, depth = read(problem, "__cause__") or read(problem, "__context__"), _DEPTH
    while isinstance(link, BaseException) and depth:
        if not _is_litellm(link) and not _NO_CONNECTION.isdisjoint(_class_names(link)):
            return True
        link, depth = read(link, "__cause__") or read(link, "__context__"), depth - 1
    return False


def _is_litellm(problem: object) -> bool:
    """Whether litellm made it: its response, its request and some of its statuses are made up."""
    return any(cls.__module__.partition(".")[0] == _LITELLM for cls in type(problem).__mro__)


def _body(problem: BaseException) -> ErrorBody | None:
    body = read(problem, "body")
    return error_in(body) if isinstance(body, (dict, list)) else None


def _by_host(problem: BaseException) -> str | None:
    """Return the provider of the host that was asked, as the exception's request, or its cause's, has it."""
    for link in (problem, read(problem, "__cause__")):
        request = None if link is None or _is_litellm(link) else read(link, "request")
        host = read(read(request, "url"), "host")
        if isinstance(host, str) and (known := providers.provider_of_host(host)):
            return known
    return None


def _provider_word(word: object) -> str | None:
    """Return a provider as OpenTelemetry spells it; what is outside the table may be anything, and is not shown."""
    if not isinstance(word, str) or len(word) > _DEPTH * _DEPTH:
        return None
    known = providers.canonical(word)
    return known if providers.metric_value(known) != providers.OTHER else None


def _model_word(word: object) -> str | None:
    """Return a model's name, redacted and then cut; what is longer than any name is none."""
    return identity.shown(word) or None if isinstance(word, str) and len(word) <= _TEXT else None


def _without(model: str, prefixes: tuple[object, ...]) -> str:
    """Return a model's name without the provider that some libraries put before it."""
    before = next((each for each in prefixes if isinstance(each, str) and model.startswith(f"{each}/")), None)
    return model[len(before) + 1 :] if before else model


def _status_in(text: str) -> int | None:
    found = re.search(_STATUS, text[:_TEXT])
    return int(found[1]) if found is not None and 400 <= int(found[1]) < 600 else None


def _stock(text: str) -> str | None:
    folded = text[:_TEXT].casefold()
    return next((reason for reason, phrase in _STOCK if phrase in folded), None)
