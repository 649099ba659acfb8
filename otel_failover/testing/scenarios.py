"""Fallback loops that run as they stand, against local providers, with what their traces have to say about each.

Three local servers play the providers; the SDKs, the loop and the exceptions are real. The loop is wrong in the ways
that people's loops were: it books the session's first error on everybody, or raises the first exception again. Mended,
it differs in that line only. Demo and test suite run the same scenarios and hold the spans against the same
expectations.

    from otel_failover.testing.scenarios import INCIDENT, deviations, play

    played = play(INCIDENT)
    assert deviations(played, spans) == []

The openai and the anthropic SDK have to be installed. Nothing leaves the machine, and no variable of the environment
has a say: see `own_environment`.
"""

from __future__ import annotations

import inspect
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover import attribution, names, reasons, settlement
from otel_failover.identity import Candidate
from otel_failover.run import FALLBACK, Run, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from opentelemetry.trace import TracerProvider

    from otel_failover.attempt import Attempt
    from otel_failover.testing.providers import Kind, Served

    Blame = Callable[[Attempt, "_Session", Exception], Exception]

__all__ = [
    "FIRST_ERROR_AGAIN",
    "FIRST_ERROR_AGAIN_MENDED",
    "INCIDENT",
    "INCIDENT_MENDED",
    "KEYS",
    "SCENARIOS",
    "Deviation",
    "Expected",
    "FailoverError",
    "Member",
    "Played",
    "Report",
    "Scenario",
    "SpanLike",
    "deviations",
    "own_environment",
    "play",
]

PATIENCE: Final = 0.4
"""Seconds a client waits for a provider that never answers."""

KEYS: Final = {
    "openai": "sk-proj-local00000000000000000000000000openaikey",
    "anthropic": "sk-ant-local00000000000000000000000anthropickey",
    "gcp.gemini": "AIzaLocal000000000000000000000000000geminikey",
    "team-a": "sk-proj-local00000000000000000000000000teamakey",
    "team-b": "sk-proj-local00000000000000000000000000teambkey",
}
"""The keys that the clients send, by profile or provider. They open nothing, and still stand in no span."""

_FOREIGN_VARIABLES: Final = ("OPENAI_", "ANTHROPIC_", "OTEL_", "AZURE_OPENAI_")
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_PROMPT: Final[Any] = [{"role": "user", "content": "Say hello."}]


class FailoverError(Exception):
    """What the loops raise for a candidate that failed, as agents and gateways do.

    Args:
        provider: Whom the loop blames.
        reason: The loop's own word.
        status: The HTTP status that the loop believes in.
        text: The sentence that ends on the dashboard.
    """

    def __init__(self, provider: str, reason: str, status: int | None, text: str) -> None:
        super().__init__(text)
        self.provider, self.reason, self.status = provider, reason, status


# --- what a scenario says ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """One place of a chain, and the local provider behind it.

    Args:
        provider: The candidate's provider.
        model: Its model.
        answer: What the local provider gives.
        kind: Whose wire format the local provider speaks; also which SDK asks.
        profile: The label of its key.
    """

    provider: str
    model: str
    answer: Answer
    kind: Kind = "openai"
    profile: str | None = None

    @property
    def name(self) -> str:
        """What the local provider's log calls it."""
        return self.profile or self.provider


@dataclass(frozen=True, slots=True)
class Expected:
    """What the span of one candidate has to say.

    Args:
        outcome: `success`, `error`, …
        reason: Our reason code; None on success.
        status: HTTP status of the terminal response; None where nothing came back.
        verdict: Of the claims about it.
        rule: The rule that fired.
        source: Provider and place of the one whose error was claimed.
        bound_by: What tells so.
    """

    outcome: str
    reason: str | None
    status: int | None
    verdict: str = attribution.VERIFIED
    rule: str | None = None
    source: tuple[str, int] | None = None
    bound_by: str | None = None

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that the candidate's span has to carry; None: it may not have the key."""
        provider, index = self.source or (None, None)
        return {
            names.CANDIDATE_OUTCOME: self.outcome,
            names.REASON_CODE: self.reason,
            names.HTTP_STATUS: self.status,
            names.VERDICT: self.verdict,
            names.RULE: self.rule,
            names.MISMATCH: True if self.verdict == attribution.MISMATCH else None,
            names.SOURCE_PROVIDER: provider,
            names.SOURCE_INDEX: index,
            names.BOUND_BY: self.bound_by,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a loop told about one candidate: what a dashboard without us would show.

    Args:
        index: The candidate's place in the chain.
        reason: The loop's word; None for a success.
        status: The status it named.
        text: The sentence it named.
    """

    index: int
    reason: str | None
    status: int | None
    text: str


class Ask(Protocol):
    """Asks one candidate through its SDK; returns its words, raises what the SDK raises."""

    def __call__(self, candidate: Candidate) -> str:
        """Ask a candidate of the chain."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A chain, what the loop over it makes of a failure, and what the trace has to say.

    Args:
        name: One word, for tests and files.
        title: What happens, in one sentence for people.
        members: The chain.
        blame: What the loop raises for a failure: right or wrong, it is this line that a loop is judged by.
        expected: One per candidate, in the chain's order.
        outcome: The run's.
    """

    name: str
    title: str
    members: tuple[Member, ...]
    blame: Blame
    expected: tuple[Expected, ...]
    outcome: str = FALLBACK


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario that has run.

    Args:
        scenario: Which.
        run_id: As on its spans.
        chain: The candidates, with the endpoints they had.
        reports: What the loop told, in order.
        served: What each local provider really answered, in the chain's order: its own log.
        reply: What the loop returned.
    """

    scenario: Scenario
    run_id: str
    chain: tuple[Candidate, ...]
    reports: tuple[Report, ...]
    served: tuple[tuple[Served, ...], ...]
    reply: str | None


# --- the loop ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Session:
    """What one request keeps while its candidates are tried; all of them share it."""

    errors: list[Exception] = field(default_factory=list)


def _fail_over(run: Run, chain: Sequence[Candidate], ask: Ask, blame: Blame, reports: list[Report]) -> str | None:
    """Try one candidate after the other; what each failure is booked as, `blame` says."""
    session = _Session()
    for candidate in chain:
        try:
            with run.attempt(candidate) as attempt:
                try:
                    reply = ask(candidate)
                except Exception as problem:
                    session.errors.append(problem)
                    raise blame(attempt, session, problem)  # noqa: B904 - as loops do; Python fills in the context
        except Exception as failure:  # noqa: PERF203 - a fallback loop is a try in a loop
            booked = failure if isinstance(failure, FailoverError) else _failure(attempt, failure)
            reports.append(Report(attempt.index, booked.reason, booked.status, str(booked)))
        else:
            reports.append(Report(attempt.index, None, None, reply))
            return reply
    return None


def _failure(attempt: Attempt, problem: Exception) -> FailoverError:
    """Return what a loop makes of an SDK's exception: a word for its status, and the provider's sentence."""
    status = getattr(problem, "status_code", None)
    word = "quota" if status == 429 else "timeout" if status is None else "error"
    return FailoverError(attempt.provider, word, status, _sentence(problem))


def _sentence(problem: Exception) -> str:
    """Return the message of an error's body (openai gives what is below `error`), else the exception's own text."""
    body = getattr(problem, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else str(problem)


def _sessions_first_error(attempt: Attempt, session: _Session, _: Exception) -> Exception:
    """Wrong: a new error, with what the session said first, which may be another candidate's."""
    return _failure(attempt, session.errors[0])


def _first_exception_again(_: Attempt, session: _Session, __: Exception) -> Exception:
    """Wrong: the very exception that the first candidate raised."""
    return session.errors[0]


def _own_facts(attempt: Attempt, _: _Session, problem: Exception) -> Exception:
    """Right: a new error, with what has just been caught."""
    return _failure(attempt, problem)


def _own_exception(_: Attempt, __: _Session, problem: Exception) -> Exception:
    """Right: the exception that has just been caught, as it is."""
    return problem


# --- the scenarios ----------------------------------------------------------------------------------------------------

_THREE_PROVIDERS: Final = (
    Member("openai", "gpt-5.5", Answer.openai_quota()),
    Member("anthropic", "claude-opus-4-7", Answer.hang(), "anthropic"),
    # Google's own endpoint for OpenAI's SDK: the third provider needs no third SDK.
    Member("gcp.gemini", "gemini-2.5-flash", Answer.ok("Hello from the third.")),
)
_TWO_KEYS: Final = (
    Member("openai", "gpt-5.5", Answer.openai_quota(), profile="team-a"),
    Member("openai", "gpt-5.5", Answer.hang(), profile="team-b"),
    Member("anthropic", "claude-opus-4-7", Answer.ok("Hello from the third."), "anthropic"),
)

_QUOTA: Final = Expected(settlement.ERROR, reasons.BILLING, 429)
_TIMEOUT: Final = Expected(settlement.ERROR, reasons.TIMEOUT, None)
_SERVED: Final = Expected(settlement.SUCCESS, None, 200)


def _stale(bound_by: str) -> Expected:
    """Return the timeout that carries the first candidate's error."""
    return Expected(
        settlement.ERROR,
        reasons.TIMEOUT,
        None,
        attribution.MISMATCH,
        attribution.STALE_ERROR,
        ("openai", 0),
        bound_by,
    )


INCIDENT: Final = Scenario(
    "incident",
    "OpenAI is out of quota, Anthropic never answers; the loop reports OpenAI's error as Anthropic's.",
    _THREE_PROVIDERS,
    _sessions_first_error,
    (_QUOTA, _stale("text"), _SERVED),
)
FIRST_ERROR_AGAIN: Final = Scenario(
    "first_error_again",
    "OpenAI twice, under two keys: team-a is out of quota, team-b never answers; the loop raises team-a's exception "
    "again for team-b.",
    _TWO_KEYS,
    _first_exception_again,
    (_QUOTA, _stale("object"), _SERVED),
)
INCIDENT_MENDED: Final = Scenario(
    "incident_mended",
    "The first chain again, with the loop mended: it reports the error it has just caught.",
    _THREE_PROVIDERS,
    _own_facts,
    (_QUOTA, _TIMEOUT, _SERVED),
)
FIRST_ERROR_AGAIN_MENDED: Final = Scenario(
    "first_error_again_mended",
    "The two keys again, with the loop mended: it lets each candidate's own exception pass.",
    _TWO_KEYS,
    _own_exception,
    (_QUOTA, _TIMEOUT, _SERVED),
)
SCENARIOS: Final = (INCIDENT, FIRST_ERROR_AGAIN, INCIDENT_MENDED, FIRST_ERROR_AGAIN_MENDED)


# --- running them -----------------------------------------------------------------------------------------------------


def play(scenario: Scenario, tracer_provider: TracerProvider | None = None) -> Played:
    """Run a scenario.

    Args:
        scenario: What to run. `FailoverInstrumentor().instrument()` has been called.
        tracer_provider: Where SDKs that make spans by themselves send them; the global one by default.

    Returns:
        What the loop told, and what the local providers really answered.
    """
    with ExitStack() as stack:
        stack.enter_context(own_environment())
        servers = [
            stack.enter_context(LocalProvider(member.kind, member.answer, name=member.name))
            for member in scenario.members
        ]
        chain = tuple(
            Candidate(member.provider, member.model, server.endpoint, member.profile)
            for member, server in zip(scenario.members, servers, strict=True)
        )
        asks = {
            candidate: stack.enter_context(_asking(member, server.base_url, tracer_provider))
            for member, server, candidate in zip(scenario.members, servers, chain, strict=True)
        }
        reports: list[Report] = []
        with failover_run("chat", chain=chain) as run:
            reply = _fail_over(run, chain, lambda candidate: asks[candidate](), scenario.blame, reports)
        served = tuple(tuple(server.log) for server in servers)
    return Played(scenario, run.id, chain, tuple(reports), served, reply)


def _asking(member: Member, base_url: str, tracer_provider: TracerProvider | None) -> Any:
    """Return a context manager that gives a function asking one member through its real SDK."""
    ask = _ask_anthropic if member.kind == "anthropic" else _ask_openai
    return ask(member, base_url, tracer_provider)


@contextmanager
def _ask_openai(member: Member, base_url: str, _: TracerProvider | None) -> Iterator[Callable[[], str]]:
    """Give a function that asks through OpenAI's SDK: its own providers, and Gemini's endpoint for it."""
    import openai

    with openai.OpenAI(
        api_key=KEYS[member.name],
        base_url=base_url,
        max_retries=0,
        timeout=PATIENCE,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:

        def ask() -> str:
            reply = client.chat.completions.create(model=member.model, messages=_PROMPT)
            return reply.choices[0].message.content or ""

        yield ask


@contextmanager
def _ask_anthropic(
    member: Member, base_url: str, tracer_provider: TracerProvider | None
) -> Iterator[Callable[[], str]]:
    """Give a function that asks through Anthropic's SDK, whose own spans (1.11 and newer) go where ours go."""
    import anthropic

    options: dict[str, Any] = {}
    if tracer_provider is not None and "open_telemetry" in inspect.signature(anthropic.Anthropic.__init__).parameters:
        options["open_telemetry"] = {"tracer_provider": tracer_provider, "propagation": False}
    with anthropic.Anthropic(
        api_key=KEYS[member.name],
        base_url=base_url,
        max_retries=0,
        timeout=PATIENCE,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
        **options,
    ) as client:

        def ask() -> str:
            reply = client.messages.create(model=member.model, messages=_PROMPT, max_tokens=64)
            return "".join(getattr(block, "text", "") for block in reply.content)

        yield ask


@contextmanager
def own_environment(*kept: str) -> Iterator[None]:
    """Take everything out of the environment that SDKs, proxies and OpenTelemetry read, and put it back.

    A base URL, a key, a proxy, a sampler or a rule switched off in somebody's shell would change what a scenario shows.
    SDKs read their variables where clients are made (openai's `OPENAI_LOG` at import, too), so imports and clients
    belong inside.

    Args:
        kept: Names to leave in place.
    """
    hidden = {name: value for name, value in os.environ.items() if name not in kept and _is_foreign(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN_VARIABLES) or name.upper() in _PROXY_VARIABLES


# --- holding spans against what is expected ---------------------------------------------------------------------------


class SpanLike(Protocol):
    """What is read of a span: an SDK's `ReadableSpan`, or what a file says."""

    @property
    def name(self) -> str:
        """The span's name."""

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """The span's attributes."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One fact of one span that is not as expected.

    Args:
        span: The span's name, or who is missing.
        key: The attribute.
        expected: What it should be; None: it should not be there.
        found: What it is.
    """

    span: str
    key: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.span}: {self.key}: expected {_shown(self.expected)}, got {_shown(self.found)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def deviations(played: Played, spans: Iterable[SpanLike]) -> list[Deviation]:
    """Hold the spans of a run against the scenario's expectations.

    Args:
        played: What was run.
        spans: Spans as exported; those of other runs are left alone.

    Returns:
        What is not as expected, empty if all is.
    """
    own = [span for span in spans if (span.attributes or {}).get(names.RUN_ID) == played.run_id]
    found = _compared(own, names.SPAN_RUN, None, {names.OUTCOME: played.scenario.outcome}, "the run")
    for index, (member, expected) in enumerate(zip(played.scenario.members, played.scenario.expected, strict=True)):
        who = f"candidate {index} ({member.name})"
        found += _compared(own, names.SPAN_CANDIDATE, index, expected.attributes(), who)
    return found


def _compared(
    spans: Sequence[SpanLike], kind: str, index: int | None, expected: Mapping[str, object], who: str
) -> list[Deviation]:
    """Compare the one span of a kind and a place."""
    matching = [
        span
        for span in spans
        if span.name.split(" ")[0] == kind and index in (None, (span.attributes or {}).get(names.CANDIDATE_INDEX))
    ]
    if len(matching) != 1:
        return [Deviation(who, "spans", 1, len(matching))]
    attributes = matching[0].attributes or {}
    return [
        Deviation(
            f"{matching[0].name} ({who})" if index is not None else matching[0].name, key, value, attributes.get(key)
        )
        for key, value in expected.items()
        if attributes.get(key) != value
    ]
