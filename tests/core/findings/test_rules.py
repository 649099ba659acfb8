"""What a run got wrong: every rule where it fires, and the honest runs that look like it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.candidate_error import CandidateError
from otel_failover._core.domain.outcome import Outcome
from otel_failover._core.domain.reasons import REASONS
from otel_failover._core.domain.verdicts import FINDINGS, FINDINGS_OFF
from otel_failover._core.findings.model_names import bare, is_prefixed
from otel_failover._core.findings.record import AttemptRecord, Finding, Record, Report, Skipped, Thresholds
from otel_failover._core.findings.rules import TABLE, find
from otel_failover._core.text.matching import fingerprint, normalise

OPENAI: Final = ("openai", "gpt-5.5")
ANTHROPIC: Final = ("anthropic", "claude-opus-4-7")
GEMINI: Final = ("gcp.gemini", "gemini-3-pro")
CHAIN: Final = (OPENAI, ANTHROPIC, GEMINI)
STRANGER: Final = ("mistral_ai", "mistral-large")
LABELS: Final = "openai/gpt-5.5", "anthropic/claude-opus-4-7", "gcp.gemini/gemini-3-pro"


def ended(provider: str, model: str, index: int = -1, **facts: Any) -> AttemptRecord:
    """A record by plain facts: those of how it ended, of its error and its candidate among them."""
    candidate = Candidate(provider, model, profile=facts.pop("profile", None))
    how: dict[str, Any] = {
        name: facts.pop(name)
        for name in ("reason", "origin", "status", "code", "timeout", "killed_by")
        if name in facts
    }
    how["timeout_configured"] = facts.pop("configured", None)
    outcome, message = facts.pop("outcome", "success"), facts.pop("message", "")
    settled = Outcome(outcome=outcome, **how)
    error = (
        CandidateError(provider, model, how.get("status"), how.get("reason") or "unknown", message, None)
        if message
        else None
    )
    return AttemptRecord(candidate, index, settled=settled, error=error, **facts)


def tried(who: tuple[str, str], outcome: str = "success", **facts: Any) -> AttemptRecord:
    """An attempt of one request and one call, which took a second unless told otherwise."""
    index = facts.pop("index", CHAIN.index(who) if who in CHAIN else -1)
    usual: dict[str, Any] = {"requests": 1, "calls": 1, "began": 0.0}
    usual |= facts
    usual.setdefault("ended", usual["began"] + usual.pop("took", 1.0))
    return ended(*who, index, outcome=outcome, **usual)


def limited(who: tuple[str, str], **facts: Any) -> AttemptRecord:
    """An attempt that its provider answered with 429."""
    usual = {"reason": "rate_limit", "origin": "response", "status": 429, "code": "rate_limit_exceeded"}
    return tried(who, "error", **{**usual, **facts})


def hung(who: tuple[str, str], **facts: Any) -> AttemptRecord:
    """An attempt that ended by a timeout after two minutes."""
    usual = {"reason": "timeout", "origin": "transport", "timeout": "read", "took": 123.0}
    return tried(who, "error", **{**usual, **facts})


def refused(who: tuple[str, str], **facts: Any) -> AttemptRecord:
    """An attempt whose request was at fault, as its provider says."""
    return tried(who, "error", **{"reason": "invalid_request", "origin": "response", "status": 400, **facts})


def local(who: tuple[str, str], **facts: Any) -> AttemptRecord:
    """An attempt that failed in this process."""
    usual = {"reason": "client_error", "origin": "client", "requests": 0, "message": "no key was configured"}
    return tried(who, "error", **{**usual, **facts})


def run(*attempts: AttemptRecord, outcome: str = "", **facts: Any) -> Record:
    """A run over; outcome and who was untried follow from its attempts unless told."""
    chain = facts.get("chain", CHAIN)
    reached = {each.index for each in (*attempts, *facts.get("skipped", ()))}
    untried = tuple(place for place in range(len(chain)) if place not in reached)
    won = next((each.index for each in attempts if each.outcome == "success" and not each.probe), None)
    if won is not None:
        outcome = outcome or ("primary" if won == 0 else "fallback")
    outcome = outcome or ("stopped" if untried else "exhausted")
    usual: dict[str, Any] = {"chain": CHAIN, "untried": untried, "seconds": 1.0}
    return Record(outcome=outcome, tried=attempts, **{**usual, **facts})


@dataclass(frozen=True)
class Case:
    """One run, and the rules that must fire on it: these, and no others."""

    why: str
    record: Record
    fires: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)

    def found(self) -> tuple[Finding, ...]:
        return find(self.record, self.thresholds, enabled=FINDINGS_OFF)


def skip(who: tuple[str, str], cause: tuple[str, str, str | None] | None = None, why: str | None = None) -> Skipped:
    return Skipped(*who, CHAIN.index(who), "cooldown", cause=cause, cause_reason=why)


def skipping(*skipped: Skipped) -> Record:
    return run(limited(OPENAI), tried(GEMINI), skipped=skipped)


def nested(requests: int = 3, **facts: Any) -> AttemptRecord:
    return limited(OPENAI, **{"requests": requests, "retries": 2, **facts})


def missed(who: tuple[str, str], *numbers: int, **facts: Any) -> AttemptRecord:
    """An attempt that was refused for its key, as often as there are numbers."""
    usual = {"reason": "auth", "origin": "response", "status": 401, "code": "invalid_api_key"}
    return tried(
        who, "error", **{**usual, "refused": numbers, "requests": len(numbers), "calls": len(numbers), **facts}
    )


def down(who: tuple[str, str], **facts: Any) -> AttemptRecord:
    """An attempt that its provider answered with 503."""
    return tried(who, "error", **{"reason": "overloaded", "origin": "response", "status": 503, **facts})


def unserved(*attempts: AttemptRecord, **facts: Any) -> Record:
    """A run of bare calls that was left in peace."""
    return run(*attempts, **{"outcome": "unseen" if attempts else "unasked", **facts})


TOO_LONG: Final = "context_length_exceeded"
SAID: Final = frozenset({"aaaaaaaaaaaaaaaa"})
STOCK: Final = frozenset({fingerprint(normalise("Request timed out."))})
GPT4: Final = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ANTHROPIC)


def answering(model: str, place: int = 0, chain: tuple[tuple[str, str], ...] = GPT4, **facts: Any) -> Record:
    before = [limited(who, index=index) for index, who in enumerate(chain[:place])]
    return run(*before, tried(chain[place], index=place, response_model=model, **facts), chain=chain)


def naming(provider: str, model: str, **facts: Any) -> Record:
    usual = {"index": 0, "reason": "model_not_found", "origin": "response", "status": 404}
    return run(tried((provider, model), "error", **{**usual, **facts}), chain=((provider, model),))


FIRING: Final[dict[str, Case]] = {
    "an unrecognised error ends the loop": Case(
        "two candidates were left", run(limited(OPENAI, reason="unknown", status=418)), ("chain_bypassed",)
    ),
    "a probe is no try": Case("only asked", run(limited(OPENAI, probe=True), outcome="stopped"), ("chain_bypassed",)),
    "a refusal in no code that we know": Case(
        "a proxy's bare 400 of a request that others serve", run(refused(OPENAI)), ("chain_bypassed",)
    ),
    "too large for a proxy": Case(
        "the next may take it", run(refused(OPENAI, reason="context_overflow", status=413)), ("chain_bypassed",)
    ),
    "a refusal that its own process made up": Case(
        "no provider said it", run(refused(OPENAI, origin="client", code=TOO_LONG)), ("chain_bypassed",)
    ),
    "a limit after a refusal was answered": Case(
        "the request was not refused", run(tried(OPENAI, "rejected"), limited(ANTHROPIC)), ("chain_bypassed",)
    ),
    "an honest end of a refused request": Case(
        "mere information",
        run(refused(OPENAI, code=TOO_LONG), stop_reason="bad request"),
        ("chain_stopped",),
    ),
    "one of two was left": Case("two are a chain", run(limited(OPENAI), chain=CHAIN[:2]), ("chain_bypassed",)),
    "a deliberate end": Case("it said why", run(limited(OPENAI), stop_reason="deadline"), ("chain_stopped",)),
    "calls hidden in one attempt": Case("10 > 3", run(nested(10), tried(ANTHROPIC)), ("retry_storm",)),
    "calls hidden in attempts": Case(
        "7 > 6, with the first as the SDK has it", run(nested(2), nested(5), tried(ANTHROPIC)), ("retry_storm",)
    ),
    "more than is allowed": Case(
        "3 > 2", run(nested(3), tried(ANTHROPIC)), ("retry_storm",), Thresholds(max_requests=2)
    ),
    "one request where none is allowed": Case(
        "1 > 0", run(tried(OPENAI)), ("retry_storm",), Thresholds(max_requests=0)
    ),
    "SDK retries under loop retries": Case("2 x 3", run(nested(), nested(), tried(ANTHROPIC)), ("retry_storm",)),
    "SDK retries under loop retries, limits unknown": Case(
        "2 x 3", run(nested(retries=None), nested(retries=None), tried(ANTHROPIC)), ("retry_storm",)
    ),
    "more than a tool loop's calls explain": Case(
        "10 > 3 x 3", run(nested(10, calls=3), tried(ANTHROPIC)), ("retry_storm",)
    ),
    "the same key again": Case(
        "twice", run(missed(OPENAI, 7), missed(OPENAI, 7)), ("chain_bypassed", "refusal_repeated")
    ),
    "the same key again, in one attempt": Case(
        "twice", run(missed(OPENAI, 7, 7), tried(ANTHROPIC)), ("refusal_repeated",)
    ),
    "the same key again, after another": Case(
        "the first once more",
        run(*(missed(OPENAI, each) for each in (7, 8, 7)), tried(ANTHROPIC)),
        ("refusal_repeated",),
    ),
    "one more 404": Case(
        "the model is not there",
        run(*[missed(OPENAI, 7, status=404, reason="model_not_found")] * 3, tried(ANTHROPIC)),
        ("refusal_repeated",),
    ),
    "down, and the others never asked": Case(
        "three tries", run(*[down(OPENAI)] * 3), ("chain_bypassed", "outage_not_failed_over")
    ),
    "down in turns": Case(
        "5xx, refused, timed out",
        run(down(OPENAI, reason="server_error", status=500), down(OPENAI, reason="connection"), hung(OPENAI)),
        ("chain_bypassed", "outage_not_failed_over"),
    ),
    "down, and a deliberate end": Case(
        "others were left",
        run(*[down(OPENAI)] * 3, stop_reason="deadline"),
        ("chain_stopped", "outage_not_failed_over"),
    ),
    "down for long": Case(
        "45 s, while others waited", run(*[down(OPENAI, took=15.0)] * 3, tried(ANTHROPIC)), ("outage_not_failed_over",)
    ),
    "a call that took too long": Case("240 s", run(hung(OPENAI, took=240.0), tried(ANTHROPIC)), ("hung_candidate",)),
    "a stream that stalled": Case(
        "it gave no end",
        run(tried(OPENAI, "partial", took=240.0, streamed=True), tried(ANTHROPIC)),
        ("hung_candidate", "partial_delivered"),
    ),
    "killed and still open": Case(
        "the kill did nothing", run(tried(OPENAI, "open", killed_by="stale"), tried(ANTHROPIC)), ("hung_candidate",)
    ),
    "open and old when the run ended": Case(
        "200 s", run(tried(OPENAI, "open"), tried(ANTHROPIC), seconds=200.0), ("hung_candidate",)
    ),
    "three tries in timeouts": Case(
        "two others waited", run(hung(OPENAI), hung(OPENAI), tried(OPENAI)), ("timeout_not_failed_over",)
    ),
    "three tries by the stale killer": Case(
        "killed is timed out",
        run(*[tried(OPENAI, "error", killed_by="stale", reason="connection")] * 3, tried(ANTHROPIC)),
        ("timeout_not_failed_over",),
    ),
    "others are tried too late": Case(
        "they waited for the third",
        run(*[hung(OPENAI)] * 3, hung(ANTHROPIC), tried(GEMINI)),
        ("timeout_not_failed_over",),
    ),
    "three tries, no chain, two seen": Case(
        "the second was there all the time",
        run(*[hung(OPENAI, index=-1)] * 3, tried(ANTHROPIC, index=-1), chain=()),
        ("timeout_not_failed_over",),
    ),
    "two refuse the request": Case(
        "and nobody took it",
        run(refused(OPENAI), refused(ANTHROPIC, reason="content_policy"), limited(GEMINI)),
        ("futile_failover",),
    ),
    "the same model twice refuses": Case(
        "two places are two candidates",
        run(refused(OPENAI, index=0), refused(OPENAI, index=1), chain=(OPENAI, OPENAI)),
        ("futile_failover",),
    ),
    "skipped for another provider": Case(
        "its quota is its own", skipping(skip(ANTHROPIC, ("openai", "gpt-5.5", None), "billing")), ("unjustified_skip",)
    ),
    "skipped for another key": Case(
        "keys have limits of their own",
        skipping(replace(skip(ANTHROPIC, ("anthropic", "claude-opus-4-7", "a")), profile="b")),
        ("unjustified_skip",),
    ),
    "skipped for another model": Case(
        "rate limits are a model's",
        skipping(skip(ANTHROPIC, ("anthropic", "claude-haiku-4-5", None), "rate_limit")),
        ("unjustified_skip",),
    ),
    "the incident": Case(
        "a timeout that carries another's quota text",
        run(limited(OPENAI, own=SAID), hung(ANTHROPIC, claimed=SAID), tried(GEMINI)),
        ("identical_errors",),
    ),
    "the first carries the second's": Case(
        "order does not matter",
        run(hung(OPENAI, claimed=SAID), limited(ANTHROPIC, own=SAID), tried(GEMINI)),
        ("identical_errors",),
    ),
    "neither said it": Case(
        "an older error on both",
        run(hung(OPENAI, claimed=SAID), hung(ANTHROPIC, claimed=SAID), tried(GEMINI)),
        ("identical_errors",),
    ),
    "the final error names only the last": Case(
        "two are left out", run(*map(limited, CHAIN), report=Report("QuotaError", frozenset({2}))), ("lossy_report",)
    ),
    "the final error of two names the last": Case(
        "two are enough",
        run(*map(limited, CHAIN[:2]), chain=CHAIN[:2], report=Report("E", frozenset({1}))),
        ("lossy_report",),
    ),
    "the final error tells an earlier try": Case(
        "the last one counts",
        run(
            limited(OPENAI), hung(OPENAI), limited(ANTHROPIC), limited(GEMINI), report=Report("E", frozenset({0, 2, 3}))
        ),
        ("lossy_report",),
    ),
    "the final error blames a bystander": Case(
        "mistral was not asked",
        run(*map(limited, CHAIN), report=Report("E", frozenset({0, 1, 2}), frozenset({"mistral", "openai"}))),
        ("lossy_report",),
    ),
    "nothing was sent": Case("no key", run(*map(local, CHAIN)), ("local_failure",)),
    "nothing was sent, seen in part": Case(
        "one with complete evidence will do",
        run(local(OPENAI, evidence="none"), local(ANTHROPIC), local(GEMINI)),
        ("local_failure",),
    ),
    "an unknown primary throws out of the loop": Case("nobody was asked", run(left_by="KeyError"), ("local_failure",)),
    "an error before anybody was asked, no chain": Case(
        "nobody was asked", run(chain=(), outcome="stopped", left_by="acme.Refused"), ("local_failure",)
    ),
    "an error after one was passed over": Case(
        "nobody was asked", run(skipped=(skip(OPENAI),), left_by="KeyError"), ("local_failure",)
    ),
    "nobody seen": Case("an executor", unserved(unseen="a call outside any run was answered"), ("nothing_served",)),
    "nobody seen after a failure": Case(
        "another SDK", unserved(limited(OPENAI), unseen="another request of it was answered"), ("nothing_served",)
    ),
    "two refused, another may have served": Case(
        "nobody knows", unserved(refused(OPENAI), refused(ANTHROPIC)), ("nothing_served",)
    ),
    "nobody asked": Case("a cache", unserved(), ("nothing_served",)),
    "nobody asked, no chain": Case("a cache", unserved(chain=()), ("nothing_served",)),
    "begun at the second": Case("for the third time", run(tried(ANTHROPIC), begun_later=3), ("sticky_fallback",)),
    "begun at the third": Case(
        "for the hundredth time", run(limited(GEMINI), tried(ANTHROPIC), begun_later=100), ("sticky_fallback",)
    ),
    "a text that is an error": Case("as told", run(tried(OPENAI, text_error=True)), ("text_error",)),
    "an empty answer": Case("neither text nor tool", run(tried(OPENAI, empty=True)), ("empty_success",)),
    "broke off": Case(
        "what was sent is out",
        run(tried(OPENAI, "partial", reason="overloaded", streamed=True), tried(ANTHROPIC)),
        ("partial_delivered",),
    ),
    "another member's model": Case("mini is a member", answering("gpt-4o-mini"), ("wrong_model",)),
    "another member's model, dated": Case("a prefix", answering("gpt-4o-mini-2024-07-18"), ("wrong_model",)),
    "the larger model's name": Case("own is no match", answering("GPT-4o-2024-08-06", 1), ("wrong_model",)),
    "another member's model, with prefix": Case("a router's name", answering("openai/gpt-4o-mini"), ("wrong_model",)),
    "another member's model, no chain": Case(
        "what was tried is known",
        run(
            limited(OPENAI, index=-1),
            tried(ANTHROPIC, index=-1, response_model="models/gpt-5.5"),
            chain=(),
            outcome="fallback",
        ),
        ("wrong_model",),
    ),
    "booked on another": Case(
        "the first is named, the second answered",
        run(limited(OPENAI), tried(ANTHROPIC), booked=frozenset({0})),
        ("misbooked_success",),
    ),
    "booked on one never asked": Case(
        "the first answered", run(tried(OPENAI), booked=frozenset({1, 2})), ("misbooked_success",)
    ),
    "own prefix": Case("a model that nobody has", naming("openai", "openai/gpt-5.5"), ("model_name_prefixed",)),
    "own prefix, in other words": Case(
        "google is gemini",
        naming("gcp.gemini", "google/gemini-3", status=400, reason="invalid_request"),
        ("model_name_prefixed",),
    ),
    "doubled prefix at a router": Case(
        "one is enough", naming("openrouter", "openai/openai/gpt-5.5"), ("model_name_prefixed",)
    ),
    "the router's own prefix before another": Case(
        "one is enough", naming("openrouter", "openrouter/openai/gpt-5.5"), ("model_name_prefixed",)
    ),
    "a stranger is tried": Case(
        "by the loop", run(limited(OPENAI), limited(STRANGER), tried(ANTHROPIC)), ("off_chain",)
    ),
    "a stranger serves": Case(
        "inferred, and nobody else did",
        run(*map(limited, CHAIN), tried(STRANGER, declared=False), outcome="fallback", stray=3),
        ("off_chain",),
    ),
    "a model was bumped": Case(
        "it serves as the first", run(tried(STRANGER, declared=False), outcome="primary", stray=0), ("off_chain",)
    ),
    "no time left": Case(
        "0.4 s after 30 s",
        run(limited(OPENAI, took=30.0), hung(ANTHROPIC, began=30.0, took=0.4), tried(GEMINI)),
        ("starved_candidate",),
    ),
    "no time left, by the loop's deadline": Case(
        "0.4 s after 30 s",
        run(limited(OPENAI, took=30.0), tried(ANTHROPIC, "cancelled", killed_by="deadline", took=0.4), tried(GEMINI)),
        ("starved_candidate",),
    ),
    "little time configured": Case(
        "0.5 s, three times by the SDK",
        run(limited(OPENAI, took=30.0), hung(ANTHROPIC, took=1.8, configured=0.5), tried(GEMINI)),
        ("starved_candidate",),
    ),
    "several used it up": Case(
        "3 s and 3 s before 0.5 s",
        run(limited(OPENAI, took=3.0), limited(ANTHROPIC, took=3.0), hung(GEMINI, took=0.5), outcome="exhausted"),
        ("starved_candidate",),
    ),
    "on after a stop": Case(
        "the user had left", run(limited(OPENAI), tried(ANTHROPIC, cancelled_before=True)), ("cancelled_continued",)
    ),
    "on after a stop, served at once": Case(
        "even the first", run(tried(OPENAI, cancelled_before=True)), ("cancelled_continued",)
    ),
}

HONEST: Final[dict[str, Case]] = {
    "served at once": Case("as it should be", run(tried(OPENAI))),
    "served at once, one SDK retry": Case("as the SDK does", run(tried(OPENAI, requests=2, retries=2))),
    "served by the second": Case("that is failover", run(limited(OPENAI), tried(ANTHROPIC))),
    "exhausted": Case("none was left", run(*map(limited, CHAIN))),
    "a chain of one": Case("nobody was left", run(limited(OPENAI), chain=(OPENAI,), outcome="stopped")),
    "a chain of one, not reached": Case("nobody else", run(chain=(OPENAI,))),
    "cancelled": Case("the user left", run(tried(OPENAI, "cancelled"), outcome="cancelled")),
    "cancelled with a reason": Case(
        "the user left", run(tried(OPENAI, "cancelled"), outcome="cancelled", stop_reason="user")
    ),
    "stopped, everyone skipped or tried": Case(
        "nobody was left",
        run(limited(OPENAI), skipped=(skip(ANTHROPIC), skip(GEMINI)), outcome="stopped"),
    ),
    "no chain declared": Case("nobody knows who was left", run(limited(OPENAI), chain=(), outcome="stopped")),
    # retry_storm
    "the SDK's default": Case("1 attempt, 3 requests", run(nested(), tried(ANTHROPIC))),
    "loop retries alone": Case("7 requests in 7 attempts", run(*[limited(OPENAI, retries=0)] * 7, tried(ANTHROPIC))),
    "loop retries, one with an SDK retry": Case(
        "not every one of them", run(nested(5, retries=4), nested(1), tried(ANTHROPIC))
    ),
    "a few nested retries": Case("2 x 2", run(nested(2), nested(2), tried(ANTHROPIC))),
    "nested, no call seen": Case(
        "requests of nobody knows how many calls",
        run(*[nested(calls=0, retries=None)] * 2, tried(ANTHROPIC)),
    ),
    "many requests, limits unknown": Case(
        "nothing to hold them against", run(nested(9, retries=None), tried(ANTHROPIC))
    ),
    "as many as are allowed": Case("3 of 3", run(nested(3), tried(ANTHROPIC)), thresholds=Thresholds(max_requests=3)),
    "probes": Case("are not counted", run(*[nested(9, probe=True)] * 3, limited(OPENAI), tried(ANTHROPIC))),
    "nested on different candidates": Case(
        "3 requests each", run(nested(), limited(ANTHROPIC, requests=3, retries=2), tried(GEMINI))
    ),
    # hung_candidate
    "a long stream": Case("it served", run(tried(OPENAI, took=900.0, streamed=True), seconds=900.0)),
    "a long timeout": Case("123 s of 180", run(hung(OPENAI), tried(ANTHROPIC))),
    "a raced loser still open": Case(
        "the winner was quicker", run(tried(OPENAI, "open"), tried(ANTHROPIC), seconds=2.0)
    ),
    "killed and ended": Case("the kill worked", run(hung(OPENAI, killed_by="stale"), tried(ANTHROPIC))),
    # timeout_not_failed_over
    "one retry after a timeout": Case("one is fine", run(hung(OPENAI), hung(OPENAI), tried(ANTHROPIC))),
    "everybody else was tried": Case(
        "round again", run(hung(OPENAI), limited(ANTHROPIC), limited(GEMINI), hung(OPENAI), tried(OPENAI))
    ),
    "everybody else was skipped": Case(
        "nobody waited", run(hung(OPENAI), hung(OPENAI), tried(OPENAI), skipped=(skip(ANTHROPIC), skip(GEMINI)))
    ),
    "one known candidate": Case("nobody waited", run(*[hung(OPENAI, index=-1)] * 3, chain=())),
    "three tries at a limit": Case("no timeout", run(*[limited(OPENAI)] * 3, tried(ANTHROPIC))),
    "probes that time out": Case("they wait for it", run(*[hung(OPENAI, probe=True)] * 3, tried(ANTHROPIC))),
    "a bare call beside the chain times out": Case(
        "a moderation call", run(*[hung(STRANGER, declared=False)] * 3, tried(OPENAI))
    ),
    # futile_failover
    "one refusal, then served": Case("the second takes it", run(refused(OPENAI), tried(ANTHROPIC))),
    "two refusals, then served": Case("the third takes it", run(refused(OPENAI), refused(ANTHROPIC), tried(GEMINI))),
    "one candidate refuses twice": Case(
        "the others are limited", run(refused(OPENAI), refused(OPENAI), limited(ANTHROPIC), limited(GEMINI))
    ),
    "a refusal of this process": Case(
        "no provider refused",
        run(
            refused(OPENAI, origin="client", status=None),
            refused(ANTHROPIC, origin="client", status=None),
            limited(GEMINI),
        ),
    ),
    # unjustified_skip
    "skipped, cause unknown": Case("no one is cited", skipping(skip(ANTHROPIC))),
    "skipped, cited without a provider": Case(
        "it may be its own", skipping(skip(ANTHROPIC, ("", "claude-opus-4-7", None), "rate_limit"))
    ),
    "skipped, cited without a model": Case(
        "it may be its own", skipping(skip(ANTHROPIC, ("anthropic", "", None), "rate_limit"))
    ),
    "skipped for its own failure": Case("as it should be", skipping(skip(ANTHROPIC, (*ANTHROPIC, None), "rate_limit"))),
    "skipped for its own failure, spelled otherwise": Case(
        "claude is anthropic", skipping(skip(ANTHROPIC, ("claude", "anthropic/claude-opus-4-7", None), "overloaded"))
    ),
    "skipped for the account's failure": Case(
        "billing holds for every model", skipping(skip(ANTHROPIC, ("anthropic", "claude-haiku-4-5", None), "billing"))
    ),
    "skipped for another model, why unknown": Case(
        "it may be the account's", skipping(skip(ANTHROPIC, ("anthropic", "claude-haiku-4-5", None)))
    ),
    "skipped, one profile unknown": Case(
        "it may be the same key", skipping(skip(ANTHROPIC, (*ANTHROPIC, "team-a"), "rate_limit"))
    ),
    # identical_errors
    "both say it": Case(
        "two gateways, one upstream", run(limited(OPENAI, own=SAID), limited(ANTHROPIC, own=SAID), tried(GEMINI))
    ),
    "own evidence is partial": Case(
        "it may have said it",
        run(limited(OPENAI, own=SAID), hung(ANTHROPIC, claimed=SAID, evidence="partial"), tried(GEMINI)),
    ),
    "it said so before": Case(
        "a breaker replays its own",
        run(
            limited(OPENAI, own=SAID),
            limited(ANTHROPIC, own=SAID),
            tried(ANTHROPIC, "error", requests=0, origin="client", claimed=SAID),
            tried(GEMINI),
        ),
    ),
    "it may have said so before": Case(
        "its first answer was seen in part",
        run(
            limited(OPENAI, own=SAID),
            limited(ANTHROPIC, evidence="partial"),
            limited(ANTHROPIC, claimed=SAID),
            tried(GEMINI),
        ),
    ),
    "one candidate, twice": Case(
        "its own", run(limited(OPENAI, own=SAID), hung(OPENAI, claimed=SAID), tried(ANTHROPIC))
    ),
    "a text that every client says": Case(
        "it names nobody", run(hung(OPENAI, own=STOCK), hung(ANTHROPIC, claimed=STOCK), tried(GEMINI))
    ),
    # lossy_report
    "the final error tells all": Case(
        "a group", run(*map(limited, CHAIN), report=Report("FallbackExceptionGroup", frozenset({0, 1, 2})))
    ),
    "one failed": Case("there is no other", run(limited(OPENAI), chain=(OPENAI,), report=Report("E"))),
    "one failed, one was cancelled": Case(
        "cancelled is no failure",
        run(limited(OPENAI), tried(ANTHROPIC, "cancelled"), report=Report("E", frozenset({0})), chain=CHAIN[:2]),
    ),
    "no report": Case("it returned", run(*map(limited, CHAIN))),
    "it blames whom a router asked": Case(
        "the upstream is part of the name",
        run(
            limited(("openrouter", "mistralai/mistral-large"), index=0),
            limited(OPENAI, index=1),
            chain=(("openrouter", "mistralai/mistral-large"), OPENAI),
            report=Report("E", frozenset({0, 1}), frozenset({"mistral"})),
        ),
    ),
    "it blames one in cooldown": Case(
        "for its own failure",
        run(
            limited(OPENAI),
            limited(GEMINI),
            skipped=(skip(ANTHROPIC, (*ANTHROPIC, None), "billing"),),
            report=Report("E", frozenset({0, 1}), frozenset({"anthropic"})),
        ),
    ),
    # local_failure
    "one was sent": Case("a provider was asked", run(local(OPENAI), local(ANTHROPIC), limited(GEMINI))),
    "local, then served": Case("no key for the first", run(local(OPENAI), tried(ANTHROPIC))),
    "nothing was seen": Case("never read as nothing sent", run(*[local(who, evidence="none") for who in CHAIN])),
    "no connection": Case(
        "the transport's failure, not ours",
        run(*[local(who, origin="transport", reason="connection") for who in CHAIN]),
    ),
    # what came back
    "emptiness not seen": Case("nobody looked", run(tried(OPENAI, empty=None, text_error=None))),
    "an answer": Case("somebody looked", run(tried(OPENAI, empty=False, text_error=False))),
    "an empty answer, rejected": Case(
        "the loop saw it", run(tried(OPENAI, "rejected", empty=True, text_error=True), tried(ANTHROPIC))
    ),
    "an empty probe": Case("nobody was given it", run(tried(OPENAI, probe=True, empty=True), tried(ANTHROPIC))),
    "a partial probe": Case("nobody was given it", run(tried(OPENAI, "partial", probe=True), tried(ANTHROPIC))),
    # wrong_model
    "own model, dated": Case("although mini is a member", answering("gpt-4o-2024-08-06")),
    "own model": Case("although gpt-4o is a prefix", answering("gpt-4o-mini-2024-07-18", 1)),
    "own model, with prefixes": Case("routers and Google", answering("models/openai/GPT-4o")),
    "a model of nobody's": Case("an alias", answering("chatgpt-latest")),
    "no model named": Case("nothing to compare", answering("")),
    "a name that only begins alike": Case("gpt-4omni is no gpt-4o", answering("gpt-4omni", 2)),
    "the same model at two providers": Case(
        "both are right", answering("gpt-4o-2024-08-06", 1, (("openai", "gpt-4o"), ("openrouter", "openai/gpt-4o")))
    ),
    "Bedrock's spelling": Case(
        "one model, two names",
        answering(
            "claude-sonnet-4-5-20250929",
            1,
            (("anthropic", "claude-sonnet-4-5"), ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")),
        ),
    ),
    "Vertex's spelling": Case(
        "one model, two names",
        answering(
            "claude-sonnet-4-5-20250929",
            1,
            (("anthropic", "claude-sonnet-4-5"), ("gcp.vertex_ai", "claude-sonnet-4-5@20250929")),
        ),
    ),
    "a deployment's name": Case(
        "the host's own label", answering("gpt-4o-2024-08-06", 1, (GPT4[0], ("azure.ai.openai", "prod-eu-1")))
    ),
    "an inference profile": Case(
        "an ARN names no model",
        answering(
            "gpt-4o", 1, (GPT4[0], ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"))
        ),
    ),
    # misbooked_success
    "booked on who answered": Case("as it was", run(limited(OPENAI), tried(ANTHROPIC), booked=frozenset({1}))),
    "booked on several": Case("one of them answered", run(tried(OPENAI), booked=frozenset({0, 2}))),
    "booked on nobody": Case("the result names none", run(limited(OPENAI), tried(ANTHROPIC))),
    "booked on a stranger": Case("no place of the chain", run(tried(OPENAI), booked=frozenset({7}))),
    "booked, and all failed": Case(
        "nobody answered", run(limited(OPENAI), limited(ANTHROPIC), limited(GEMINI), booked=frozenset({0}))
    ),
    "booked on the winner of a race": Case(
        "both answered", run(tried(OPENAI), tried(ANTHROPIC), booked=frozenset({1}))
    ),
    # model_name_prefixed
    "no prefix": Case("the model is gone", naming("openai", "gpt-3")),
    "a router's prefix": Case("its names have one", naming("openrouter", "openai/gpt-9")),
    "a router's own model": Case("a real name", naming("openrouter", "openrouter/auto")),
    "another's prefix": Case("not its own", naming("gcp.vertex_ai", "google/gemini-9")),
    "a prefix, limited": Case(
        "the name was taken", naming("openai", "openai/gpt-5.5", status=429, reason="rate_limit")
    ),
    "a prefix, too long a prompt": Case(
        "the name was taken", naming("openai", "openai/gpt-5.5", status=400, reason="context_overflow")
    ),
    "a prefix that serves": Case(
        "the name is taken there",
        run(
            tried(("openai", "openai/x"), "error", index=0, reason="invalid_request", origin="response", status=400),
            tried(("openai", "openai/x"), index=0),
            chain=(("openai", "openai/x"),),
        ),
    ),
    # chain_bypassed, chain_stopped
    "raised at once": Case("the request is at fault", run(refused(OPENAI, code=TOO_LONG))),
    "raised at once, by policy": Case(
        "the request is at fault", run(refused(OPENAI, reason="content_policy", code="content_filter"))
    ),
    "raised at once, by Anthropic's type": Case(
        "the request is at fault", run(refused(ANTHROPIC, index=0, code="invalid_request_error"))
    ),
    "raised at once, in words that we know": Case(
        "the request is at fault", run(refused(OPENAI, reason="context_overflow"))
    ),
    "raised at once, a refusal in a 200": Case(
        "the model would not", run(tried(OPENAI, "rejected", reason="content_policy", origin="response", status=200))
    ),
    "raised after an outage": Case("refused by the second", run(down(OPENAI), refused(ANTHROPIC, code=TOO_LONG))),
    "an error where nobody can be seen": Case(
        "perhaps a provider's", run(left_by="groq.RateLimitError", asked_elsewhere=True)
    ),
    # retry_storm
    "a tool loop": Case(
        "three calls", run(nested(3, calls=3, retries=0), tried(ANTHROPIC, requests=3, calls=3, retries=0))
    ),
    "a tool loop with the SDK's retries": Case("9 = 3 x 3", run(nested(9, calls=3), tried(ANTHROPIC))),
    # refusal_repeated
    "the next key": Case("another credential", run(missed(OPENAI, 7), missed(OPENAI, 8), tried(ANTHROPIC))),
    "one key at two places": Case(
        "two candidates", run(missed(OPENAI, 7, index=0), missed(OPENAI, 7, index=1), tried(GEMINI))
    ),
    "refused once": Case("and served by the next", run(missed(OPENAI, 7), tried(ANTHROPIC))),
    "a probe of what was refused": Case(
        "it asks whether it is back", run(missed(OPENAI, 7), missed(OPENAI, 7, probe=True), tried(ANTHROPIC))
    ),
    # outage_not_failed_over
    "three quick tries, then the next": Case("an outage may pass", run(*[down(OPENAI)] * 3, tried(ANTHROPIC))),
    "the third try was answered": Case("it passed", run(*[down(OPENAI)] * 2, tried(OPENAI))),
    "three quick tries of each": Case(
        "all were tried", run(*[down(who) for who in CHAIN for _ in range(3)], outcome="exhausted")
    ),
    "three limits": Case("a limit is no outage", run(*[limited(OPENAI)] * 3, tried(ANTHROPIC))),
    "the SDK's own tries": Case("one attempt", run(down(OPENAI, requests=3, retries=2), tried(ANTHROPIC))),
    # sticky_fallback
    "begun at the second, twice": Case("no habit yet", run(tried(ANTHROPIC), begun_later=2)),
    "begun at the first": Case("as it should be", run(limited(OPENAI), tried(ANTHROPIC), begun_later=0)),
    # off_chain
    "a moderation call, and nobody served": Case(
        "another question", run(*map(limited, CHAIN), tried(STRANGER, declared=False), outcome="exhausted")
    ),
    "a moderation call": Case("the chain served", run(tried(STRANGER, declared=False), tried(OPENAI))),
    "a moderation call that failed": Case("it did not serve", run(limited(STRANGER, declared=False), tried(OPENAI))),
    "a probed stranger": Case("only asked", run(tried(STRANGER, probe=True), tried(OPENAI))),
    "no chain to be off": Case("nobody declared one", run(tried(STRANGER), chain=(), outcome="primary")),
    # starved_candidate
    "a short first try": Case("nobody used it up", run(hung(OPENAI, took=0.4), tried(ANTHROPIC))),
    "short timeouts everywhere": Case(
        "0.4 s each", run(hung(OPENAI, took=0.4), hung(ANTHROPIC, took=0.4), tried(GEMINI))
    ),
    "a quick failure": Case("no timeout", run(limited(OPENAI, took=30.0), limited(ANTHROPIC, took=0.4), tried(GEMINI))),
    "enough time": Case("5 s", run(limited(OPENAI, took=60.0), hung(ANTHROPIC, took=5.0), tried(GEMINI))),
    "a short try of the first again": Case(
        "it had its time", run(hung(OPENAI, took=30.0), hung(OPENAI, took=0.4), tried(ANTHROPIC))
    ),
    "quick after a long one": Case("it served", run(limited(OPENAI, took=30.0), tried(ANTHROPIC, took=0.4))),
    "a short probe": Case(
        "so configured", run(limited(OPENAI, took=30.0), hung(ANTHROPIC, took=0.4, probe=True), tried(GEMINI))
    ),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_rule_fires(name: str) -> None:
    case = FIRING[name]
    assert tuple(each.rule for each in case.found()) == case.fires, case.why


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_run_has_no_findings(name: str) -> None:
    case = HONEST[name]
    assert case.found() == (), case.why


def test_every_rule_of_the_contract_is_there_in_its_order_and_fires_in_a_case() -> None:
    assert FINDINGS == (
        "chain_bypassed", "chain_stopped", "retry_storm", "refusal_repeated", "hung_candidate",
        "timeout_not_failed_over", "outage_not_failed_over", "futile_failover", "unjustified_skip", "identical_errors",
        "lossy_report", "local_failure", "text_error", "empty_success", "partial_delivered", "wrong_model",
        "misbooked_success", "nothing_served", "model_name_prefixed", "off_chain", "starved_candidate",
        "sticky_fallback", "cancelled_continued",
    )  # fmt: skip
    assert tuple(TABLE) == FINDINGS
    assert {rule for case in FIRING.values() for rule in case.fires} == set(FINDINGS)


SENTENCES: Final = {
    "an unrecognised error ends the loop": "stopped after 1 of 3 candidates: 'rate_limit_exceeded' 418 from openai was "
    "recognised by nobody; untried: anthropic/claude-opus-4-7, gcp.gemini/gemini-3-pro",
    "an unknown primary throws out of the loop": "KeyError left the run before any of 3 candidates was asked: the "
    "failure is this process's own, not a provider's",
    "the same key again, after another": "openai/gpt-5.5 was asked 2 times for what it refuses (auth 401): neither "
    "credential nor address had changed in between",
    "down for long": "openai/gpt-5.5 was tried 3 times though it was down (overloaded 503), 45.0 s in all, while "
    "anthropic/claude-opus-4-7, gcp.gemini/gemini-3-pro waited",
    "nobody seen after a failure": "who served it was not seen after 1 candidate had failed: another request of it was "
    "answered; run.attempt(candidate) around each try would tell",
    "nobody asked": "nobody was asked: no call to a provider was seen in the run, and no error left it",
    "begun at the second": "3 runs in a row began at anthropic/claude-opus-4-7; openai/gpt-5.5, the first of the chain, "
    "was neither tried nor skipped",
    "a deliberate end": "stopped on purpose ('deadline') after 1 of 3 candidates; untried: "
    "anthropic/claude-opus-4-7, gcp.gemini/gemini-3-pro",
    "calls hidden in one attempt": "openai/gpt-5.5 was sent 10 requests in 1 attempt: the SDK's own retries explain 3",
    "more than is allowed": "openai/gpt-5.5 was sent 3 requests in 1 attempt: 2 are allowed",
    "SDK retries under loop retries": "openai/gpt-5.5 was sent 6 requests in 2 attempts: the loop retries on top of "
    "the SDK's own retries",
    "a call that took too long": "openai/gpt-5.5 took 240.0 s without success; more than 180.0 s is hung",
    "killed and still open": "openai/gpt-5.5 was still open when the run ended, 1.0 s after it began, though killed "
    "(stale)",
    "others are tried too late": "openai/gpt-5.5 was tried 3 times despite timeouts, 369.0 s in all, while "
    "anthropic/claude-opus-4-7, gcp.gemini/gemini-3-pro waited",
    "two refuse the request": "2 candidates refused the request itself, so the request is the likely cause: "
    "openai/gpt-5.5 (invalid_request 400), anthropic/claude-opus-4-7 (content_policy 400)",
    "skipped for another provider": "anthropic/claude-opus-4-7 was skipped (cooldown) for the failure of another "
    "provider: openai/gpt-5.5 (billing)",
    "skipped for another model": "anthropic/claude-opus-4-7 was skipped (cooldown) for the failure of another model: "
    "anthropic/claude-haiku-4-5 (rate_limit)",
    "the incident": "anthropic/claude-opus-4-7 carries the error text of openai/gpt-5.5; its own evidence is complete "
    "and does not hold it",
    "neither said it": "openai/gpt-5.5, anthropic/claude-opus-4-7 carry one error text; their own evidence is complete "
    "and does not hold it",
    "the final error names only the last": "the final QuotaError leaves out 2 of 3 failed candidates: openai/gpt-5.5, "
    "anthropic/claude-opus-4-7",
    "the final error blames a bystander": "the final E blames mistral, which did not fail",
    "nothing was sent": "nothing was sent, the failure is this process's own 'no key was configured', not a "
    "provider's: openai/gpt-5.5, anthropic/claude-opus-4-7, gcp.gemini/gemini-3-pro",
    "a text that is an error": "openai/gpt-5.5 answered with a text that reads like an error message",
    "an empty answer": "openai/gpt-5.5 succeeded with an answer that holds neither text nor a tool call",
    "broke off": "openai/gpt-5.5 broke off after output had been handed on (overloaded); anthropic/claude-opus-4-7 "
    "then served",
    "another member's model, dated": "openai/gpt-4o answered as 'gpt-4o-mini-2024-07-18', the model of "
    "openai/gpt-4o-mini",
    "booked on another": "the loop's result says that openai/gpt-5.5 answered; it was anthropic/claude-opus-4-7",
    "own prefix": "openai refused the model 'openai/gpt-5.5' (model_not_found 404): the name carries a provider's "
    "prefix",
    "a stranger is tried": "mistral_ai/mistral-large was tried, though it is not in the declared chain of 3",
    "a stranger serves": "mistral_ai/mistral-large served, though it is not in the declared chain of 3",
    "no time left": "anthropic/claude-opus-4-7 was given 0.40 s and ran out of time, after earlier candidates had "
    "taken 30.0 s",
    "on after a stop": "anthropic/claude-opus-4-7 was tried after the run had been cancelled or stopped, and was sent "
    "1 request",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_finding_says_what_happened_in_one_sentence(name: str) -> None:
    assert FIRING[name].found()[0].sentence == SENTENCES[name]


def test_seventeen_candidates_of_which_fifteen_were_never_asked() -> None:
    chain: tuple[tuple[str, str], ...] = (("qwen-portal", "qwen3-max"), ("qwen-portal", "qwen3-coder"), OPENAI)
    chain += tuple(("openrouter", f"vendor/model-{number}") for number in range(14))
    record = Record(
        chain=chain,
        outcome="stopped",
        tried=(
            ended(*chain[0], 0, outcome="error", reason="rate_limit", origin="response", status=429),
            ended(
                *chain[1],
                1,
                outcome="error",
                reason="unknown",
                origin="response",
                status=418,
                code="weird",
                span_id="s",
            ),
        ),
        untried=tuple(range(2, 17)),
    )
    assert find(record) == (
        Finding(
            "chain_bypassed",
            "stopped after 2 of 17 candidates: 'weird' 418 from qwen-portal was recognised by nobody; untried: "
            "openai/gpt-5.5, openrouter/vendor/model-0, openrouter/vendor/model-1, openrouter/vendor/model-2, "
            "openrouter/vendor/model-3, openrouter/vendor/model-4, …(+9)",
            "warning",
            tuple(range(2, 17)),
            {
                "chain": 17,
                "tried": 2,
                "untried": [f"{provider}/{model}" for provider, model in chain[2:]],
                "provider": "qwen-portal",
                "model": "qwen3-coder",
                "status": 418,
                "code": "weird",
                "reason": "unknown",
                "span_ids": ["s"],
            },
        ),
    )


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (limited(OPENAI, code=None, message="Slow\ndown"), "'Slow down' 429 from openai was not failed over"),
        (hung(OPENAI), "timeout from openai was not failed over"),
        (tried(OPENAI, "error"), "a failure from openai was recognised by nobody"),
        (limited(OPENAI, code="x" * 300, reason="unknown"), f"'{'x' * 79}…' 429 from openai was recognised by nobody"),
    ],
)
def test_a_bypass_names_the_failure_that_ended_the_loop(last: AttemptRecord, told: str) -> None:
    """By code, else by its sentence, else by reason; `recognised by nobody` only where we do not know it either."""
    assert f"candidates: {told}; untried: " in find(run(last))[0].sentence


def test_a_bypass_tells_how_many_were_skipped() -> None:
    found = find(run(limited(OPENAI), skipped=(skip(ANTHROPIC),)))
    assert found[0].sentence.startswith("stopped after 1 of 3 candidates (1 skipped): ")
    assert found[0].candidates == (2,)


def test_a_finding_is_told_once_per_candidate_and_names_its_attempts() -> None:
    """Places in the chain where there is one, positions of the attempts where there is none."""
    storms = (nested(7, span_id="a"), limited(ANTHROPIC, requests=9, retries=0), nested(8, span_id="c"))
    placed = find(run(*storms, tried(GEMINI)))
    assert [(each.rule, each.candidates) for each in placed] == [("retry_storm", (0,)), ("retry_storm", (1,))]
    assert placed[0].facts == {"requests": 15, "attempts": 2, "calls": 2, "span_ids": ["a", "c"]}
    loose = find(run(*(each._replace(index=-1) for each in storms), chain=()))
    assert [each.candidates for each in loose] == [(0, 2), (1,)]


def test_two_places_of_one_provider_and_model_are_two_candidates() -> None:
    twice = (OPENAI, OPENAI)
    assert find(run(nested(3, index=0), nested(3, index=1), chain=twice)) == ()
    assert find(run(nested(3, index=-1, profile="a"), nested(3, index=-1, profile="b"), chain=())) == ()


def test_two_keys_of_one_model_are_told_apart_by_their_places() -> None:
    """ "openai/gpt-5.5 carries the text of openai/gpt-5.5" says nothing."""
    chain = (OPENAI, OPENAI, GEMINI)
    record = run(limited(OPENAI, index=0, own=SAID), hung(OPENAI, index=1, claimed=SAID), tried(GEMINI), chain=chain)
    (finding,) = find(record)
    assert finding.sentence.startswith("openai/gpt-5.5 #1 carries the error text of openai/gpt-5.5 #0; ")


INFORMATION: Final = {"futile_failover", "lossy_report", "nothing_served", "sticky_fallback"}
EITHER: Final = {"chain_stopped", "outage_not_failed_over"}


def test_what_an_honest_loop_may_come_to_is_mere_information() -> None:
    levels = {(each.rule, each.level) for case in FIRING.values() for each in case.found()}
    sure = {(rule, "info" if rule in INFORMATION else "warning") for rule in set(FINDINGS) - EITHER}
    assert levels == sure | {(rule, level) for rule in EITHER for level in ("info", "warning")}
    told = {name: FIRING[name].found()[0].level for name in ("a deliberate end", "an honest end of a refused request")}
    assert list(told.values()) == ["warning", "info"]


def test_a_partial_answer_says_whether_anybody_served_after_it() -> None:
    broken = tried(OPENAI, "partial", reason="connection")
    said = [
        find(run(broken, *later))[-1].sentence for later in ([tried(OPENAI)], [limited(ANTHROPIC), limited(GEMINI)])
    ]
    start = "openai/gpt-5.5 broke off after output had begun (connection)"
    assert said == [f"{start}; its next try then served", start]


def test_a_rule_is_off_where_it_guesses_and_can_be_switched() -> None:
    record = run(tried(OPENAI, text_error=True, empty=True))
    assert [each.rule for each in find(record)] == ["empty_success"]
    assert [each.rule for each in find(record, enabled=["text_error"])] == ["text_error", "empty_success"]
    assert [each.rule for each in find(record, disabled=["empty_success", "no such rule"])] == []
    assert find(record, disabled=FINDINGS, enabled=FINDINGS) == ()


def test_thresholds_are_the_hosts() -> None:
    slow = run(hung(OPENAI, took=60.0), hung(ANTHROPIC, took=2.0), tried(GEMINI))
    assert find(slow) == ()
    assert [each.rule for each in find(slow, Thresholds(stale_after=30.0))] == ["hung_candidate"]
    assert [each.rule for each in find(slow, Thresholds(starved_below=3.0))] == ["starved_candidate"]


def test_no_key_that_a_host_put_into_a_name_leaves() -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    who = (f"openai-{key}", f"gpt\n{key}")
    leaky = limited(
        who, index=0, code=key, message=f"bad key {key}", requests=9, retries=0, text_error=True, reason=key
    )
    skipped = Skipped(*who, 1, key, key, (key, key, key), key)
    records = [
        run(leaky, chain=(who, OPENAI)),
        run(leaky, chain=(who, OPENAI), stop_reason=key),
        run(tried(who, index=-1, response_model=key), skipped=(skipped,), chain=(OPENAI, who)),
        run(leaky, limited(OPENAI, index=1), chain=(who, OPENAI), report=Report(key, frozenset(), frozenset({key}))),
    ]
    told = [find(record, enabled=FINDINGS_OFF) for record in records]
    assert all(told)
    assert key[8:] not in repr(told)


# Properties

WORD: Final = st.sampled_from(
    ["", *OPENAI, *ANTHROPIC, "openrouter", "openai/gpt-5.5", "gpt-5.5-mini", "a/a/b"]
) | st.text(max_size=100)
FEW: Final = st.frozensets(st.sampled_from(["f1", "f2", "f3", "f4"]), max_size=3)
SECONDS: Final = st.floats() | st.sampled_from([0.0, 0.5, 1.0, 30.0, 200.0, 1000.0])
SMALL: Final = st.integers(-2, 12)
BARELY: Final = st.none() | st.booleans()

ATTEMPTS: Final = st.builds(
    ended,
    provider=WORD,
    model=WORD,
    index=st.integers(-1, 4),
    number=SMALL,
    outcome=st.sampled_from(["success", "error", "rejected", "partial", "cancelled", "open", "?"]),
    reason=st.sampled_from([None, "timeout", "invalid_request", "model_not_found", *sorted(REASONS)]),
    origin=st.sampled_from(["response", "client", None, "transport", "cancelled"]),
    status=st.sampled_from([None, 0, 200, 400, 404, 418, 429]),
    code=st.none() | WORD,
    message=st.text(max_size=100),
    evidence=st.sampled_from(["complete", "partial", "none"]),
    began=SECONDS,
    ended=SECONDS,
    requests=SMALL,
    calls=SMALL,
    retries=st.none() | SMALL,
    own=FEW,
    claimed=FEW,
    timeout=st.sampled_from([None, "read", "connect"]),
    configured=st.none() | SECONDS,
    killed_by=st.sampled_from([None, "stale", "deadline", "caller_timeout", "user", "breaker"]),
    response_model=WORD,
    empty=BARELY,
    text_error=BARELY,
    streamed=st.booleans(),
    declared=st.booleans(),
    probe=st.booleans(),
    cancelled_before=st.booleans(),
    profile=st.sampled_from([None, "a", "b"]),
    span_id=st.sampled_from(["", "0123456789abcdef"]),
    refused=st.lists(st.integers(0, 2), max_size=3).map(tuple),
)
SKIPS: Final = st.builds(
    Skipped,
    provider=WORD,
    model=WORD,
    index=st.integers(-1, 4),
    reason=WORD,
    profile=st.sampled_from([None, "a", "b"]),
    cause=st.none() | st.tuples(WORD, WORD, st.sampled_from([None, "a", "b"])),
    cause_reason=st.none() | st.sampled_from(sorted(REASONS)),
)
RECORDS: Final = st.builds(
    Record,
    chain=st.lists(st.tuples(WORD, WORD), max_size=5).map(tuple),
    outcome=st.sampled_from(["primary", "fallback", "exhausted", "stopped", "cancelled", "unseen", "unasked", "?"]),
    stray=st.integers(-1, 6),
    left_by=WORD,
    asked_elsewhere=st.booleans(),
    unseen=WORD,
    begun_later=st.integers(0, 5),
    stop_reason=st.none() | WORD,
    tried=st.lists(ATTEMPTS, max_size=6).map(tuple),
    skipped=st.lists(SKIPS, max_size=3).map(tuple),
    untried=st.lists(st.integers(-2, 6), max_size=5).map(tuple),
    report=st.none() | st.builds(Report, type=WORD, told=st.frozensets(SMALL), blamed=st.frozensets(WORD, max_size=3)),
    seconds=SECONDS,
)
LIMITS: Final = st.builds(
    Thresholds,
    stale_after=st.floats(0.1, 1000.0),
    max_requests=st.none() | st.integers(0, 5),
    starved_below=st.floats(0, 10),
)
SOME: Final = st.sets(st.sampled_from(FINDINGS))
OF_SEVERAL: Final = frozenset({"futile_failover", "identical_errors", "lossy_report", "local_failure"})


@given(RECORDS, LIMITS)
@settings(max_examples=300, deadline=None)
def test_any_record_is_judged_the_same_way_each_time_in_one_line_each(record: Record, limits: Thresholds) -> None:
    found = find(record, limits, enabled=FINDINGS_OFF)
    assert found == find(replace(record), limits, enabled=FINDINGS_OFF)
    assert [each.rule for each in found] == sorted((each.rule for each in found), key=FINDINGS.index)
    for each in found:
        assert 0 < len(each.sentence) <= 255
        assert each.sentence.isprintable()
        each.sentence.encode()
        assert {type(value) for value in each.facts.values()} <= {str, int, float, list}
        assert all(place >= 0 for place in each.candidates)


@given(RECORDS, SOME, SOME)
@settings(max_examples=100, deadline=None)
def test_a_rule_that_is_off_is_silent_and_changes_no_other(record: Record, off: set[str], on: set[str]) -> None:
    everything = find(record, enabled=FINDINGS)
    asked = tuple(
        each for each in everything if each.rule not in off and (each.rule not in FINDINGS_OFF or each.rule in on)
    )
    assert find(record, disabled=off, enabled=on) == asked


@given(RECORDS)
@settings(max_examples=100, deadline=None)
def test_a_rule_fires_once_per_candidate(record: Record) -> None:
    found = [each for each in find(record, enabled=FINDINGS_OFF) if each.rule not in OF_SEVERAL]
    about = [(each.rule, place) for each in found for place in each.candidates]
    assert len(about) == len(set(about))


@given(RECORDS, st.permutations(["f1", "f2", "f3", "f4"]))
@settings(max_examples=100, deadline=None)
def test_what_fingerprints_are_called_changes_nothing(record: Record, names: list[str]) -> None:
    renamed = dict(zip(["f1", "f2", "f3", "f4"], names, strict=True))
    attempts = tuple(
        each._replace(
            own=frozenset(renamed[text] for text in each.own),
            claimed=frozenset(renamed[text] for text in each.claimed),
        )
        for each in record.tried
    )
    assert find(replace(record, tried=attempts)) == find(record)


@given(ATTEMPTS, st.lists(st.tuples(WORD, WORD), max_size=3), LIMITS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_short_cut_for_a_plain_run_hides_no_finding(
    attempt: AttemptRecord, chain: list[tuple[str, str]], limits: Thresholds, tame: bool
) -> None:
    """No rule asks which candidate served a run, the short cut does: it has the findings that it has the long way."""
    calm: dict[str, Any] = {"settled": Outcome(), "requests": 1, "probe": False, "cancelled_before": False}
    only = attempt._replace(**calm, empty=None, text_error=None) if tame else attempt
    record = Record(chain=tuple(chain), tried=(only,))
    the_long_way = replace(record, outcome="fallback")
    assert find(record, limits, enabled=FINDINGS_OFF) == find(the_long_way, limits, enabled=FINDINGS_OFF)


@given(st.sampled_from(CHAIN), st.floats(0, 1e4), st.integers(0, 4), st.none() | st.integers(0, 4), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_run_that_its_primary_served_at_once_has_no_findings(
    primary: tuple[str, str], took: float, requests: int, retries: int | None, streamed: bool
) -> None:
    requests = min(requests, (4 if retries is None else retries) + 1)
    chain = (primary, *(each for each in CHAIN if each != primary))
    served = ended(*primary, 0, ended=took, requests=requests, calls=1, retries=retries, streamed=streamed, empty=False)
    named = served._replace(response_model=f"{primary[1]}-2026-11-20")
    assert find(Record(chain=chain, tried=(named,), untried=(1, 2), seconds=took), enabled=FINDINGS_OFF) == ()


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("Models/Gemini-3", "gcp.gemini", "gemini-3"),
        ("openrouter/openai/gpt-5.5", "openrouter", "gpt-5.5"),
        ("qwen-portal/qwen3", "Qwen-Portal", "qwen3"),
        ("meta-llama/llama-3", "groq", "meta-llama/llama-3"),
        ("openai", "openai", "openai"),
        ("eu.anthropic.claude-sonnet-4-5-v1:0", "aws.bedrock", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "gcp.vertex_ai", "claude-sonnet-4-5-20250929"),
        ("gpt-5.5", "openai", "gpt-5.5"),
        ("deepseek-v3", "deepseek", "deepseek-v3"),
        ("openai/", "openai", ""),
    ],
)
def test_a_models_name_is_compared_without_who_serves_it(model: str, provider: str, name: str) -> None:
    assert bare(model, provider) == name


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("openai", "openai", False),
        ("/gpt-5.5", "", False),
        ("openai/gpt-5.5", "azure.ai.openai", False),
        ("nvidia/nemotron", "nvidia_nim", False),
        ("groq/compound", "groq", False),
        ("ollama/llama3", "ollama", True),
        ("qwen-portal/qwen3", "qwen-portal", True),
        ("meta-llama/meta-llama/llama-3", "together_ai", True),
    ],
)
def test_a_prefix_is_one_too_many_where_the_provider_takes_none(model: str, provider: str, expected: bool) -> None:
    assert is_prefixed(model, provider) is expected


def test_a_bare_call_at_a_place_of_the_chain_is_a_try_of_the_loop() -> None:
    """Inferred is not beside the chain: only what has no place in it is."""
    hanging = [hung(OPENAI, declared=False)] * 3
    assert [each.rule for each in find(run(*hanging, tried(ANTHROPIC)))] == ["timeout_not_failed_over"]


@given(st.sampled_from(sorted(FIRING)), st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_a_sentence_stays_one_short_line_whatever_names_and_messages_hold(name: str, model: str, said: str) -> None:
    record = FIRING[name].record
    attempts = tuple(
        each._replace(
            candidate=Candidate(each.provider, each.model + model, profile=each.profile),
            error=CandidateError(each.provider, each.model, None, "unknown", said, None),
        )
        for each in record.tried
    )
    chain = tuple((provider, own + model) for provider, own in record.chain)
    report = replace(record.report, type=said) if record.report else None
    long = replace(record, tried=attempts, chain=chain, report=report, stop_reason=record.stop_reason and said)
    for each in find(long, FIRING[name].thresholds, enabled=FINDINGS_OFF):
        assert 0 < len(each.sentence) <= 255
        assert each.sentence.isprintable()
