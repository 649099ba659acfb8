"""Random chains with thefts in them: every theft is found, none is invented.

What is expected comes from the log that the local providers keep of what they really answered, never from a span.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode, get_current_span

from otel_failover import Candidate, FailoverInstrumentor, Run, failover_run
from otel_failover._core.text.matching import normalise
from otel_failover.testing.providers import Answer
from tests.support.hosts import LoopError, Stand, stand
from tests.support.spans import Exported
from tests.truth.ways.channels import CHANNELS, REPORTS, Held, must
from tests.truth.ways.messages import MESSAGES
from tests.truth.ways.not_yet import holds
from tests.truth.ways.scenarios import is_told_so, reason_of
from tests.truth.ways.texts import BROAD, TEXT_WAYS, Told, expected
from tests.truth.ways.units import Binding, binding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from otel_failover import Attempt
    from otel_failover.testing.providers import Served
    from tests.truth.ways.channels import Channel
    from tests.truth.ways.messages import Message
    from tests.truth.ways.texts import TextWay

CHAINS = int(os.environ.get("FAILOVER_CHAINS", "500"))
SEED = os.environ.get("FAILOVER_CHAINS_SEED", "2026")

OPENAI_ERRORS: list[tuple[int, str | None, str, str]] = [
    (429, "rate_limit_exceeded", "requests", "rate_limit"),
    (429, "insufficient_quota", "insufficient_quota", "billing"),
    (401, "invalid_api_key", "invalid_request_error", "auth"),
    (403, "unsupported_country_region_territory", "request_forbidden", "permission"),
    (404, "model_not_found", "invalid_request_error", "model_not_found"),
    (400, "context_length_exceeded", "invalid_request_error", "context_overflow"),
    (400, "content_policy_violation", "invalid_request_error", "content_policy"),
    (400, None, "invalid_request_error", "invalid_request"),
    (422, None, "invalid_request_error", "invalid_request"),
    (402, None, "insufficient_funds", "billing"),
    (500, None, "server_error", "server_error"),
    (502, None, "server_error", "server_error"),
    (503, None, "server_error", "overloaded"),
    (504, None, "server_error", "timeout"),
]
ANTHROPIC_ERRORS: list[tuple[int, str | None, str, str]] = [
    (400, None, "invalid_request_error", "invalid_request"),
    (401, None, "authentication_error", "auth"),
    (402, None, "billing_error", "billing"),
    (403, None, "permission_error", "permission"),
    (404, None, "not_found_error", "model_not_found"),
    (413, None, "request_too_large", "context_overflow"),
    (429, None, "rate_limit_error", "rate_limit"),
    (500, None, "api_error", "server_error"),
    (504, None, "timeout_error", "timeout"),
    (529, None, "overloaded_error", "overloaded"),
]
READY: dict[str, list[tuple[Answer, str]]] = {
    "openai": [
        (Answer.openai_quota(), "billing"),
        (Answer.openai_rate_limit(), "rate_limit"),
        (Answer.openai_bad_key(), "auth"),
        (Answer.openai_model_not_found(), "model_not_found"),
        (Answer.openai_server_error(), "server_error"),
        (Answer.openai_context_overflow(), "context_overflow"),
    ],
    "anthropic": [
        (Answer.anthropic_overloaded(), "overloaded"),
        (Answer.anthropic_rate_limit(), "rate_limit"),
        (Answer.anthropic_bad_key(), "auth"),
        (Answer.anthropic_not_found(), "model_not_found"),
        (Answer.anthropic_credit_too_low(), "billing"),
    ],
    "gcp.gemini": [
        (Answer.gemini_quota(), "rate_limit"),
        (Answer.gemini_bad_key(), "auth"),
        (Answer.gemini_not_found(), "model_not_found"),
        (Answer.gemini_overloaded(), "overloaded"),
    ],
    "openrouter": [
        (Answer.openai_rate_limit(), "rate_limit"),
        (Answer.openai_quota(), "billing"),
        (Answer.openai_server_error(), "server_error"),
    ],
}
KNOWN_REASONS = {
    "openai-quota": "billing", "openai-tokens": "rate_limit", "openai-model": "model_not_found",
    "anthropic-credit": "billing", "anthropic-tokens": "rate_limit", "groq-tokens": "rate_limit",
    "bedrock-throttled": "rate_limit", "overloaded": "overloaded", "model-none": "model_not_found", "bad-key": "auth",
    "no-balance": "billing", "generic-overloaded": "overloaded", "generic-zh": "overloaded", "generic-ja": "overloaded",
    "generic-ko": "overloaded", "generic-de": "overloaded", "ja-limit": "rate_limit", "ko-limit": "rate_limit",
    "ja-balance": "billing", "de-balance": "billing",
}  # fmt: skip
"""Of the table of messages, those whose reason status and code decide."""
EVENTS = {
    "openai": [("rate_limit_exceeded", "rate_limit"), ("server_error", "server_error"), ("made_up", "partial_stream")],
    "anthropic": [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate_limit"),
        ("made_up", "partial_stream"),
    ],
}
WAYS = [way for way in TEXT_WAYS if holds("text", way.id) and holds("pure", way.id)]
CARRIERS = [each for each in CHANNELS if holds("channel", each.id) and not each.mixed and not each.on_span]
BOTH = [name for name in REPORTS if holds("report", name)]
CARRIED = ("way", "way_said", "way_span", "carrier")
EVERYBODYS = {normalise(str(answer.message)) for answers in READY.values() for answer, _ in answers}
EVERYBODYS |= {normalise(each.text) for each in MESSAGES}
IN_CALL = ("old_object", "new", "in_context", "own_cause", "restamped", "cut", "said", "said_text", "request_id",
           "response", "status_and_code", "stale_cause")  # fmt: skip
HAS_HOOK = hasattr(SpanProcessor, "_on_ending")
ON_SPAN = ("span_status", "span_attribute", "span_event", "way_span")
BY_OBJECT = ("old_object", "response", "request_id")
STYLES = ("attempt", "attempt", "attempt", "bare", "bare", "async", "async", "context", "thread")
HONEST = (
    "in_a_way",
    "in_a_way",
    "in_a_way",
    "sdk",
    "sdk",
    "own",
    "own_from",
    "own_in",
    "fail",
    "fail_text",
    "fail_fields",
    "silent",
)


# --- what the wire says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seat:
    """A candidate that can be asked, without and with the SDK's own retries."""

    once: Stand
    patient: Stand

    @property
    def candidate(self) -> Candidate:
        return self.once.candidate

    @property
    def wire(self) -> str:
        return self.once.server.kind


def seated(one: Stand) -> Seat:
    return Seat(
        one,
        replace(one, client=one.client.with_options(max_retries=2), aclient=one.aclient.with_options(max_retries=2)),
    )


def seats(stack: ExitStack) -> list[Seat]:
    """Five candidates behind four endpoints: two keys of one provider share theirs."""
    first = stack.enter_context(stand("openai", profile="east"))
    options: dict[str, Any] = {
        "api_key": "sk-proj-Jw5nT8rQ2kYb7VxPz4Lc",
        "base_url": first.server.base_url,
        "max_retries": 0,
    }
    west = Candidate("openai", first.candidate.model, first.candidate.endpoint, "west")
    second = Stand(west, first.server, openai.OpenAI(**options), openai.AsyncOpenAI(**options))
    others = [stack.enter_context(stand(name)) for name in ("anthropic", "gcp.gemini", "openrouter")]
    return [seated(each) for each in (first, second, *others)]


@dataclass(frozen=True)
class Script:
    """What one attempt shall get, and how it is asked."""

    answers: tuple[Answer, ...]
    reason: str | None
    outcome: str = "error"
    streamed: bool = False
    patient: bool = False
    timeout: float | None = None


SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


def sentence(rng: random.Random, words: int | None = None) -> str:
    """Words that nobody has said before, with what makes texts hard to compare: ids, quotes, breaks, accents."""
    made = ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(words or rng.randint(6, 14))]
    for _ in range(rng.randint(0, 3)):
        odd = rng.choice(
            ["'sofa'", '"lamp"', "org-7f3a91", "30,000", "req_011CQ", "https://example.com/docs", "été", "—", "(now)",
             "a\nbreak", "it's", "{brace}", "gpt-5.5"]
        )  # fmt: skip
        made.insert(rng.randint(len(made) // 2, len(made)), odd)
    return " ".join(made).capitalize() + rng.choice(["", ".", "!"])


def random_error(rng: random.Random, seat: Seat) -> tuple[Answer, str]:
    """An error in the provider's own envelope: a fresh sentence or one that everybody knows."""
    draw = rng.random()
    if draw < 0.12:
        return rng.choice(READY[seat.candidate.provider])
    if draw < 0.2:
        status, reason = rng.choice([(502, "server_error"), (503, "overloaded"), (403, "permission")])
        html = f"<html><body><h1>{status}</h1><p>{sentence(rng)}</p></body></html>"
        return Answer.raw(status, html), reason
    if draw < 0.35:
        return rng.choice([(each.answer, KNOWN_REASONS[each.id]) for each in MESSAGES if is_fit(each, seat)])
    status, code, kind, reason = rng.choice(ANTHROPIC_ERRORS if seat.wire == "anthropic" else OPENAI_ERRORS)
    text = sentence(rng, 2) if draw > 0.95 else sentence(rng)
    return Answer.error(status, text, code=code, type=kind), reason


def is_fit(message: Message, seat: Seat) -> bool:
    """Whether a seat's provider speaks so."""
    return message.wire == seat.wire and message.id in KNOWN_REASONS


def with_retry(answer: Answer) -> Answer:
    return replace(answer, headers=(*answer.headers, ("retry-after-ms", "1"), ("x-should-retry", "true")))


def random_script(rng: random.Random, seat: Seat) -> Script:
    draw = rng.random()
    if draw < 0.12:
        return Script((Answer.ok(sentence(rng)),), None, "success", streamed=rng.random() < 0.3)
    if draw < 0.16:
        return Script((Answer.reset(),), "connection", streamed=rng.random() < 0.2)
    if draw < 0.175:
        return Script((Answer.hang(),), "timeout", timeout=0.04)
    if draw < 0.26:
        return random_stream(rng, seat)
    if draw < 0.33:
        errors = [random_error(rng, seat) for _ in range(3)]
        sent = [with_retry(answer) for answer, _ in errors]
        if rng.random() < 0.3:
            return Script((*sent[:2], Answer.ok(sentence(rng))), None, "success", patient=True)
        if rng.random() < 0.06:
            return Script((*sent[:2], Answer.hang()), "timeout", patient=True, timeout=0.25)
        return Script(tuple(sent), errors[2][1], patient=True)
    answer, reason = random_error(rng, seat)
    return Script((answer,), reason, streamed=rng.random() < 0.1)


def random_stream(rng: random.Random, seat: Seat) -> Script:
    then: Any = rng.choice(["error", "error", "cut", "truncate"])
    chunks = [sentence(rng, 3) for _ in range(rng.randint(1, 4))]
    if then != "error":
        return Script((Answer.stream(chunks, then=then),), "partial_stream", "partial", streamed=True)
    code, reason = rng.choice(EVENTS[seat.wire])
    named: dict[str, Any] = {"type": code} if seat.wire == "anthropic" else {"code": code, "type": code}
    answer = Answer.stream(chunks, then="error", message=sentence(rng), **named)
    return Script((answer,), reason, "partial", streamed=True)


# --- what happened ----------------------------------------------------------------------------------------------------


@dataclass
class Fact:
    """One attempt as the provider's log has it, and what the loop then said."""

    place: int
    seat: Seat
    script: Script
    log: list[Served]
    own: Exception | None
    says: str
    theft: str | None = None
    stolen: Fact | None = None
    expected: bool = False
    bound: bool = True
    way: TextWay | None = None
    carrier: Channel | None = None

    @property
    def served(self) -> bool:
        last = self.log[-1]
        return last.kind == "ok" or last.ending == "end"

    @property
    def message(self) -> str:
        """The provider's own sentence, as the claim repeats it; empty where it said nothing that binds."""
        last = self.log[-1]
        text = last.message or (last.text_sent if last.kind == "raw" else "") or ""
        return normalise(text) if binding(text) is Binding.MUST else ""

    @property
    def sent(self) -> str:
        """Everything it sent, in the form in which texts are compared."""
        return " ".join(normalise(each.text_sent or each.message or "") for each in self.log)

    @property
    def told(self) -> Told:
        """Its error, as a loop holds it and the provider's log has it."""
        last, candidate = self.log[-1], self.seat.candidate
        response = getattr(self.own, "response", None)
        content = response.content if response is not None and last.kind == "error" else b""
        body = json.loads(content) if content.startswith(b"{") else {}
        kind = body.get("error", {}).get("type")
        return Told(
            candidate.provider,
            candidate.model,
            str(candidate.endpoint),
            str(self.own),
            str(last.message or self.own),
            last.status if body else None,
            (body["error"].get("code") or (kind if self.seat.wire == "anthropic" else None)) if body else None,
            kind if kind in BROAD else None,
            body,
            last.request_id if body else None,
            self.own,
        )

    @property
    def name(self) -> str:
        return f"[{self.place}] {self.seat.candidate.provider}:{self.seat.candidate.profile or ''}"

    def __str__(self) -> str:
        answers = ",".join(f"{each.kind}:{each.status or '-'}:{each.code or ''}" for each in self.log)
        way = self.way or self.carrier
        stolen = (
            f" {self.theft} {way.id if way else ''} of {self.stolen.name}: {str(self.stolen.own)[:200]!r}"
            if self.stolen
            else ""
        )
        return f"  {self.name} {answers} says {self.says}{stolen}"


class Snapshots(SpanExporter):
    """What a span says at the moment of export."""

    def __init__(self) -> None:
        self.spans: list[Exported] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK's signature
        for span in spans:
            assert span.context is not None
            self.spans.append(
                Exported(
                    span.name,
                    f"{span.context.span_id:016x}",
                    f"{span.parent.span_id:016x}" if span.parent else None,
                    f"{span.context.trace_id:032x}",
                    span.status.status_code.name,
                    span.status.description or "",
                    dict(span.attributes or {}),
                    [(e.name, dict(e.attributes or {})) for e in span.events],
                    "",
                    span.start_time or 0,
                    span.end_time or 0,
                )
            )
        return SpanExportResult.SUCCESS

    def starting(self, prefix: str) -> list[Exported]:
        return [span for span in self.spans if span.name.startswith(prefix)]


# --- one chain --------------------------------------------------------------------------------------------------------


@dataclass
class Chain:
    """One pass of a loop over a random chain, with the mistakes that loops make."""

    rng: random.Random
    seats: list[Seat]
    style: str
    declared: bool
    tracer: Tracer
    pool: ThreadPoolExecutor
    earlier: Sequence[Fact]
    facts: list[Fact] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    seen: list[Seat] = field(default_factory=list)
    stopped: str | None = None
    left_early: bool = False

    # --- the loop -----------------------------------------------------------------------------------------------------

    def walk(self) -> None:
        chain = [seat.candidate for seat in self.seats] if self.declared else None
        with failover_run("chat", chain=chain) as run:
            for place, seat in self.places(run):
                if self.try_one(run, place, seat):
                    return

    async def awalk(self) -> None:
        chain = [seat.candidate for seat in self.seats] if self.declared else None
        with failover_run("chat", chain=chain) as run:
            for place, seat in self.places(run):
                if await self.atry_one(run, place, seat):
                    return

    def places(self, run: Run) -> Iterator[tuple[int, Seat]]:
        """Whom the loop asks next: in order, now and then one again, skipped or not at all."""
        for place, seat in enumerate(self.seats):
            draw = self.rng.random()
            if self.style != "bare" and draw < 0.03:
                run.skip(seat.candidate, "cooldown")
                self.skipped.append(self.place_of(place, seat))
                continue
            if place and draw > 0.98:
                self.left_early = True
                if draw > 0.99:
                    self.stopped = "deadline"
                    run.stop("deadline")
                return
            yield place, seat
            if draw > 0.9 and self.seats.count(seat) == 1:
                yield place, seat

    def try_one(self, run: Run, place: int, seat: Seat) -> bool:
        fact = self.prepare(place, seat)
        try:
            if self.style == "bare":
                self.note(fact, self.call(fact))
                return fact.served
            with run.attempt(seat.candidate) as attempt:
                self.note(fact, self.in_thread(fact) if self.style in ("context", "thread") else self.call(fact))
                self.speak(fact, attempt)
        except Exception:  # noqa: BLE001
            if not fact.log:
                raise
        return fact.served and self.serves(fact)

    async def atry_one(self, run: Run, place: int, seat: Seat) -> bool:
        fact = self.prepare(place, seat)
        try:
            with run.attempt(seat.candidate) as attempt:
                self.note(fact, await self.acall(fact))
                self.speak(fact, attempt)
        except Exception:  # noqa: BLE001
            if not fact.log:
                raise
        return fact.served and self.serves(fact)

    def prepare(self, place: int, seat: Seat) -> Fact:
        script = random_script(self.rng, seat)
        while script.streamed and self.style == "thread":
            script = random_script(self.rng, seat)
        seat.once.server.program(*script.answers)
        seat.once.server.clear()
        # A failure in a thread without context, of which the loop says nothing, is not seen by anybody; where its words
        # are all that is said, it is not known whose they are.
        says = self.rng.choice(HONEST[3:-1] if self.style == "thread" else HONEST)
        return Fact(self.place_of(place, seat), seat, script, [], None, says)

    def place_of(self, place: int, seat: Seat) -> int:
        """Where the trace puts a candidate: its place in the chain, else its first appearance."""
        if self.declared:
            return place
        if not any(each is seat for each in self.seen):
            self.seen.append(seat)
        return next(index for index, each in enumerate(self.seen) if each is seat)

    def note(self, fact: Fact, own: Exception | None) -> None:
        server, until = fact.seat.once.server, time.monotonic() + 30
        while not server.log and time.monotonic() < until:  # whoever asked may have given up before it was heard
            time.sleep(0.001)
        fact.own, fact.log = own, list(server.log)
        self.facts.append(fact)

    # --- the call -----------------------------------------------------------------------------------------------------

    def call(self, fact: Fact) -> Exception | None:
        asked = fact.seat.patient if fact.script.patient else fact.seat.once
        try:
            if fact.script.streamed:
                for _ in asked.ask(stream=True, **self.options(fact)):
                    pass
            else:
                asked.ask(**self.options(fact))
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            return problem
        return None

    async def acall(self, fact: Fact) -> Exception | None:
        asked = fact.seat.patient if fact.script.patient else fact.seat.once
        try:
            if fact.script.streamed:
                async for _ in await asked.aask(stream=True, **self.options(fact)):
                    pass
            else:
                await asked.aask(**self.options(fact))
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            return problem
        return None

    def in_thread(self, fact: Fact) -> Exception | None:
        if self.style == "context":
            return self.pool.submit(contextvars.copy_context().run, self.call, fact).result()
        return self.pool.submit(self.call, fact).result()

    @staticmethod
    def options(fact: Fact) -> dict[str, Any]:
        return {"timeout": fact.script.timeout} if fact.script.timeout else {}

    # --- what the loop says -------------------------------------------------------------------------------------------

    def speak(self, fact: Fact, attempt: Attempt) -> None:
        if self.rng.random() < 0.35 and self.plan_theft(fact):
            self.steal(fact, attempt)
        elif fact.own is not None:
            self.report(fact, fact.own, attempt)

    def report(self, fact: Fact, own: Exception, attempt: Attempt) -> None:
        """Say the truth, as loops do."""
        status = getattr(own, "status_code", None)
        if fact.says == "in_a_way":
            self.report_in_a_way(fact, attempt)
            return
        fact.bound = self.style != "thread" or fact.says in ("sdk", "own_from", "own_in", "fail")
        if fact.says == "sdk":
            raise own
        if fact.says == "own":
            raise LoopError(str(own), fact.seat.candidate.provider, status) from None
        if fact.says == "own_from":
            raise LoopError(f"{fact.seat.candidate.provider} failed: {own}", status_code=status) from own
        if fact.says == "own_in":
            try:
                raise own
            except Exception:  # noqa: BLE001 - the loop goes on
                raise LoopError(str(own))  # noqa: B904 - the context is the point
        if fact.says == "fail":
            attempt.fail(own)
        elif fact.says == "fail_text":
            attempt.fail(str(own))
        elif fact.says == "fail_fields":
            attempt.fail({"status": status, "message": str(own)})

    def report_in_a_way(self, fact: Fact, attempt: Attempt) -> None:
        """Say the truth in one of the enumerated ways: it alone, beside another's, or after it."""
        mine, others = fact.told, [each for each in self.facts[:-1] if each.own is not None and each.log[-1].message]
        fact.bound = self.style != "thread"
        draw, way = self.rng.random(), self.rng.choice(WAYS)
        held = Held(attempt, self.tracer, mine, mine)
        if others and draw < 0.3 and BOTH and str(fact.own):  # of an own error without words no report tells anything
            theirs = self.rng.choice(others).told
            REPORTS[self.rng.choice(BOTH)](replace(held, error=theirs), mine)
        elif others and draw < 0.4 and mine.status is None and fact.log[-1].kind in ("hang", "reset"):
            theirs = self.rng.choice(others).told
            carried = way.carry(theirs) if is_told_so(way, theirs) else WAYS[0].carry(theirs)
            raise LoopError(reason_of(carried, theirs, mine, timeout=fact.log[-1].kind == "hang"))
        elif draw < 0.7 and is_told_so(way, mine):
            raise LoopError(way.carry(mine).text)
        else:
            carrier = self.rng.choice([each for each in CARRIERS if mine.body or not each.needs])
            carrier.act(held)
        if fact.own is not None:
            attempt.fail(fact.own)

    def plan_theft(self, fact: Fact) -> bool:
        """Choose whose error is told here, and find out from the log whether it may be told."""
        others = [each for each in self.facts[:-1] if each.place != fact.place and each.own is not None]
        kinds: tuple[str, ...] = IN_CALL + ON_SPAN[:3] + CARRIED + CARRIED
        if self.style == "thread":
            others = [each for each in others if each.bound and each.theft is None and each.seat is not fact.seat]
            kinds = BY_OBJECT
        if self.rng.random() < 0.15 and self.style != "thread":
            others = [each for each in self.earlier if each.own is not None and is_fresh(each) and is_plain(each)]
            if (
                self.seats.count(fact.seat) > 1
            ):  # equal entries are told apart by their places, which change between runs
                others = [each for each in others if each.seat is not fact.seat]
            kinds = ("new", "own_cause", "said", "said_text", "span_status", "in_context")
        if not others:
            return False
        stolen, kind = self.rng.choice(others), self.rng.choice(kinds)
        if not self.usable(kind, stolen, fact) or (kind in CARRIED and not self.carries(kind, stolen, fact)):
            return False
        expected = self.is_foreign(kind, stolen, fact)
        if kind == "status_and_code" and not expected:
            return False  # beside an own status or code it depends on what else is known of the code
        if (kind == "said" or kind in CARRIED) and not {stolen.told.code, stolen.told.kind}.isdisjoint(BROAD):
            return False  # where the own answer has that class of errors too, the code is own: `mixed_error`
        fact.theft, fact.stolen, fact.expected = kind, stolen, expected
        return True

    def carries(self, kind: str, stolen: Fact, fact: Fact) -> bool:
        """Choose a way in which an error shows whose it is; and whether there is one, without any doubt."""
        told, mine = stolen.told, fact.told if fact.own is not None else None
        own = [fact.sent, *((mine.shown, str(mine.body)) if mine is not None else ()), "Hello"]
        own += [str(each.log) for each in (*self.facts, *self.earlier) if each.seat is fact.seat]
        if any(each is not stolen and each.log[-1].code in (told.code, told.kind) for each in self.facts if told.code):
            return False
        if stolen.log[-1].kind != "error" or not told.body:
            return False
        if kind == "carrier":
            usable = [each for each in CARRIERS if fact.own is not None or "own" not in each.id]
            fact.carrier = self.rng.choice(usable)
            statuses = frozenset(each.status for each in fact.log)
            return must(fact.carrier, told, tuple(own), statuses) is Binding.MUST
        fact.way = self.rng.choice(WAYS)
        if not is_told_so(fact.way, told):
            return False
        return expected(told, fact.way.carry(told), tuple(own)) is Binding.MUST

    def usable(self, kind: str, stolen: Fact, fact: Fact) -> bool:
        """Whether there is anything to steal in this way."""
        own = stolen.own
        if kind == "old_object":
            return True
        if kind == "response":
            return getattr(own, "response", None) is not None and stolen.log[-1].status != 200
        if kind == "request_id":
            return getattr(own, "request_id", None) is not None and stolen.log[-1].status != 200
        if kind == "stale_cause":
            return stolen.log[-1].status not in (None, 200)
        if kind == "status_and_code":
            return stolen.log[-1].status != 200 and stolen.log[-1].code in (
                "insufficient_quota",
                "rate_limit_exceeded",
                "overloaded_error",
            )
        if kind == "cut":
            told = stolen.log[-1].message or ""
            word = told[: cut_at(told)].split()[-1:] + told[cut_at(told) :].split()[:1]
            return is_fresh(stolen) and len(stolen.message) > 60 and "".join(word).isalpha()
        return bool(stolen.message) and (stolen.log[-1].kind != "raw" or "<html" in str(own))

    def is_foreign(self, kind: str, stolen: Fact, fact: Fact) -> bool:
        """Whether what is told is nobody's but the other candidate's: own wins every tie."""
        statuses = {each.status for each in fact.log}
        if kind in BY_OBJECT:
            return True
        if kind in CARRIED:
            return True
        if kind == "stale_cause":
            return stolen.log[-1].status not in statuses
        if kind == "status_and_code":
            codes = {each.code for each in fact.log}
            return stolen.log[-1].status not in statuses and stolen.log[-1].code not in codes
        if stolen.message in fact.sent:
            return False
        mine = [each for each in self.facts[:-1] if each.place == fact.place]
        if not any(each is stolen for each in self.facts):
            mine += [each for each in self.earlier if each.seat is fact.seat]
        return not any(each.message == stolen.message or stolen.message in each.sent for each in mine)

    def steal(self, fact: Fact, attempt: Attempt) -> None:
        """Tell another candidate's error as this one's."""
        assert fact.stolen is not None
        stale, own, kind = fact.stolen.own, fact.own or LoopError("nothing"), fact.theft
        assert stale is not None
        text = str(stale)
        last = fact.stolen.log[-1]
        if kind == "old_object":
            raise stale
        if kind in CARRIED:
            self.carry_on(fact, fact.stolen, attempt)
            return
        if kind == "new":
            raise LoopError(text) from None
        if kind == "in_context":
            try:
                raise own
            except Exception:  # noqa: BLE001 - the loop goes on
                raise LoopError(f"candidate failed: {text}")  # noqa: B904 - the context is the point
        if kind == "own_cause":
            raise LoopError(text) from own
        if kind == "restamped":
            candidate = fact.seat.candidate
            raise LoopError(text, candidate.provider, 408, model=candidate.model)
        if kind == "cut":
            message = last.message or ""
            start = text.find(message[:20])
            raise LoopError(text[: max(start, 0) + cut_at(message)] + "...")
        if kind == "said":
            attempt.fail({"status": last.status or 500, "message": text})
        elif kind == "said_text":
            attempt.fail(text)
        elif kind == "request_id":
            raise LoopError("candidate failed", request_id=stale.request_id)  # type: ignore[attr-defined]
        elif kind == "response":
            raise LoopError("candidate failed", response=stale.response)  # type: ignore[attr-defined]
        elif kind == "status_and_code":
            raise LoopError("candidate failed", status_code=last.status, code=last.code)
        elif kind == "stale_cause":
            raise LoopError("candidate failed", status_code=last.status) from stale
        else:
            self.on_span(kind or "", text)
            if fact.own is not None:
                raise fact.own

    def carry_on(self, fact: Fact, stolen: Fact, attempt: Attempt) -> None:
        """Tell it in the way that was chosen."""
        if fact.carrier is not None:
            mine = fact.told if fact.own is not None else None
            fact.carrier.act(Held(attempt, self.tracer, stolen.told, mine))
            return
        assert fact.way is not None
        text = fact.way.carry(stolen.told).text
        if fact.theft == "way":
            raise LoopError(text) from None
        if fact.theft == "way_said":
            attempt.fail(text)
            return
        self.on_span("span_status", text)
        if fact.own is not None:
            raise fact.own

    def on_span(self, kind: str, text: str) -> None:
        with self.tracer.start_as_current_span("application"):
            span = get_current_span()
            if kind == "span_status":
                span.set_status(StatusCode.ERROR, text)
            elif kind == "span_attribute":
                span.set_attribute("error.message", text)
            else:
                span.set_status(StatusCode.ERROR)
                span.add_event("exception", {"exception.type": "RateLimitError", "exception.message": text})

    # --- what the trace must say --------------------------------------------------------------------------------------

    def check(self, exporter: Snapshots) -> None:
        candidates = exporter.starting("candidate ")
        assert len(candidates) == len(self.facts), "one candidate span per attempt"
        by_parent = {span.parent_id: span for span in exporter.spans if span.name == "application"}
        for span, fact in zip(candidates, self.facts, strict=True):
            self.check_wire(span, fact)
            inner = by_parent.get(span.span_id)
            markers = exporter.starting("failover.attribution.mismatch")
            self.check_verdict(span, inner, fact, candidates, markers)
        expected = sum(fact.expected for fact in self.facts)
        assert len(exporter.starting("failover.attribution.mismatch")) == expected, "one marker per theft"
        self.check_run(exporter)

    def check_wire(self, span: Exported, fact: Fact) -> None:
        last = fact.log[-1]
        if self.declared or self.style != "bare":
            assert span["candidate.provider"] == fact.seat.candidate.provider
        assert span["candidate.index"] == fact.place
        if self.style == "thread" and (fact.theft or not fact.bound or fact.own is None or fact.says == "silent"):
            return
        statuses = [str(each.status) if each.status else "-" for each in fact.log]
        assert span["failover.wire.requests"] == len(statuses)
        assert list(span["failover.wire.statuses"]) == statuses[-8:]
        assert span["http.response.status_code"] == last.status
        assert span["failover.evidence"] == "complete", span["failover.evidence_gap"]
        if fact.served:
            marked = fact.theft is not None and fact.theft not in ON_SPAN
            assert span["candidate.outcome"] == ("rejected" if marked else "success")
            assert span.status == "UNSET"
            assert span["error.type"] is None
            return
        assert span["candidate.outcome"] == fact.script.outcome
        assert span["failover.reason.code"] == fact.script.reason
        assert span["error.type"] == fact.script.reason
        assert span.status == "ERROR"
        if last.kind == "error" and is_fresh(fact):
            assert normalise(span.description) == normalise(last.message or "")

    def check_verdict(
        self,
        span: Exported,
        inner: Exported | None,
        fact: Fact,
        candidates: list[Exported],
        markers: list[Exported],
    ) -> None:
        judged = inner if fact.theft in ON_SPAN and inner is not None else span
        if inner is not None:
            assert inner["candidate.index"] == fact.place
            assert span.verdict[0] == "verified", span.verdict
        if not fact.expected:
            assert judged["failover.attribution.mismatch"] is None, f"invented: {judged.attributes}"
            if fact.theft is None:
                assert judged.verdict[0] in ("verified", "unverified"), judged.verdict
            return
        assert fact.stolen is not None
        if judged is inner and not HAS_HOOK:
            # Before SDK 1.40 a span of the application's cannot be written: its marker says it all.
            (judged,) = [marker for marker in markers if marker.parent_id == judged.span_id]
            assert judged["failover.attribution.rule"] == "stale_error"
        else:
            assert judged.verdict == ("mismatch", "stale_error"), f"missed: {judged.verdict}"
        if not any(each is fact.stolen for each in self.facts):
            assert judged["failover.attribution.source.provider"] == fact.stolen.seat.candidate.provider
        else:
            source = tuple(judged[f"failover.attribution.source.{key}"] for key in ("provider", "index", "span_id"))
            assert source in self.holders(fact, fact.stolen, candidates)
        shown = judged.description if judged is span else ""
        theirs = normalise(fact.stolen.message)
        alike = theirs == "" or theirs in normalise(fact.log[-1].message or "")  # both were refused in the same words
        assert alike or theirs not in normalise(shown)

    def holders(self, fact: Fact, stolen: Fact, candidates: list[Exported]) -> set[tuple[Any, ...]]:
        """Who may be named as the source: whose error it is, and whoever else said the same."""
        return {
            (each.seat.candidate.provider, each.place, span.span_id)
            for span, each in zip(candidates, self.facts, strict=True)
            if each is stolen
            or (fact.theft not in BY_OBJECT and each.message and each.message == stolen.message)
            or (fact.theft == "status_and_code" and each.log[-1].code == stolen.log[-1].code)
        }

    def check_run(self, exporter: Snapshots) -> None:
        (run,) = exporter.starting("failover chat")
        tried = {fact.place for fact in self.facts}
        served = self.facts[-1] if self.facts and self.facts[-1].served and self.serves(self.facts[-1]) else None
        places = set(range(len(self.seats))) if self.declared else tried
        untried = places - tried - set(self.skipped)
        if served is not None:
            expected = "primary" if served.place == 0 else "fallback"
        elif not self.facts and not self.stopped and (untried or not self.skipped):
            expected = "unasked"  # where all that is known of were passed over, nobody was left to ask
        elif untried or self.stopped:
            expected = "stopped"
        else:
            expected = "exhausted"
        assert run["failover.outcome"] == expected
        assert run["failover.attempt.count"] == len(self.facts)
        assert run.status == ("UNSET" if served or expected == "unasked" else "ERROR")
        assert run["error.type"] == (None if served or expected == "unasked" else expected)
        if served is not None:
            assert run["candidate.index"] == served.place
        elif expected != "unasked":
            chain = [seat.candidate.label for seat in self.seats]
            assert list(run["failover.untried"] or ()) == [chain[each] for each in sorted(untried)]
            assert run["failover.stop.reason"] == self.stopped
        said = normalise(run.description)
        assert not any(fact.message and fact.message in said for fact in self.facts)
        assert len(exporter.starting("skip ")) == len(self.skipped)

    def serves(self, fact: Fact) -> bool:
        return fact.theft is None or fact.theft in ON_SPAN

    def __str__(self) -> str:
        names = [f"{seat.candidate.provider}:{seat.candidate.profile or ''}" for seat in self.seats]
        known = f"{self.style} {'chain' if self.declared else 'no chain'} {names} skipped {self.skipped}"
        return "\n".join([known, *map(str, self.facts)])


def cut_at(message: str) -> int:
    """Where a loop cuts a text to make it fit a line."""
    return len(message) * 3 // 4


def is_fresh(fact: Fact) -> bool:
    """Whether nobody else ever said it: not one of the sentences that everybody knows."""
    return bool(fact.message) and fact.message not in EVERYBODYS


def is_plain(fact: Fact) -> bool:
    """Whether a message stands whole between the quotes that an SDK puts around it."""
    return '"' not in fact.message and fact.log[-1].kind == "error"


def random_chain(
    rng: random.Random, every: list[Seat], tracer: Tracer, pool: ThreadPoolExecutor, earlier: Sequence[Fact]
) -> Chain:
    style = rng.choice(STYLES)
    if style == "bare":
        chosen = rng.sample(every, rng.randint(2, len(every)))
    else:
        chosen = rng.choices(every, k=rng.randint(2, 6))
    declared = rng.random() < 0.8
    return Chain(rng, chosen, style, declared, tracer, pool, earlier)


@pytest.fixture
def exporter() -> Iterator[Snapshots]:
    found = Snapshots()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    FailoverInstrumentor().instrument(tracer_provider=provider)
    found.tracer = provider.get_tracer("application")  # type: ignore[attr-defined]
    yield found
    FailoverInstrumentor().uninstrument()


def test_every_theft_is_found_and_none_invented(exporter: Snapshots) -> None:
    earlier: deque[Fact] = deque(maxlen=100)
    planted = 0
    event_loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        every = seats(stack)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        for number in range(CHAINS):
            rng = random.Random(f"{SEED}/{number}")
            chain = random_chain(rng, every, exporter.tracer, pool, earlier)  # type: ignore[attr-defined]
            exporter.spans.clear()
            if chain.style == "async":
                event_loop.run_until_complete(chain.awalk())
            else:
                chain.walk()
            try:
                chain.check(exporter)
            except AssertionError as problem:
                pytest.fail(f"seed {SEED}, chain {number}: {problem}\n{chain}")
            planted += sum(fact.expected for fact in chain.facts)
            if chain.style in ("attempt", "async", "context"):
                earlier.extend(fact for fact in chain.facts if fact.theft is None)
        for seat in every:
            event_loop.run_until_complete(seat.once.aclient.close())
    event_loop.close()
    assert planted > CHAINS / 8
