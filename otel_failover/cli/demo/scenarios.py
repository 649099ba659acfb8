"""Fallback loops that run as they stand, against local providers, with what their traces have to say about each.

Local servers play the providers; the SDKs, the loops and the exceptions are real. The loop by hand is wrong in the ways
that people's loops were: it books the session's first error on everybody, or raises the first exception again. Mended,
it differs in that line only. The same chain goes through a router that is only configured, and through pydantic-ai's
`FallbackModel`. Demo and test suite run the same scenarios and hold the spans against the same expectations.

    from otel_failover.cli.demo.scenarios import INCIDENT, deviations, play

    played = play(INCIDENT)
    assert deviations(played, spans) == []

The openai and the anthropic SDK have to be installed; `lacking` says what else a scenario needs. Nothing leaves the
machine, and no variable of the environment has a say: see `own_environment`.

In one file: a scenario, the loop that plays it and what its spans must say are read together.
"""

from __future__ import annotations

import importlib
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_failover._core.config.loop import Loop
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain import reasons, verdicts
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.outcome import ERROR, EXHAUSTED, FALLBACK, SUCCESS
from otel_failover._core.runs.run import Run, failover_run
from otel_failover.cli.demo.cast import KEYS, PATIENCE, Member, asking
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from opentelemetry.trace import TracerProvider

    from otel_failover._core.runs.attempt import Attempt
    from otel_failover.testing.providers import Served

    Places = Sequence[tuple[Member, LocalProvider, Candidate]]
    Blame = Callable[[Attempt, "_Session", Exception], Exception]

__all__ = [
    "BY_HAND",
    "CONFIGURED",
    "FIRST_ERROR_AGAIN",
    "FIRST_ERROR_AGAIN_MENDED",
    "INCIDENT",
    "INCIDENT_CONFIGURED",
    "INCIDENT_MENDED",
    "INCIDENT_PYDANTIC_AI",
    "KEYS",
    "LOOPS",
    "NOBODY_PYDANTIC_AI",
    "PATIENCE",
    "PYDANTIC_AI",
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
    "lacking",
    "own_environment",
    "play",
]

BY_HAND: Final = "manual"
CONFIGURED: Final = "configured"
PYDANTIC_AI: Final = "pydantic_ai"

_FOREIGN_VARIABLES: Final = ("OPENAI_", "ANTHROPIC_", "OTEL_", "AZURE_OPENAI_", "GOOGLE_", "GEMINI_")
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


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
class Expected:
    """What the span of one candidate has to say.

    Args:
        outcome: `success`, `error`, …
        reason: Our reason code; None on success.
        status: HTTP status of the terminal response; None where nothing came back.
        verdict: Of the claims about it.
        rule: The rule that fired.
        source: Provider and place of the one whose error was claimed.
        bound_by: What shows so.
    """

    outcome: str
    reason: str | None
    status: int | None
    verdict: str = verdicts.VERIFIED
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
            names.MISMATCH: True if self.verdict == verdicts.MISMATCH else None,
            names.SOURCE_PROVIDER: provider,
            names.SOURCE_INDEX: index,
            names.BOUND_BY: self.bound_by,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a loop reported about one candidate: what a dashboard without us would show.

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


@dataclass(frozen=True, slots=True)
class Scenario:
    """A chain, what the loop over it makes of a failure, and what the trace has to say.

    Args:
        name: One word, for tests and files.
        title: What happens, in one sentence for people.
        members: The chain.
        blame: What the loop by hand raises for a failure: right or wrong, it is this line that a loop is judged by.
        expected: One per candidate, in the chain's order.
        outcome: The run's.
        through: What it goes through: `BY_HAND`, `CONFIGURED`, `PYDANTIC_AI`; as `failover.library` says it.
        findings: What the run has to say about itself.
        loop: What names a loop that is only configured.
    """

    name: str
    title: str
    members: tuple[Member, ...]
    blame: Blame | None
    expected: tuple[Expected, ...]
    outcome: str = FALLBACK
    through: str = BY_HAND
    findings: tuple[str, ...] = ()
    loop: Loop | None = None

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that the run's span has to carry; None: it may not have the key."""
        return {
            names.OUTCOME: self.outcome,
            names.LIBRARY: self.through,
            names.FINDINGS: self.findings or None,
        }


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario that has run.

    Args:
        scenario: Which.
        run_id: As on its spans; None where the run was made by an adapter, and nobody holds it.
        chain: The candidates, with the endpoints they had.
        reports: What the loop reported, in order; a loop may say nothing of a candidate.
        served: What each local provider really answered, in the chain's order: its own log.
        reply: What the loop returned.
        raised: The text of the exception that left the loop, as its caller saw it.
    """

    scenario: Scenario
    run_id: str | None
    chain: tuple[Candidate, ...]
    reports: tuple[Report, ...]
    served: tuple[tuple[Served, ...], ...]
    reply: str | None
    raised: str | None = None


# --- the loop by hand -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Session:
    """What one request keeps while its candidates are tried; all of them share it."""

    errors: list[Exception] = field(default_factory=list)


def _fail_over(
    run: Run, asks: Mapping[Candidate, Callable[[], str]], blame: Blame, reports: list[Report]
) -> str | None:
    """Try one candidate after the other; what each failure is booked as, `blame` says."""
    session = _Session()
    for candidate, ask in asks.items():
        try:
            with run.attempt(candidate) as attempt:
                try:
                    reply = ask()
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
    inner = body.get("error", body) if isinstance(body, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
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

_THREE_SDKS: Final = (
    *_THREE_PROVIDERS[:2],
    Member("gcp.gemini", "gemini-2.5-flash", Answer.ok("Hello from the third."), "gemini"),
)
_NOBODY: Final = (
    Member("openai", "gpt-6", Answer.openai_model_not_found("gpt-6")),
    Member("anthropic", "claude-opus-4-7", Answer.anthropic_rate_limit("claude-opus-4-7"), "anthropic"),
)
_ONE_TEXT_TWICE: Final = ("identical_errors",)

_QUOTA: Final = Expected(ERROR, reasons.BILLING, 429)
_TIMEOUT: Final = Expected(ERROR, reasons.TIMEOUT, None)
_SERVED: Final = Expected(SUCCESS, None, 200)


def _stale(bound_by: str) -> Expected:
    """Return the timeout that carries the first candidate's error."""
    return Expected(
        ERROR,
        reasons.TIMEOUT,
        None,
        verdicts.MISMATCH,
        verdicts.STALE_ERROR,
        ("openai", 0),
        bound_by,
    )


INCIDENT: Final = Scenario(
    "incident",
    "OpenAI is out of quota, Anthropic never answers; the loop reports OpenAI's error as Anthropic's.",
    _THREE_PROVIDERS,
    _sessions_first_error,
    (_QUOTA, _stale("text"), _SERVED),
    findings=_ONE_TEXT_TWICE,
)
FIRST_ERROR_AGAIN: Final = Scenario(
    "first_error_again",
    "OpenAI twice, under two keys: team-a is out of quota, team-b never answers; the loop raises team-a's exception "
    "again for team-b.",
    _TWO_KEYS,
    _first_exception_again,
    (_QUOTA, _stale("object"), _SERVED),
    findings=_ONE_TEXT_TWICE,
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
INCIDENT_CONFIGURED: Final = Scenario(
    "incident_configured",
    "The incident in a router that is not ours to edit: one line of configuration names it, and finds the error out.",
    _THREE_PROVIDERS,
    None,
    (_QUOTA, _stale("text"), _SERVED),
    through=CONFIGURED,
    findings=_ONE_TEXT_TWICE,
    loop=Loop(
        run="otel_failover.cli.demo.router:Router.route",
        attempt="otel_failover.cli.demo.router:Router.ask",
        chain="self.vendors",
        provider="vendor.name",
        model="vendor.model",
        error="result.error",
    ),
)
INCIDENT_PYDANTIC_AI: Final = Scenario(
    "incident_pydantic_ai",
    "The same failures through pydantic-ai's own FallbackModel, in a program that does not know of otel-failover.",
    _THREE_SDKS,
    None,
    (_QUOTA, _TIMEOUT, _SERVED),
    through=PYDANTIC_AI,
)
NOBODY_PYDANTIC_AI: Final = Scenario(
    "nobody_pydantic_ai",
    "FallbackModel again, and nobody serves: what the program gets is one exception; the trace says who and why.",
    _NOBODY,
    None,
    (Expected(ERROR, reasons.MODEL_NOT_FOUND, 404), Expected(ERROR, reasons.RATE_LIMIT, 429)),
    outcome=EXHAUSTED,
    through=PYDANTIC_AI,
)
SCENARIOS: Final = (
    INCIDENT,
    FIRST_ERROR_AGAIN,
    INCIDENT_MENDED,
    FIRST_ERROR_AGAIN_MENDED,
    INCIDENT_CONFIGURED,
    INCIDENT_PYDANTIC_AI,
    NOBODY_PYDANTIC_AI,
)
LOOPS: Final = tuple(scenario.loop for scenario in SCENARIOS if scenario.loop is not None)
"""What the setting `loops` has to hold, so that the loops that are only configured are seen."""


# --- running them -----------------------------------------------------------------------------------------------------


def play(scenario: Scenario, tracer_provider: TracerProvider | None = None) -> Played:
    """Run a scenario; one through pydantic-ai not from a coroutine, since it runs an event loop.

    Args:
        scenario: What to run. `FailoverInstrumentor().instrument(loops=[*LOOPS])` has been called; scenarios by hand
            and through pydantic-ai do without `loops`.
        tracer_provider: Where SDKs that make spans by themselves send them; the global one by default.

    Returns:
        What the loop reported, and what the local providers really answered.
    """
    with ExitStack() as stack:
        stack.enter_context(own_environment())
        places = [
            (member, server, Candidate(member.provider, member.model, server.endpoint, member.profile))
            for member in scenario.members
            for server in [stack.enter_context(LocalProvider(member.kind, member.answer, name=member.name))]
        ]
        result = _WAYS[scenario.through](scenario, places, tracer_provider)
        served = tuple(tuple(server.log) for _, server, _ in places)
    chain = tuple(candidate for _, _, candidate in places)
    return Played(scenario, result.run_id, chain, tuple(result.reports), served, result.reply, result.raised)


def lacking(scenario: Scenario) -> str | None:
    """Return the first module that a scenario needs, besides the two SDKs, and that cannot be imported.

    Args:
        scenario: What somebody wants to play.
    """
    if scenario.through != PYDANTIC_AI:
        return None
    from otel_failover.cli.demo.pydantic_chain import MODULES

    with own_environment():
        return next((name for member in scenario.members if not _imports(name := MODULES[member.kind])), None)


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except Exception:
        # An ImportError where it is missing; releases that do not fit each other raise what they like.
        return False
    return True


@dataclass(slots=True)
class _Result:
    """What came out of a loop; fields as those of `Played`."""

    reports: list[Report] = field(default_factory=list)
    reply: str | None = None
    raised: str | None = None
    run_id: str | None = None


@contextmanager
def _asks(places: Places, tracer_provider: TracerProvider | None) -> Iterator[dict[Candidate, Callable[[], str]]]:
    """Give a function for each candidate that asks it, with a client that is closed in the end."""
    with ExitStack() as stack:
        yield {
            candidate: stack.enter_context(asking(member, server.base_url, tracer_provider))
            for member, server, candidate in places
        }


def _by_hand(scenario: Scenario, places: Places, tracer_provider: TracerProvider | None) -> _Result:
    if scenario.blame is None:
        raise ValueError(f"{scenario.name} goes by hand, and does not say what the loop makes of a failure")
    result = _Result()
    with _asks(places, tracer_provider) as asks, failover_run("chat", chain=tuple(asks)) as run:
        result.run_id = run.id
        result.reply = _fail_over(run, asks, scenario.blame, result.reports)
    return result


def _configured(_: Scenario, places: Places, tracer_provider: TracerProvider | None) -> _Result:
    from otel_failover.cli.demo.router import Router, Vendor

    with _asks(places, tracer_provider) as asks:
        router = Router([Vendor(each.provider, each.model, ask) for each, ask in asks.items()])
        result = _Result(reply=router.route())
    for index, reply in enumerate(router.replies):
        failure = reply.error
        result.reports.append(
            Report(index, failure.reason, failure.status_code, failure.message)
            if failure is not None
            else Report(index, None, None, reply.text)
        )
    return result


def _pydantic_ai(_: Scenario, places: Places, tracer_provider: TracerProvider | None) -> _Result:
    """Ask a `FallbackModel`: only where all candidates failed does its error name them, as members of a group."""
    from otel_failover.cli.demo import pydantic_chain

    answer = pydantic_chain.ask([(member, server.base_url) for member, server, _ in places], tracer_provider)
    if isinstance(answer, str):
        last = max(index for index, (_, server, _) in enumerate(places) if server.log)
        return _Result([Report(last, None, None, answer)], answer)
    result = _Result(raised=str(answer))
    for index, each in enumerate(getattr(answer, "exceptions", ())):
        result.reports.append(Report(index, type(each).__name__, getattr(each, "status_code", None), _sentence(each)))
    return result


_WAYS: Final = {BY_HAND: _by_hand, CONFIGURED: _configured, PYDANTIC_AI: _pydantic_ai}


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
        spans: Spans as exported; those of other runs are left alone. Where no run's id is at hand, only this one's.

    Returns:
        What is not as expected, empty if all is.
    """
    own = [span for span in spans if _is_of((span.attributes or {}).get(names.RUN_ID), played.run_id)]
    found = _compared(own, names.SPAN_RUN, None, played.scenario.attributes(), "the run")
    for index, (member, expected) in enumerate(zip(played.scenario.members, played.scenario.expected, strict=True)):
        who = f"candidate {index} ({member.name})"
        found += _compared(own, names.SPAN_CANDIDATE, index, expected.attributes(), who)
    return found


def _is_of(found: object, run_id: str | None) -> bool:
    """Whether a run's id on a span, None where there is none, is the one that is sought; any, where that is unknown."""
    return found is not None and run_id in (None, found)


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
