"""Claim held against evidence: every rule and its honest twin, precedence and binding."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_failover._core.attribution import rules as attribution
from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import Bonds, OwnFacts, SourceFacts, Verdict
from otel_failover._core.attribution.rules import judge, worst
from otel_failover._core.domain.verdicts import RULES
from otel_failover._core.text import matching as wording
from otel_failover._core.text.matching import STOCK, fingerprint, normalise, start_keys
from otel_failover.testing.answers import Answer
from tests.support.faults import watch
from tests.support.mutants import mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType


def wrong(reason: str) -> pytest.MarkDecorator:
    """Mark what the contract decides and the code does otherwise."""
    return pytest.mark.xfail(strict=True, reason=reason)


QUOTA: Final = str(Answer.openai_quota().message)
LONG: Final = "No replica holds the weights of https://models.example.org/catalogue/llama5-large-instruct-2026 any more"
CREDIT: Final = str(Answer.anthropic_credit_too_low().message)
LIMIT: Final = str(Answer.anthropic_rate_limit().message)
OWN_TEXT: Final = "Our scheduler could not place this request on any replica"
TIMEOUT_TEXT: Final = "Request timed out."
RAISED_FOR_STATUS: Final = (
    "Client error '429 Too Many Requests' for url 'https://api.example.org/v1/chat/completions'\n"
    "For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/429"
)
"""As httpx says it."""

OPENAI: Final = SourceFacts(
    "openai",
    0,
    "aaaaaaaaaaaaaaaa",
    1,
    messages=(normalise(QUOTA),),
    codes=frozenset({"insufficient_quota"}),
    statuses=frozenset({429}),
    request_ids=frozenset({"req_of_openai"}),
    response_ids=frozenset({"chatcmpl-of-openai"}),
)
LATER: Final = OPENAI._replace(
    provider="openrouter",
    index=1,
    span_id="bbbbbbbbbbbbbbbb",
    order=2,
    request_ids=frozenset({"req_of_openrouter"}),
    response_ids=frozenset({"chatcmpl-of-openrouter"}),
)
ANTHROPIC: Final = SourceFacts(
    "anthropic",
    1,
    "cccccccccccccccc",
    2,
    messages=(normalise(CREDIT),),
    codes=frozenset({"invalid_request_error"}),
    statuses=frozenset({400}),
    request_ids=frozenset({"req_of_anthropic"}),
)
ALIVE: Final = OPENAI._replace(alive=True)
SAME: Final = OPENAI._replace(same=True)

HUNG: Final = OwnFacts(sent=1, reasons=frozenset({"timeout"}), texts=(normalise(TIMEOUT_TEXT),))
ANSWERED: Final = OwnFacts(
    sent=1,
    answered=1,
    statuses=frozenset({500}),
    codes=frozenset({"no_replica"}),
    request_ids=frozenset({"req_own"}),
    texts=(normalise(OWN_TEXT),),
    reasons=frozenset({"server_error"}),
)
SERVED: Final = OwnFacts(
    sent=1,
    answered=1,
    statuses=frozenset({200}),
    response_ids=frozenset({"chatcmpl-own"}),
    reasons=frozenset({"response_rejected"}),
)
RATE_LIMITED: Final = frozenset({"rate_limit"})
NOTHING: Final = OwnFacts(complete=False)
UNSENT: Final = OwnFacts(reasons=frozenset({"client_error"}))


def remembered(message: str, incident: SourceFacts) -> Callable[[str], SourceFacts | None]:
    """Return a history that knows one message."""
    known = fingerprint(normalise(message))
    return lambda asked: incident if asked == known else None


def remembered_by_start(message: str, incident: SourceFacts) -> Callable[[str], SourceFacts | None]:
    """Return a history that knows one message by how it starts."""
    known = start_keys(normalise(message))
    return lambda asked: incident if asked in known else None


def saying(message: str) -> SourceFacts:
    """Return an attempt that said something else."""
    return OPENAI._replace(messages=(message,))


@dataclass
class Case:
    """One claim held against one evidence, and why the outcome is right."""

    why: str
    claim: tuple[Claim, Bonds]
    own: OwnFacts
    expected: tuple[str, str | None]
    others: Sequence[SourceFacts] = (OPENAI,)
    bound_by: str | None = None
    source: str | None = None
    history: Any = None
    replayed: bool = False
    synthetic: int | None = None
    marks: Any = field(default=())

    def verdict(self, disabled: frozenset[str] = frozenset()) -> Verdict:
        history = self.history or (lambda _: None)
        return judge(*self.claim, self.own, self.others, history, disabled)

    @property
    def holds(self) -> bool:
        found = self.verdict()
        source = found.source.provider if found.source is not None else None
        return (
            (found.verdict, found.rule) == self.expected
            and self.bound_by in (None, found.bound_by)
            and self.source in (None, source)
        )


def said(*texts: str, reason: str | None = None, **facts: Any) -> tuple[Claim, Bonds]:
    """Return a claim, and whose its objects are; sets may be given as lists."""
    given: dict[str, Any] = {k: frozenset(v) if isinstance(v, (list, set)) else v for k, v in facts.items()}
    bonds = {name: given.pop(name) for name in Bonds._fields if name in given}
    return Claim(texts=texts, word=reason, **given), Bonds(**bonds)


def body_of(message: str, request_id: str, key: str = "request_id") -> str:
    """Return an error's text as SDKs make it of a body."""
    return f"Error code: 404 - {{'type': 'error', 'error': {{'message': '{message}'}}, '{key}': '{request_id}'}}"


REPORT: Final = ("unverified", "report")
STALE: Final = ("mismatch", "stale_error")
ALIVE_ERROR: Final = ("mismatch", "foreign_error")
CLAIMED: Final = ("mismatch", "claimed_answer")
MIXED: Final = ("inconsistent", "mixed_error")
STATUS: Final = ("inconsistent", "status_conflict")
REASON: Final = ("inconsistent", "reason_conflict")
VERIFIED: Final = ("verified", None)
NOTHING_BOUND: Final = ("unverified", "nothing_bound")

CASES: Final[dict[str, Case]] = {
    # mixed_error
    "mixed by object": Case(
        "own object, another's words: a library wrote into it",
        said(QUOTA, own={"object"}),
        ANSWERED,
        MIXED,
        bound_by="text",
        source="openai",
    ),
    "mixed by response": Case("own response, another's words", said(QUOTA, own={"response"}), ANSWERED, MIXED),
    "mixed by request id": Case(
        "own request id, another's words", said(QUOTA, request_ids=["req_own"]), ANSWERED, MIXED
    ),
    "mixed by code": Case("own code, another's words", said(QUOTA, codes=["no_replica"]), ANSWERED, MIXED),
    "own object with own words": Case("nothing foreign in it", said(OWN_TEXT, own={"object"}), ANSWERED, VERIFIED),
    "own request alone is no mixture": Case(
        "a request is no answer: the words are stolen all the same",
        said(QUOTA, own={"request"}),
        HUNG,
        STALE,
        bound_by="text",
        source="openai",
    ),
    # stale_error and foreign_error, by each binding
    "stale by object": Case(
        "the very exception",
        said("failed", foreign=(("object", OPENAI),)),
        HUNG,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "stale by response": Case(
        "the very response",
        said("failed", foreign=(("response", OPENAI),)),
        HUNG,
        STALE,
        bound_by="response",
        source="openai",
    ),
    "stale by request": Case(
        "the very request is told as its response",
        said("failed", foreign=(("request", OPENAI),)),
        HUNG,
        STALE,
        bound_by="response",
        source="openai",
    ),
    "stale by request id": Case(
        "issued once, by another",
        said("failed", request_ids=["req_of_openai"]),
        HUNG,
        STALE,
        bound_by="request_id",
        source="openai",
    ),
    "stale by text": Case(
        "another's sentence, in a new exception", said(QUOTA), HUNG, STALE, bound_by="text", source="openai"
    ),
    "stale by facts": Case(
        "status and code together are another's",
        said("failed", status=429, codes=["insufficient_quota"]),
        ANSWERED,
        STALE,
        bound_by="facts",
        source="openai",
    ),
    "stale by cause and status": Case(
        "raised from another's error, with its status",
        said("failed", status=429, cause=(OPENAI,)),
        HUNG,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "stale by cause and code": Case(
        "raised from another's error, with its code",
        said("failed", codes=["insufficient_quota"], cause=(OPENAI,)),
        ANSWERED,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "stale by cause and id": Case(
        "raised from another's error, with its id",
        said("failed", request_ids=["req_of_openai"], cause=(OPENAI,)),
        HUNG,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "stale by cause and text": Case(
        "raised from another's error, with its words",
        said(QUOTA, cause=(OPENAI,)),
        HUNG,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "a cause that is not repeated": Case(
        "`raise X from first_error` says nothing about the second",
        said("gave up", cause=(OPENAI,)),
        HUNG,
        NOTHING_BOUND,
    ),
    "a cause whose status is own too": Case(
        "both said 429",
        said("gave up", status=429, cause=(OPENAI,)),
        ANSWERED._replace(statuses=frozenset({429})),
        NOTHING_BOUND,
    ),
    "a cause whose words are own too": Case(
        "both said the same", said(QUOTA, cause=(OPENAI,)), ANSWERED._replace(texts=(normalise(QUOTA),)), VERIFIED
    ),
    "alive by text": Case(
        "the other attempt is still open",
        said(QUOTA),
        HUNG,
        ALIVE_ERROR,
        others=(ALIVE,),
        bound_by="text",
        source="openai",
    ),
    "alive by object": Case(
        "the other attempt is still open", said("x", foreign=(("object", ALIVE),)), HUNG, ALIVE_ERROR, others=(ALIVE,)
    ),
    "stale across runs": Case(
        "an earlier run's error, found by fingerprint",
        said(QUOTA),
        ANSWERED,
        STALE,
        others=(),
        history=remembered(QUOTA, OPENAI),
        bound_by="text",
        source="openai",
    ),
    "stale across runs, in an SDK's wrapping": Case(
        "the message stands between quotes",
        said(f"Error code: 429 - {{'error': {{'message': '{QUOTA}', 'code': 'x'}}}}"),
        ANSWERED,
        STALE,
        others=(),
        history=remembered(QUOTA, OPENAI),
    ),
    "stale across runs, cut": Case(
        "its first 32 units are remembered",
        said(f"anthropic failed: {QUOTA[:44]}…"),
        ANSWERED,
        STALE,
        others=(),
        history=remembered_by_start(QUOTA, OPENAI),
        bound_by="text",
    ),
    "stale across runs, cut among ordinary words": Case(
        "its first 48 units are",
        said(f"anthropic failed: {QUOTA[:60]} and that is all we know of it"),
        ANSWERED,
        STALE,
        others=(),
        history=remembered_by_start(QUOTA, OPENAI),
    ),
    "a start of an earlier run's text that goes on": Case(
        "ordinary words follow too soon",
        said(f"{QUOTA[:36]} limit of patience, said the scheduler of this loop"),
        ANSWERED,
        NOTHING_BOUND,
        others=(),
        history=remembered_by_start(QUOTA, OPENAI),
    ),
    "general clauses of an earlier run": Case(
        "everybody says so",
        said("Service is overloaded, please try again later."),
        ANSWERED,
        NOTHING_BOUND,
        others=(),
        history=remembered("Service is overloaded, please try again later.", OPENAI),
    ),
    "general clauses": Case(
        "everybody says so",
        said("Service is overloaded, please try again later."),
        HUNG,
        NOTHING_BOUND,
        others=(saying("Service is overloaded, please try again later."),),
    ),
    "a text of less than 24 units": Case(
        "too short to tell", said("No such plan exists"), HUNG, NOTHING_BOUND, others=(saying("No such plan exists"),)
    ),
    "cut at a sign": Case("a loop's own separator", said(f"{QUOTA[:40]} | gave up, said B"), HUNG, STALE),
    "cut in a URL that is wrapped": Case(
        "a line's end may be anywhere",
        said(f"{LONG[:70]}\n  {LONG[70:]}"),
        HUNG,
        STALE,
        others=(saying(LONG),),
    ),
    "a start that goes on": Case(
        "ordinary words follow too soon", said(f"{QUOTA[:40]} and so on, as they say"), HUNG, NOTHING_BOUND
    ),
    "a start whose quote is its own": Case(
        "a name in quotes is no cut",
        said("No deployment is called `mine` in this loop"),
        HUNG,
        NOTHING_BOUND,
        others=(saying("No deployment is called `yours` in region two"),),
    ),
    "own text is in no history": Case(
        "own words first", said(OWN_TEXT), ANSWERED, VERIFIED, others=(), history=remembered(OWN_TEXT, OPENAI)
    ),
    "replayed across runs": Case(
        "the same candidate's own, of an earlier run",
        said(QUOTA),
        ANSWERED,
        NOTHING_BOUND,
        others=(),
        history=remembered(QUOTA, SAME),
        replayed=True,
    ),
    "the same text twice": Case(
        "both providers said it", said(QUOTA), ANSWERED._replace(texts=(normalise(QUOTA),)), VERIFIED
    ),
    "a relayed text": Case(
        "a gateway wraps its upstream's words",
        said(f"openrouter: upstream said {QUOTA}"),
        ANSWERED._replace(texts=(normalise(f"upstream said {QUOTA}"),)),
        VERIFIED,
    ),
    "a text in the rest of the own bytes": Case(
        "quoted from the prompt", said(QUOTA), ANSWERED._replace(text_in_bytes=lambda _: True), NOTHING_BOUND
    ),
    "own bytes that could not be seen": Case(
        "it may stand there", said(QUOTA), ANSWERED._replace(text_in_bytes=lambda _: None), NOTHING_BOUND
    ),
    "a text with incomplete evidence": Case(
        "the own answer may have said it",
        said(QUOTA),
        ANSWERED._replace(complete=False),
        ("unverified", "evidence_incomplete"),
    ),
    "an object with incomplete evidence": Case(
        "identity needs no evidence", said("x", foreign=(("object", OPENAI),)), NOTHING, STALE
    ),
    "a request id with incomplete evidence": Case(
        "an id needs no evidence", said("x", request_ids=["req_of_openai"]), NOTHING, STALE
    ),
    "stale by a request id in its text": Case(
        "a short message, and the body's own id beside it",
        said(body_of("model: x", "req_of_openai")),
        ANSWERED,
        STALE,
        bound_by="text",
        source="openai",
    ),
    "stale by a request id in JSON within JSON": Case(
        "as a log line has it",
        said('{"body": "{\\"request_id\\": \\"req_of_openai\\"}"}'),
        HUNG,
        STALE,
        source="openai",
    ),
    "a request id in prose": Case(
        "an honest account of the one before", said("timed out; earlier request-id=req_of_openai"), HUNG, NOTHING_BOUND
    ),
    "a request id of the one before, in prose": Case(
        "it says so", said("gave up (previous request_id: req_of_openai)"), ANSWERED, NOTHING_BOUND
    ),
    "a request id in the text, beside own words": Case(
        "it sums up", said(f"{body_of('model: x', 'req_of_openai')}; {OWN_TEXT}"), ANSWERED, REPORT
    ),
    "a request id in the text of an own object": Case(
        "a library wrote into it", said(body_of("model: x", "req_of_openai"), own={"object"}), ANSWERED, MIXED
    ),
    "a request id in the text, incomplete evidence": Case(
        "own bytes may hold it",
        said(body_of("model: x", "req_of_openai")),
        ANSWERED._replace(complete=False),
        ("unverified", "evidence_incomplete"),
    ),
    "a request id that was sent": Case(
        "a gateway tells everybody's correlation id",
        said("failed", request_ids=["req_of_openai"]),
        ANSWERED._replace(sent_id=lambda name: name == "req_of_openai"),
        NOTHING_BOUND,
    ),
    "a request id in the text that was sent": Case(
        "the same",
        said(body_of("model: x", "req_of_openai")),
        ANSWERED._replace(sent_id=lambda name: name == "req_of_openai"),
        NOTHING_BOUND,
    ),
    "the own request id in the text": Case("its own body", said(body_of("x", "req_own")), ANSWERED, NOTHING_BOUND),
    "a request id that another's message is quoted with, by the provider itself": Case(
        "own words, whatever they quote",
        said(body_of("model: x", "req_of_openai")),
        ANSWERED._replace(texts=(normalise(body_of("model: x", "req_of_openai")),)),
        VERIFIED,
    ),
    "a request id of one before": Case(
        "it says so", said("gave up (previous_request_id=req_of_openai)"), ANSWERED, NOTHING_BOUND
    ),
    "a request id in passing": Case("no body has it so", said("gave up after req_of_openai"), ANSWERED, NOTHING_BOUND),
    "a longer request id": Case("another one", said(body_of("x", "req_of_openai_2")), ANSWERED, NOTHING_BOUND),
    "a request id in the text, issued twice": Case(
        "a proxy's constant",
        said(body_of("model: x", "req_of_openai")),
        ANSWERED,
        NOTHING_BOUND,
        others=(OPENAI, LATER._replace(request_ids=OPENAI.request_ids)),
    ),
    "an echoed request id": Case(
        "we sent it ourselves",
        said("x", request_ids=["req_of_openai"]),
        ANSWERED._replace(request_ids=frozenset({"req_of_openai"})),
        NOTHING_BOUND,
    ),
    "a request id issued twice": Case(
        "a proxy's constant",
        said("x", request_ids=["req_of_openai"]),
        ANSWERED,
        NOTHING_BOUND,
        others=(OPENAI, LATER._replace(request_ids=OPENAI.request_ids)),
    ),
    "a bare status": Case(
        "500 and 429 are a small alphabet",
        said("x", status=429),
        ANSWERED._replace(reasons=frozenset({"overloaded"})),
        NOTHING_BOUND,
        synthetic=429,
    ),
    "a bare code": Case(
        "a code is one attempt's, whatever the status",
        said("x", codes=["insufficient_quota"]),
        ANSWERED,
        STALE,
        bound_by="facts",
        source="openai",
    ),
    "another's code with the own status": Case(
        "the own answer was a 429 too, and no `insufficient_quota`",
        said("x", status=429, codes=["insufficient_quota"]),
        ANSWERED._replace(statuses=frozenset({429}), codes=frozenset({"rate_limit_error"}), reasons=RATE_LIMITED),
        STALE,
        bound_by="facts",
        source="openai",
    ),
    "another's code of two that have it": Case(
        "the one who was answered so",
        said("x", status=429, codes=["insufficient_quota"]),
        ANSWERED,
        STALE,
        others=(OPENAI, LATER._replace(statuses=frozenset({402}))),
        source="openai",
    ),
    "a code that says just why this attempt failed": Case(
        "loops fold providers' codes into one vocabulary",
        said("x", status=429, codes=["rate_limit_exceeded"]),
        ANSWERED._replace(statuses=frozenset({429}), codes=frozenset({"rate_limit_error"}), reasons=RATE_LIMITED),
        NOTHING_BOUND,
        others=(OPENAI._replace(codes=frozenset({"rate_limit_exceeded"})),),
    ),
    "a word that loops also say, with another's status": Case(
        "no timeout is told as a 429",
        said("x", status=429, codes=["rate_limit_error"]),
        HUNG,
        STALE,
        others=(OPENAI._replace(codes=frozenset({"rate_limit_error"})),),
        bound_by="facts",
    ),
    "a word that loops also say, alone": Case(
        "it may be one",
        said("x", codes=["rate_limit_error"]),
        HUNG,
        NOTHING_BOUND,
        others=(OPENAI._replace(codes=frozenset({"rate_limit_error"})),),
    ),
    "a word that fits, with a status that libraries make up": Case(
        "a timeout is told as a 504",
        said(TIMEOUT_TEXT, status=504, codes=["timeout_error"]),
        HUNG,
        VERIFIED,
        others=(OPENAI._replace(codes=frozenset({"timeout_error"}), statuses=frozenset({504})),),
        synthetic=504,
    ),
    "such a code, out of a provider's body": Case(
        "no loop's word",
        said("x", status=429, codes=["rate_limit_exceeded"], structured=True),
        ANSWERED._replace(statuses=frozenset({429}), codes=frozenset({"rate_limit_error"}), reasons=RATE_LIMITED),
        STALE,
        others=(OPENAI._replace(codes=frozenset({"rate_limit_exceeded"})),),
        bound_by="facts",
    ),
    "another's code, in an SDK's words": Case(
        "read out of the text",
        said("Error code: 429 - {'error': {'message': 'no', 'code': 'insufficient_quota'}}"),
        ANSWERED,
        STALE,
        others=(OPENAI._replace(messages=("no",)),),
        bound_by="facts",
        source="openai",
    ),
    "another's code, in an SDK's words with another status": Case(
        "status and code are one attempt's",
        said("Error code: 402 - {'error': {'message': 'no', 'code': 'insufficient_quota'}}"),
        ANSWERED,
        NOTHING_BOUND,
        others=(OPENAI._replace(messages=("no",)),),
    ),
    "a code that stands in the own bytes": Case(
        "a gateway relays it",
        said("x", codes=["insufficient_quota"]),
        ANSWERED._replace(text_in_bytes=lambda text: text == "insufficient_quota"),
        NOTHING_BOUND,
    ),
    "a code where own bytes could not be seen": Case(
        "it may stand there",
        said("x", codes=["insufficient_quota"]),
        ANSWERED._replace(text_in_bytes=lambda _: None),
        NOTHING_BOUND,
    ),
    "a code beside an own one": Case(
        "status and code are one attempt's",
        said("x", codes=["insufficient_quota", "no_replica"]),
        ANSWERED,
        NOTHING_BOUND,
    ),
    "facts where nothing was sent": Case(
        "the loop's own words for its own limiter",
        said("x", status=429, codes=["insufficient_quota"]),
        UNSENT,
        ("unverified", "nothing_sent"),
    ),
    "a text where nothing was sent": Case("another's words all the same", said(QUOTA), UNSENT, STALE),
    "a short text": Case(
        "'Overloaded' is said by everybody",
        said("Overloaded"),
        HUNG,
        NOTHING_BOUND,
        others=(OPENAI._replace(messages=("overloaded",)),),
    ),
    "a stock text": Case(
        "'Server disconnected without ...' is made up by the client",
        said("Server disconnected without sending a response."),
        ANSWERED,
        NOTHING_BOUND,
        others=(OPENAI._replace(messages=(normalise("Server disconnected without sending a response."),)),),
    ),
    "the start of a stock text": Case(
        "cut, it is still stock",
        said("Server disconnected without sending..."),
        ANSWERED,
        NOTHING_BOUND,
        others=(OPENAI._replace(messages=(normalise("Server disconnected without sending a response. Retry later"),)),),
    ),
    "a cut text": Case(
        "24 characters of the start, then an ellipsis", said(QUOTA[:40] + "..."), HUNG, STALE, bound_by="text"
    ),
    "a text that goes on differently": Case(
        "the same start, another end", said("You exceeded your current quota of patience"), ANSWERED, NOTHING_BOUND
    ),
    # replayed
    "replayed by object": Case(
        "a breaker raises its own candidate's error",
        said(QUOTA, foreign=(("object", SAME),)),
        UNSENT,
        ("unverified", "nothing_sent"),
        others=(SAME,),
        replayed=True,
    ),
    "replayed by text": Case("the same in new words", said(QUOTA), HUNG, NOTHING_BOUND, others=(SAME,), replayed=True),
    "replayed with incomplete evidence": Case(
        "own earlier text binds without evidence",
        said(QUOTA),
        NOTHING,
        ("unverified", "evidence_incomplete"),
        others=(SAME,),
        replayed=True,
    ),
    "replayed beats foreign": Case(
        "its own earlier error, which another said too",
        said(QUOTA),
        HUNG,
        NOTHING_BOUND,
        others=(SAME, LATER),
        replayed=True,
    ),
    # reports
    "report by text": Case(
        "both candidates' errors in a new one", said(f"openai: {QUOTA}; other: {OWN_TEXT}"), ANSWERED, REPORT
    ),
    "report by a stock text": Case(
        "for reports, short and stock texts are own", said(f"{QUOTA}; {TIMEOUT_TEXT}"), HUNG, REPORT
    ),
    "report by group": Case(
        "an own member", said("all failed", own_member=True, foreign=(("object", OPENAI),)), HUNG, REPORT
    ),
    "report with foreign status": Case(
        "it sums up, so it may have anybody's status",
        said(f"{QUOTA}; {TIMEOUT_TEXT}", status=429, codes=["insufficient_quota"]),
        HUNG,
        REPORT,
    ),
    "a word that nobody knows": Case("a loop's own", said(reason="no luck"), HUNG, VERIFIED),
    "a status in a loop's word": Case("nobody gave it here", said(reason="HTTP 429"), HUNG, NOTHING_BOUND),
    "a code in a loop's word": Case("another's", said(reason="429 insufficient_quota"), HUNG, NOTHING_BOUND),
    "a short message as a loop's word": Case(
        "another's, though too short to bind",
        said(reason="Insufficient Balance"),
        HUNG,
        NOTHING_BOUND,
        (OPENAI._replace(messages=("Insufficient Balance",)),),
    ),
    "an issued id in a loop's word": Case(
        "only an answer has one", said(reason="req_0000000aadceb1e0146c84bde0893c4b"), HUNG, NOTHING_BOUND
    ),
    "something of which nothing is read": Case("no claim is not a good one", said(is_unread=True), HUNG, NOTHING_BOUND),
    "an own text in a loop's many words": Case(
        "what is around an own text that cannot be chance says nothing of an answer",
        said(f"while the nightly summary of region four was being written, somebody heard this of it: {OWN_TEXT}"),
        ANSWERED,
        VERIFIED,
    ),
    "another candidate's host": Case(
        "an own status for a URL that this attempt never asked is not only its own",
        said("Client error '500 Internal Server Error' for url 'https://api.openai.com/v1/chat/completions'"),
        ANSWERED,
        NOTHING_BOUND,
        (OPENAI._replace(addresses=frozenset({("api.openai.com", 443)})),),
    ),
    "its own host": Case(
        "a status and a URL that are both its own, though the status is another's as well",
        said(RAISED_FOR_STATUS, status=429),
        ANSWERED._replace(
            statuses=frozenset({429}),
            reasons=RATE_LIMITED,
            went_to=lambda address: address == ("api.example.org", 443),
        ),
        VERIFIED,
    ),
    "nobody's host": Case(
        "a status that two have, for a URL that nobody is known to have asked",
        said(RAISED_FOR_STATUS, status=429),
        ANSWERED._replace(statuses=frozenset({429}), reasons=RATE_LIMITED),
        NOTHING_BOUND,
    ),
    "a name is no own text": Case(
        "'anthropic failed: <openai's text>' sums up nothing", said(f"anthropic failed with 504: {QUOTA}"), HUNG, STALE
    ),
    "an own object is no report": Case(
        "own by object, and another's words beside its own",
        said(f"{QUOTA}; {OWN_TEXT}", own={"object"}),
        ANSWERED,
        MIXED,
    ),
    "an own request id is no report": Case(
        "own by request id", said(f"{QUOTA}; {OWN_TEXT}", request_ids=["req_own"]), ANSWERED, MIXED
    ),
    "a status line is no own text": Case(
        "what an SDK says of any answer without a text tells nothing of this one",
        said(f"Error code: 502; {QUOTA}"),
        ANSWERED._replace(texts=(normalise("Error code: 502"),)),
        STALE,
    ),
    "report raised from its last error": Case(
        "`raise AllFailed(...) from last`: own by nothing but the cause",
        said(f"{QUOTA}; {OWN_TEXT}"),
        ANSWERED,
        REPORT,
    ),
    "report raised from the first error": Case(
        "a report is no mismatch, whatever it was raised from",
        said(f"{QUOTA}; {OWN_TEXT}", cause=(OPENAI,)),
        ANSWERED,
        REPORT,
    ),
    "a foreign object that reports": Case(
        "another's exception which names both is another's exception",
        said(f"{QUOTA}; {OWN_TEXT}", foreign=(("object", OPENAI),)),
        ANSWERED,
        STALE,
        bound_by="object",
    ),
    # foreign_response
    "foreign response": Case(
        "a success with another's response id",
        said(response_id="chatcmpl-of-openai"),
        SERVED,
        ("mismatch", "foreign_response"),
        bound_by="facts",
        source="openai",
    ),
    "own response id": Case("its own", said(response_id="chatcmpl-own"), SERVED, VERIFIED),
    "own response id issued twice": Case(
        "own wins",
        said(response_id="chatcmpl-of-openai"),
        SERVED._replace(response_ids=frozenset({"chatcmpl-of-openai"})),
        VERIFIED,
    ),
    "a response id issued by two": Case(
        "nobody can be named",
        said(response_id="chatcmpl-of-openai"),
        SERVED,
        NOTHING_BOUND,
        others=(OPENAI, LATER._replace(response_ids=OPENAI.response_ids)),
    ),
    "an own earlier response": Case(
        "the same candidate's cache", said(response_id="chatcmpl-of-openai"), SERVED, NOTHING_BOUND, others=(SAME,)
    ),
    # wrong_endpoint
    "wrong endpoint": Case(
        "the request went to another member",
        said(),
        OwnFacts(misdirected=OPENAI),
        ("mismatch", "wrong_endpoint"),
        bound_by="facts",
        source="openai",
    ),
    "right endpoint": Case("nothing was misdirected", said(), SERVED, VERIFIED),
    # provider_conflict
    "provider conflict": Case(
        "the same span names another for its error",
        said("x", conflict="openai"),
        ANSWERED,
        ("mismatch", "provider_conflict"),
        bound_by="facts",
        source="openai",
    ),
    "no provider conflict": Case("it names nobody", said(OWN_TEXT), ANSWERED, VERIFIED),
    # claimed_answer
    "claimed answer by id": Case(
        "a request id, and nobody answered",
        said("x", request_ids=["req_0123456789abcdef"]),
        HUNG,
        CLAIMED,
        bound_by="facts",
    ),
    "an id of the application's own": Case(
        "a correlation id, as no provider issues them", said("x", request_ids=["job-7"]), HUNG, NOTHING_BOUND
    ),
    "claimed answer by code": Case(
        "a provider's code, and nobody answered", said("x", codes=["overloaded_error"]), HUNG, CLAIMED
    ),
    "claimed answer by a code in capitals": Case("Google's", said("x", codes=["RESOURCE_EXHAUSTED"]), HUNG, CLAIMED),
    "claimed answer by body": Case("a structured body, and nobody answered", said("x", structured=True), HUNG, CLAIMED),
    "claimed answer by wording": Case("a sentence that only a provider says", said(f"failed: {LIMIT}"), HUNG, CLAIMED),
    "wording of the own request": Case(
        "quoted from the prompt", said(f"failed: {LIMIT}"), HUNG._replace(text_in_bytes=lambda _: True), NOTHING_BOUND
    ),
    "wording with an own answer": Case(
        "somebody answered: nobody can say that it was not this", said(f"failed: {LIMIT}"), ANSWERED, NOTHING_BOUND
    ),
    "wording with incomplete evidence": Case(
        "unseen", said(f"failed: {LIMIT}"), HUNG._replace(complete=False), ("unverified", "evidence_incomplete")
    ),
    "wording where nothing was sent": Case(
        "unverified, not claimed_answer", said(f"failed: {LIMIT}"), UNSENT, ("unverified", "nothing_sent")
    ),
    "wording that is replayed": Case(
        "the candidate's own, earlier", said(QUOTA, structured=True), HUNG, NOTHING_BOUND, others=(SAME,), replayed=True
    ),
    "a loop's own code": Case("`timeout` is no provider's", said(TIMEOUT_TEXT, codes=["timeout"]), HUNG, VERIFIED),
    # status_conflict, reason_conflict
    "status conflict": Case("429 where nobody answered", said("x", status=429), HUNG, STATUS, others=()),
    "status conflict with an answer": Case(
        "401 where the answer was 500", said("x", status=401), ANSWERED, STATUS, others=()
    ),
    "a retry's status": Case(
        "an SDK retry got the 429",
        said(TIMEOUT_TEXT, status=429),
        HUNG._replace(answered=1, statuses=frozenset({429})),
        VERIFIED,
    ),
    "a made-up status": Case(
        "litellm says 408 for a timeout", said(TIMEOUT_TEXT, status=408), HUNG, VERIFIED, synthetic=408
    ),
    "a made-up status for a reset": Case(
        "litellm says 500 for a reset",
        said(status=500),
        HUNG._replace(reasons=frozenset({"connection"})),
        VERIFIED,
        synthetic=500,
    ),
    "a status where nothing was sent": Case(
        "the library made it up", said("x", status=401), UNSENT, ("unverified", "nothing_sent"), synthetic=401
    ),
    "reason conflict": Case("billing beside a timeout", said(reason="billing"), HUNG, REASON, others=()),
    "reason conflict with an answer": Case("auth beside a 500", said(reason="auth"), ANSWERED, REASON, others=()),
    "a fair reason": Case("server_error beside a timeout", said(reason="server_error"), HUNG, VERIFIED, others=()),
    "a reason with incomplete evidence": Case(
        "unseen", said(reason="billing"), HUNG._replace(complete=False), ("unverified", "evidence_incomplete")
    ),
    # the rest of `unverified` and `verified`
    "nothing bound": Case("a loop's own words", said("the candidate would not do"), ANSWERED, NOTHING_BOUND),
    "nothing sent": Case(
        "a loop's own words, and nothing was sent",
        said("no key configured for this candidate"),
        UNSENT,
        ("unverified", "nothing_sent"),
    ),
    "evidence incomplete": Case(
        "an SDK that we do not see", said(QUOTA), NOTHING, ("unverified", "evidence_incomplete")
    ),
    "own words": Case(
        "as the wire said",
        said(OWN_TEXT, status=500, codes=["no_replica"], request_ids=["req_own"]),
        ANSWERED,
        VERIFIED,
    ),
    "own words in a sentence": Case("wrapped", said(f"candidate failed: {OWN_TEXT} (500)"), ANSWERED, VERIFIED),
    "no claim": Case("complete evidence, nothing said", said(), ANSWERED, VERIFIED),
    "no claim, no evidence": Case("nothing seen, nothing said", said(), NOTHING, ("unverified", "evidence_incomplete")),
    "an unknown request id": Case(
        "verified means every fact", said(OWN_TEXT, request_ids=["req_unknown"]), ANSWERED, NOTHING_BOUND
    ),
    "a provider's code in capitals": Case(
        "verified means every fact: nobody of ours said RESOURCE_EXHAUSTED",
        said(codes=["RESOURCE_EXHAUSTED"]),
        ANSWERED,
        NOTHING_BOUND,
    ),
    "a provider's code that loops also say": Case(
        "verified means every fact: `rate_limit_error` is no fact of a timeout",
        said(codes=["rate_limit_error"]),
        HUNG,
        NOTHING_BOUND,
    ),
    "facts in capitals": Case(
        "Google's code and status, where own evidence has neither",
        said("x", status=429, codes=["RESOURCE_EXHAUSTED"]),
        ANSWERED,
        STALE,
        others=(OPENAI._replace(provider="gcp.gemini", codes=frozenset({"RESOURCE_EXHAUSTED"})),),
        bound_by="facts",
        source="gcp.gemini",
    ),
    "a status for a rejected success": Case(
        "a 200 that the loop calls 429: no own response said it, and no library makes 429 up for a success",
        said(status=429),
        SERVED,
        STATUS,
        others=(),
    ),
    "replayed beside an own timeout": Case(
        "its own earlier 429 is told again: replayed, and said so",
        said(QUOTA, status=429),
        HUNG,
        STATUS,
        others=(SAME,),
        replayed=True,
    ),
    # precedence
    "mixed before stale": Case(
        "own code, another's words: the table's first",
        said(QUOTA, codes=["no_replica"]),
        ANSWERED,
        MIXED,
    ),
    "another's object with a shared code": Case(
        "a code that both share does not make another's exception own",
        said(QUOTA, codes=["no_replica"], foreign=(("object", OPENAI),)),
        ANSWERED,
        STALE,
        bound_by="object",
        source="openai",
    ),
    "conflict with one who was tried": Case(
        "the run knows the attempt",
        said("x", status=429, conflict="openai"),
        SERVED,
        ("mismatch", "provider_conflict"),
        others=(OPENAI, OPENAI._replace(index=2, order=3, span_id="dddddddddddddddd", statuses=frozenset({500}))),
        bound_by="facts",
        source="openai",
    ),
    "stale before claimed": Case(
        "with a source, the source is named", said(QUOTA, status=429), HUNG, STALE, bound_by="text", source="openai"
    ),
    "stale before conflict": Case(
        "a stolen text and a named provider",
        said(QUOTA, conflict="cohere"),
        ANSWERED,
        STALE,
        bound_by="text",
        source="openai",
    ),
    "wrong endpoint before conflict": Case(
        "both fire", said("x", conflict="cohere"), OwnFacts(misdirected=OPENAI), ("mismatch", "wrong_endpoint")
    ),
    "conflict before claimed": Case(
        "both fire", said("x", structured=True, conflict="openai"), HUNG, ("mismatch", "provider_conflict")
    ),
    "claimed before status": Case("both fire", said("x", structured=True, status=429), HUNG, CLAIMED),
    "status before reason": Case("both fire", said(status=429, reason="billing"), HUNG, STATUS, others=()),
    "the latest of equals": Case(
        "the same text at two others",
        said(QUOTA),
        HUNG,
        STALE,
        others=(OPENAI, LATER),
        bound_by="text",
        source="openrouter",
    ),
    "the latest of equals, whatever their order": Case(
        "the same text at two others",
        said(QUOTA),
        HUNG,
        STALE,
        others=(LATER, OPENAI),
        bound_by="text",
        source="openrouter",
    ),
    "object before text": Case(
        "the first one's object with the later one's words",
        said(QUOTA, foreign=(("object", ANTHROPIC),)),
        HUNG,
        STALE,
        others=(ANTHROPIC, LATER),
        bound_by="object",
        source="anthropic",
    ),
    "response before request id": Case(
        "stronger",
        said("x", foreign=(("response", OPENAI),), request_ids=["req_of_openrouter"]),
        HUNG,
        STALE,
        others=(OPENAI, LATER),
        bound_by="response",
        source="openai",
    ),
    "request id before text": Case(
        "stronger",
        said(CREDIT, request_ids=["req_of_openai"]),
        HUNG,
        STALE,
        others=(OPENAI, ANTHROPIC),
        bound_by="request_id",
        source="openai",
    ),
    "text before facts": Case(
        "stronger",
        said(QUOTA, status=400, codes=["invalid_request_error"]),
        ANSWERED,
        STALE,
        others=(OPENAI, ANTHROPIC),
        bound_by="text",
        source="openai",
    ),
    "own object before foreign object": Case(
        "own wins a tie", said(OWN_TEXT, own={"object"}, foreign=(("object", OPENAI),)), ANSWERED, VERIFIED
    ),
}

TABLE: Final = [pytest.param(name, id=name, marks=case.marks) for name, case in CASES.items()]


def test_a_conflict_names_the_attempt_whose_status_it_tells() -> None:
    """The latest at that provider where none answered so; nobody's where the run tried none."""
    later = OPENAI._replace(index=2, order=3, span_id="dddddddddddddddd", statuses=frozenset({500}))

    def source(status: int, *others: SourceFacts) -> tuple[int, str]:
        found = judge(*said("x", status=status, conflict="openai"), SERVED, others).source
        assert found is not None
        return found.index, found.span_id

    assert source(429, OPENAI, later) == (0, OPENAI.span_id)
    assert source(500, OPENAI, later) == source(404, OPENAI, later) == (2, later.span_id)
    assert source(429, ANTHROPIC, OPENAI._replace(same=True)) == (-1, "")


@pytest.mark.parametrize("name", TABLE)
def test_verdict(name: str) -> None:
    case = CASES[name]
    found = case.verdict()
    assert (found.verdict, found.rule) == case.expected, case.why
    if case.bound_by is not None:
        assert found.bound_by == case.bound_by, case.why
    if case.source is not None:
        assert found.source is not None
        assert found.source.provider == case.source, case.why
    assert found.replayed == case.replayed, case.why
    assert found.synthetic == case.synthetic, case.why


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.marks])
def test_only_a_mismatch_or_a_mixture_is_bound_to_somebody_and_only_claimed_answer_has_no_source(name: str) -> None:
    found = CASES[name].verdict()
    if found.verdict == "mismatch":
        assert found.bound_by in STRENGTHS
        assert (found.source is None) == (found.rule == "claimed_answer")
        assert found.source is None or not found.source.same
    elif found.rule == "mixed_error":
        assert (found.bound_by, found.source is None) == ("text", False)
    else:
        assert (found.bound_by, found.source) == (None, None)


# --- switching anything off is noticed --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_fires_and_can_be_switched_off(rule: str) -> None:
    firing = [case for case in CASES.values() if case.expected[1] == rule and not case.marks]
    assert firing, f"no case of the table fires {rule}"
    for case in firing:
        assert case.verdict().rule == rule
        assert case.verdict(frozenset({rule})).rule != rule


def test_rules_that_are_all_switched_off_leave_no_finding() -> None:
    for name, case in CASES.items():
        found = case.verdict(frozenset(RULES))
        assert found.verdict in ("verified", "unverified"), name


@pytest.mark.parametrize("why", ["report", "evidence_incomplete", "nothing_sent", "nothing_bound"])
def test_every_reason_for_unverified_occurs(why: str) -> None:
    assert any(case.expected == ("unverified", why) for case in CASES.values())


def changed() -> list[str]:
    """Names of the cases whose outcome is no longer the right one."""
    return [name for name, case in CASES.items() if not case.marks and not case.holds]


def test_the_table_holds_as_it_stands() -> None:
    assert changed() == []


def ran_for_the_table() -> set[str]:
    """Names of the functions that run while the table is judged."""
    normalise.cache_clear()
    ran = watch(changed)
    return {place.function.__name__ for place in (*ran.guarded, *ran.bare)}


STEPS: Final = [
    pytest.param(module, name, instead, id=f"{name}-{instead()}")
    for module in (attribution, wording)
    for name, instead in mutants(module)
    if name in ran_for_the_table()
]


@pytest.mark.parametrize(("module", "step", "instead"), STEPS)
def test_no_step_can_be_left_out_unnoticed(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, instead: Callable[..., Any]
) -> None:
    """Every function that finds, compares or decides: by always saying the same, it spoils a case of the table."""
    normalise.cache_clear()
    monkeypatch.setattr(module, step, instead)
    noticed = changed()
    normalise.cache_clear()
    assert noticed, f"the table does not notice {step}"


def test_the_steps_are_found() -> None:
    assert len({step.values[1] for step in STEPS}) > 20


@pytest.mark.parametrize(
    ("constant", "instead"), [("STOCK", frozenset()), ("KNOWN_WORDING", ()), ("MINIMUM", 5), ("MINIMUM", 60)]
)
def test_no_constant_of_comparing_texts_can_be_changed_unnoticed(
    monkeypatch: pytest.MonkeyPatch, constant: str, instead: Any
) -> None:
    monkeypatch.setattr(wording, constant, instead)
    assert changed(), f"the table does not notice {constant}"


@pytest.mark.parametrize("how", ["object", "response", "request_id", "text", "facts"])
def test_every_binding_decides_a_case(how: str) -> None:
    assert any(case.bound_by == how and case.expected[0] == "mismatch" for case in CASES.values())


def test_an_own_request_that_another_got_its_response_by_decides_a_case() -> None:
    told = [case for case in CASES.values() if "request" in dict(case.claim[1].foreign)]
    assert any(case.bound_by == "response" and case.expected[0] == "mismatch" for case in told)


STRENGTHS: Final = ["object", "response", "request_id", "text", "facts"]


def bound_to(how: str, facts: SourceFacts) -> dict[str, Any]:
    """Return the part of a claim that binds it to one attempt in one way."""
    if how in ("object", "response"):
        return {"foreign": ((how, facts),)}
    if how == "request_id":
        return {"request_ids": facts.request_ids}
    return {"texts": facts.messages} if how == "text" else {"status": min(facts.statuses), "codes": facts.codes}


@pytest.mark.parametrize(("stronger", "weaker"), [*combinations(STRENGTHS, 2)])
def test_the_stronger_binding_names_the_source_whoever_was_later(stronger: str, weaker: str) -> None:
    """By object, by response, by request id, by text, by status and code together: in this order."""
    early, late = OPENAI, ANTHROPIC._replace(codes=frozenset({"overloaded_error"}), order=9)
    one, other = bound_to(stronger, early), bound_to(weaker, late)
    both = {**one, **other, "foreign": (*one.get("foreign", ()), *other.get("foreign", ()))}
    found = judge(*said(*both.pop("texts", ()), **both), ANSWERED, [early, late])
    assert (found.verdict, found.bound_by) == ("mismatch", stronger)
    assert found.source == early


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("complete", False),
        ("sent", 0),
        ("answered", 1),
        ("texts", ()),
        *((part, frozenset()) for part in ("reasons", "statuses", "codes", "request_ids", "response_ids")),
    ],
)
def test_every_part_of_the_own_evidence_counts(part: str, value: Any) -> None:
    blind = [replace(case, own=case.own._replace(**{part: value})) for case in CASES.values() if not case.marks]
    assert any(not case.holds for case in blind)


def test_the_worst_of_several_verdicts_stands() -> None:
    fine, unsure = Verdict(), Verdict("unverified", "report")
    odd, bad, worse = Verdict("inconsistent", "x"), Verdict("mismatch", "first"), Verdict("mismatch", "second")
    assert worst([]) == fine
    assert worst([fine, unsure]) is unsure
    assert worst([odd, unsure, fine]) is odd
    assert worst([odd, bad, worse]) is bad


@pytest.mark.parametrize("stock", sorted(STOCK))
def test_a_stock_phrase_blames_nobody(stock: str) -> None:
    alone = OPENAI._replace(messages=(stock,))
    assert judge(*said(stock), HUNG, [alone]).verdict != "mismatch"
