"""Runs as a test sees them: captured, in plain values that a test can write down, and two assertions about them.

    from otel_failover.testing.runs import assert_chain, assert_truthful, captured

    with captured() as runs:
        my_loop("Hello?")
    assert_truthful(runs)
    assert_chain(runs.one, "openai/gpt-5.5 error billing", "anthropic/claude-opus-4-7 success")

What differs from one test run to the next is taken out: ids are numbers in the order in which spans were made, times
are places in the order of what happened, ports, request ids and measured seconds are left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CapturedAttempt", "CapturedRun", "CapturedRuns", "Mismatch", "assert_chain", "assert_truthful", "captured"]

_MARKER: Final = "failover.attribution.mismatch"
_FACTS: Final = "failover.attribution."
_VARYING: Final = frozenset(
    {"failover.wasted.duration", "failover.wire.request_id", "gen_ai.response.id", "server.port"}
)
_SECONDS: Final = re.compile(r"\b\d+\.\d+ s\b")
_PORT: Final = re.compile(r"(://(?:127\.0\.0\.1|localhost)):\d+")
_LIES: Final = ("mismatch", "inconsistent")
_OPENED: Final = ("identical_errors", "misbooked_success", "unjustified_skip")


@dataclass(frozen=True)
class Mismatch:
    """An error that was told of a candidate whose it is not.

    Args:
        candidate: Of whom it was told, `provider/model`.
        rule: By which it was found.
        source: Whose it is; None where that is not known.
        told: In a sentence, the candidate's own evidence first.
    """

    candidate: str
    rule: str
    source: str | None
    told: str


@dataclass(frozen=True)
class CapturedAttempt:
    """What became of one try at one candidate, or of one that was passed over.

    Args:
        candidate: `provider/model`.
        outcome: `success`, `error`, `rejected`, `partial`, `cancelled`, `skipped`.
        reason: Why, in our own vocabulary; of a skip, its reason. None where there is none.
        status: The HTTP status of its last answer; None without one.
        error: Its own error's text, redacted, measured seconds as `* s`; empty without one.
        requests: How many were sent, retries of an SDK included.
        verdict: `verified`, `unverified`, `inconsistent`, `mismatch`; None on a skip.
        rule: By which; None where it is verified.
    """

    candidate: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    error: str = ""
    requests: int = 0
    verdict: str | None = None
    rule: str | None = None

    def __str__(self) -> str:
        return " ".join(str(each) for each in (self.candidate, self.outcome, self.reason) if each)


@dataclass(frozen=True)
class CapturedRun:
    """One pass of a loop.

    Args:
        number: In the order in which they began, from 1.
        library: Whose loop it is: `manual`, `litellm`, `inferred` …
        loop: Its operation or route.
        outcome: `primary`, `fallback`, `exhausted`, `stopped`, `cancelled`, `unseen`, `unasked`.
        chain: As it was configured; empty where nobody declared one.
        attempts: In the order in which they began, skips among them.
        findings: Rules that fired on it.
        untried: Of the chain, where it has failed.
        stop_reason: Why it was stopped; None where nobody said.
        mismatches: Errors that were told of a candidate whose they are not.
    """

    number: int
    library: str
    loop: str
    outcome: str
    chain: tuple[str, ...] = ()
    attempts: tuple[CapturedAttempt, ...] = ()
    findings: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    stop_reason: str | None = None
    mismatches: tuple[Mismatch, ...] = ()

    def __str__(self) -> str:
        return f"run {self.number} {self.loop!r} ({self.library}): {self.outcome}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, without what is empty: to be compared with a literal."""
        whole: dict[str, Any] = _plain(dataclasses.asdict(self))
        return whole


def _plain(value: Any) -> Any:
    """Return values as a literal has them: lists for tuples, and nothing that is empty."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items() if each not in (None, "", (), 0)}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@dataclass
class CapturedRuns(Sequence[CapturedRun]):
    """The runs that have ended so far, in the order in which they began; reads what there is each time it is asked."""

    _provider: Any = field(repr=False)
    _spans: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Every span that was made, as plain values: name, id, parent, start, end, status, attributes, events."""
        self._provider.force_flush()
        return _fixed(self._spans)

    @property
    def one(self) -> CapturedRun:
        """The only run; raises AssertionError where there is none, or another."""
        found = self._read()
        assert len(found) == 1, f"{len(found)} runs were captured, not one: {'; '.join(map(str, found)) or 'none'}"
        return found[0]

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return all of them as plain values: to be compared with a literal."""
        return [each.as_dict() for each in self._read()]

    def clear(self) -> None:
        """Forget what was captured so far."""
        self._spans.clear()

    @overload
    def __getitem__(self, index: int) -> CapturedRun: ...
    @overload
    def __getitem__(self, index: slice) -> list[CapturedRun]: ...
    def __getitem__(self, index: int | slice) -> CapturedRun | list[CapturedRun]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> list[CapturedRun]:
        spans = self.spans
        heads = [each for each in spans if "failover.outcome" in each["attributes"]]
        return [_run(number, head, spans) for number, head in enumerate(heads, 1)]


def _run(number: int, head: dict[str, Any], spans: list[dict[str, Any]]) -> CapturedRun:
    said = head["attributes"]
    own = [each for each in spans if each["attributes"].get("failover.run.id") == said["failover.run.id"]]
    tried = [each for each in own if "candidate.outcome" in each["attributes"]]
    inside = _below(head["id"], spans) | {each["id"] for each in tried}
    markers = [each for each in spans if each["name"] == _MARKER and (each["parent"] in inside or each["id"] in inside)]
    return CapturedRun(
        number=number,
        library=said.get("failover.library", ""),
        loop=said.get("failover.loop.name", ""),
        outcome=said["failover.outcome"],
        chain=tuple(said.get("failover.chain", ())),
        attempts=tuple(map(_attempt, tried)),
        findings=tuple(said.get("failover.findings", ())),
        untried=tuple(said.get("failover.untried", ())),
        stop_reason=said.get("failover.stop.reason"),
        mismatches=tuple(map(_mismatch, markers)),
    )


def _below(span: int, spans: list[dict[str, Any]]) -> set[int]:
    """Return the ids of what stands below a span, but for other runs and what is below them."""
    found = {span}
    for each in spans:  # a child is made after its parent
        if each["parent"] in found and "failover.outcome" not in each["attributes"]:
            found.add(each["id"])
    return found


def _label(said: Mapping[str, Any]) -> str:
    return f"{said.get('candidate.provider', '')}/{said.get('candidate.model', '')}"


def _attempt(span: dict[str, Any]) -> CapturedAttempt:
    said = span["attributes"]
    return CapturedAttempt(
        candidate=_label(said),
        outcome=said["candidate.outcome"],
        reason=said.get("failover.reason.code") or said.get("failover.skip.reason"),
        status=said.get("http.response.status_code"),
        error=span["description"],
        requests=said.get("failover.wire.requests", 0),
        verdict=said.get("failover.attribution.verdict"),
        rule=said.get("failover.attribution.rule"),
    )


def _mismatch(span: dict[str, Any]) -> Mismatch:
    said = span["attributes"]
    claimed = said.get(f"{_FACTS}claimed.message") or said.get(f"{_FACTS}claimed.status_code")
    own = said.get(f"{_FACTS}own", "nothing is known")
    return Mismatch(
        candidate=_label(said),
        rule=said.get("failover.attribution.rule", ""),
        source=said.get("failover.attribution.source.provider"),
        told=f"its own: {own}; told was: {claimed or 'another'}",
    )


# --- capturing --------------------------------------------------------------------------------------------------------


@contextmanager
def captured(**settings: Any) -> Iterator[CapturedRuns]:
    """Instrument everything that is installed, and capture the runs that are made meanwhile.

    Args:
        settings: As `FailoverInstrumentor().instrument` takes them; with providers of its own.

    Raises:
        RuntimeError: `otel-failover` is on already: two at a time would see each call once.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from otel_failover.instrumentor import FailoverInstrumentor

    kept: list[dict[str, Any]] = []

    class Numbers(IdGenerator):
        """Ids in the order in which spans are made."""

        def __init__(self) -> None:
            self._spans, self._traces = itertools.count(1), itertools.count(1)

        def generate_span_id(self) -> int:
            return next(self._spans)

        def generate_trace_id(self) -> int:
            return next(self._traces)

    class Keeping(SpanExporter):
        """Keeps what a span says at the moment of its export, as plain values."""

        def export(self, spans: Any) -> SpanExportResult:
            kept.extend(map(_values, spans))
            return SpanExportResult.SUCCESS

    instrumentor = FailoverInstrumentor()
    if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
        raise RuntimeError("otel-failover is on already: call FailoverInstrumentor().uninstrument() before")
    provider, meters = TracerProvider(id_generator=Numbers()), MeterProvider()
    provider.add_span_processor(SimpleSpanProcessor(Keeping()))
    instrumentor.instrument(**{"tracer_provider": provider, "meter_provider": meters, **settings})
    try:
        yield CapturedRuns(provider, kept)
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
        meters.shutdown()


def _values(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "id": span.context.span_id,
        "parent": span.parent.span_id if span.parent is not None else None,
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name,
        "description": span.status.description or "",
        "attributes": {key: list(each) if isinstance(each, tuple) else each for key, each in span.attributes.items()},
        "events": [{"name": each.name, "attributes": dict(each.attributes or {})} for each in span.events],
    }


def _fixed(spans: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return spans with what differs from run to run taken out, in the order in which they were made."""
    ordered = sorted(spans, key=lambda each: each["id"])
    ids = {each["id"]: number for number, each in enumerate(ordered, 1)}
    times = sorted({each[key] for each in ordered for key in ("start", "end")})
    moments = {moment: place for place, moment in enumerate(times)}
    runs: dict[str, str] = {}
    return [
        {
            **each,
            "id": ids[each["id"]],
            "parent": ids.get(each["parent"]),
            "start": moments[each["start"]],
            "end": moments[each["end"]],
            "description": _same(each["description"], runs),
            "attributes": _same(each["attributes"], runs),
            "events": _same(each["events"], runs),
        }
        for each in ordered
    ]


def _same(value: Any, runs: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        found = {key: each for key, each in value.items() if key not in _VARYING and not key.endswith(".span_id")}
        if (run := found.get("failover.run.id")) is not None:
            found["failover.run.id"] = runs.setdefault(run, f"run-{len(runs) + 1}")
        return {key: each if key == "failover.run.id" else _same(each, runs) for key, each in found.items()}
    if isinstance(value, (list, tuple)):
        return [_same(each, runs) for each in value]
    return _PORT.sub(r"\1", _SECONDS.sub("* s", value)) if isinstance(value, str) else value


# --- assertions -------------------------------------------------------------------------------------------------------


def assert_truthful(runs: Iterable[CapturedRun], *, findings: Iterable[str] = _OPENED) -> None:
    """Fail where an error was told of a candidate whose it is not.

    Args:
        runs: Captured ones; at least one.
        findings: Rules that make a run untruthful, besides its verdicts; by default those that tell of false words.

    Raises:
        AssertionError: Its text names each run, candidate and rule. Also where there is no run at all.
    """
    captured_runs, wrong = list(runs), []
    if not captured_runs:
        raise AssertionError("no run was captured: the loop is not instrumented, asked nobody, or has not ended yet")
    for run in captured_runs:
        told = [f"{each.candidate} is told {each.source or 'somebody'}'s error ({each.rule}): {each.told}"
                for each in run.mismatches]  # fmt: skip
        marked = {each.candidate for each in run.mismatches}
        told += [
            f"{each.candidate} is {each.verdict} ({each.rule}); its own error is: {each.error or 'none'}"
            for each in run.attempts
            if each.verdict in _LIES and each.candidate not in marked
        ]
        told += [f"{rule} was found" for rule in findings if rule in run.findings]
        wrong += [f"{run}\n  {line}" for line in told]
    if wrong:
        raise AssertionError("not truthful:\n" + "\n".join(wrong))


def assert_chain(run: CapturedRun, *steps: str, outcome: str | None = None) -> None:
    """Fail where a run did not try these candidates, in this order, with this end each.

    Args:
        run: A captured one.
        steps: `provider/model outcome`, with the reason behind it where that matters: `"openai/gpt-5.5 error billing"`,
            `"mistral_ai/large skipped cooldown"`.
        outcome: Of the run; not looked at by default.

    Raises:
        AssertionError: Its text shows what was expected beside what was there.
    """
    there = [str(each) for each in run.attempts]
    fits = len(steps) == len(there) and all(
        step == found or found.startswith(f"{step} ") for step, found in zip(steps, there, strict=True)
    )
    if fits and outcome in (None, run.outcome):
        return
    rows = list(itertools.zip_longest(steps, there, fillvalue="(nobody)"))
    lines = [
        f"  {number}. {step}" + ("" if step == found or found.startswith(f"{step} ") else f"   but there was: {found}")
        for number, (step, found) in enumerate(rows, 1)
    ]
    if outcome not in (None, run.outcome):
        lines.append(f"  outcome {outcome}   but there was: {run.outcome}")
    raise AssertionError(f"{run}; expected was\n" + "\n".join(lines))
