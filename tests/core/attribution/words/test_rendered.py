"""What SDKs render of an answer: its facts, wherever the text is cut, and what a loop says around it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import pytest

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import UNBOUND, Bonds, OwnFacts, SourceFacts
from otel_failover._core.attribution.rules import judge
from otel_failover._core.attribution.words import rendered, reports
from otel_failover._core.text.matching import normalise
from tests.support.mutants import mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

SHORT: Final = "model: claude-x"
"""Too short to say whose it is."""
NOT_FOUND: Final = {"type": "error", "error": {"type": "not_found_error", "message": SHORT}}
ANTHROPIC: Final = SourceFacts(
    "anthropic",
    0,
    "aaaaaaaaaaaaaaaa",
    1,
    messages=(normalise(SHORT),),
    codes=frozenset({"not_found_error"}),
    statuses=frozenset({404}),
    request_ids=frozenset({"req_011CQanthropic0000000"}),
    model="claude-x",
    addresses=frozenset({("api.anthropic.com", 443)}),
)
GEMINI: Final = SourceFacts(
    "gcp.gemini",
    1,
    "bbbbbbbbbbbbbbbb",
    2,
    messages=(normalise("Quota."),),
    codes=frozenset({"RESOURCE_EXHAUSTED"}),
    statuses=frozenset({429}),
    model="gemini-2.5-flash",
    addresses=frozenset({("generativelanguage.googleapis.com", 443)}),
)
BEDROCK: Final = GEMINI._replace(
    provider="aws.bedrock",
    messages=(normalise("Too fast"),),
    codes=frozenset({"ThrottlingException"}),
    addresses=frozenset({("bedrock-runtime.us-east-1.amazonaws.com", 443)}),
)
QUOTA_TEXT: Final = "You exceeded your current quota, please check your plan and billing details."
OPENAI: Final = SourceFacts(
    "openai",
    0,
    "cccccccccccccccc",
    1,
    messages=(normalise(QUOTA_TEXT),),
    codes=frozenset({"insufficient_quota"}),
    statuses=frozenset({429}),
    model="gpt-5.5",
    addresses=frozenset({("api.openai.com", 443)}),
)
ANSWERED: Final = OwnFacts(
    sent=1,
    answered=1,
    statuses=frozenset({500}),
    codes=frozenset({"server_error"}),
    texts=(normalise("Our scheduler could not place it"),),
    reasons=frozenset({"server_error"}),
    names=("openrouter", "qwen-3"),
    raised=("Error code: 500 - {'error': {'message': 'Our scheduler could not place it'}}",),
)
HUNG: Final = OwnFacts(
    sent=1,
    texts=(normalise("Request timed out."),),
    reasons=frozenset({"timeout"}),
    names=("openrouter", "qwen-3"),
    raised=("Request timed out.",),
)
BARE: Final = OwnFacts(
    sent=1,
    answered=1,
    statuses=frozenset({503}),
    texts=(normalise("Error code: 503"),),
    reasons=frozenset({"overloaded"}),
    names=("openrouter", "qwen-3"),
    raised=("Error code: 503",),
)
"""Answered without a body: the SDK's whole text is its status."""

STALE: Final = ("mismatch", "stale_error")
CLAIMED: Final = ("mismatch", "claimed_answer")
MIXED: Final = ("inconsistent", "mixed_error")
REPORT: Final = ("unverified", "report")
NOTHING_BOUND: Final = ("unverified", "nothing_bound")
VERIFIED: Final = ("verified", None)

# As each SDK renders the same answer.
STAINLESS: Final = f"Error code: 404 - {NOT_FOUND!r}"
GOOGLE: Final = "429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'Quota.', 'status': 'RESOURCE_EXHAUSTED'}}"
BOTOCORE: Final = "An error occurred (ThrottlingException) when calling the Converse operation: Too fast"
PYDANTIC: Final = f"status_code: 404, model_name: claude-x, body: {NOT_FOUND!r}"
COHERE: Final = f"headers: {{'date': 'x'}}, status_code: 404, body: {NOT_FOUND!r}"
MISTRAL: Final = f"API error occurred: Status 404. Body: {json.dumps(NOT_FOUND)}"
HTTPX: Final = "Client error '401 Unauthorized' for url 'https://api.openai.com/v1/chat/completions'\nFor more"
REQUESTS: Final = "401 Client Error: Unauthorized for url: https://api.openai.com/v1/chat/completions"
BODY: Final = json.dumps(NOT_FOUND)


@dataclass
class Case:
    """One claim held against one evidence, and why the outcome is right."""

    why: str
    claim: Claim
    own: OwnFacts
    expected: tuple[str, str | None]
    others: Sequence[SourceFacts] = (ANTHROPIC,)
    source: str | None = None
    bonds: Bonds = UNBOUND
    bound_by: str | None = field(default=None)

    @property
    def outcome(self) -> tuple[Any, ...]:
        found = judge(self.claim, self.bonds, self.own, self.others)
        source = found.source.provider if found.source is not None else None
        return (found.verdict, found.rule), source, found.bound_by

    @property
    def holds(self) -> bool:
        outcome, source, bound_by = self.outcome
        return outcome == self.expected and self.source in (None, source) and (self.bound_by in (None, bound_by))


def said(*texts: str, **facts: Any) -> Claim:
    return Claim(texts=texts, **facts)


def stolen(text: str, *others: SourceFacts, own: OwnFacts = ANSWERED, why: str = "another's answer") -> Case:
    victim = others[0] if others else ANTHROPIC
    return Case(why, said(text), own, STALE, others or (ANTHROPIC,), victim.provider, bound_by="facts")


FOREIGN_IN: Final = "Error code: 429 - {'error': {'message': '" + QUOTA_TEXT + "', 'code': 'insufficient_quota'}}"

CASES: Final[dict[str, Case]] = {
    # --- by code, in the words of each SDK ---
    "stainless": stolen(STAINLESS),
    "google-genai": stolen(GOOGLE, GEMINI),
    "botocore": stolen(BOTOCORE, BEDROCK),
    "pydantic-ai": stolen(PYDANTIC),
    "cohere": stolen(COHERE),
    "mistral": stolen(MISTRAL),
    "a body alone": stolen(f"provider said {BODY}"),
    "JSON within JSON": stolen(json.dumps({"log": BODY})),
    "HTML": stolen(STAINLESS.replace("'", "&#x27;")),
    "in litellm's words": stolen(f"litellm.NotFoundError: OpenAIException - {STAINLESS}"),
    "on an attempt that hung": stolen(STAINLESS, own=HUNG),
    "beside a body that was seen whole": stolen(STAINLESS, own=BARE),
    "in a loop's sentence": stolen(f"openrouter failed: {STAINLESS} (giving up)"),
    "a form in a URL": stolen(f"https://app.example/failed?retry=1&error={quote_plus(STAINLESS)}"),
    "quoted lines": stolen("> " + STAINLESS.replace(" ", "\n> ")),
    "zero-width spaces": stolen(STAINLESS.replace(" ", " \u200b")),
    # --- cut ---
    "cut in the code": stolen(STAINLESS[: STAINLESS.index("not_f") + 5]),
    "cut in the code, with an ellipsis": stolen(STAINLESS[: STAINLESS.index("not_f") + 5] + "…"),
    "cut in the code, in words": stolen(STAINLESS[: STAINLESS.index("not_f") + 7] + "[truncated]"),
    "cut behind the code": stolen(STAINLESS[: STAINLESS.index("found_error") + 13]),
    "cut in Google's code": stolen("429 RESOURCE_EXH…", GEMINI),
    "cut in botocore's code": stolen("An error occurred (Throttl...", BEDROCK),
    "cut before five characters": Case("too little", said(STAINLESS[: STAINLESS.index("not_f") + 4] + "…"), ANSWERED,
                                       NOTHING_BOUND),
    "cut where two codes fit": Case(
        "either of them", said("Error code: 404 - {'error': {'type': 'not_f…"), ANSWERED, NOTHING_BOUND,
        (ANTHROPIC, OPENAI._replace(codes=frozenset({"not_found"}), statuses=frozenset({404}))),
    ),
    "cut where an own code fits": Case(
        "own", said("Error code: 404 - {'error': {'type': 'serve…"), ANSWERED, NOTHING_BOUND,
        (ANTHROPIC._replace(codes=frozenset({"server_error"})),),
    ),
    # --- what does not bind by code ---
    "the own code": Case("own", said("Error code: 500 - {'error': {'message': 'x', 'type': 'server_error'}}"), ANSWERED,
                         NOTHING_BOUND, (ANTHROPIC._replace(codes=frozenset({"server_error"})),)),
    "a code in own bytes": Case("a gateway relays it", said(STAINLESS),
                                ANSWERED._replace(text_in_bytes=lambda text: text == "not_found_error"), NOTHING_BOUND),
    "own bytes that were not seen": Case("it may stand there", said(STAINLESS),
                                         ANSWERED._replace(text_in_bytes=lambda _: None), NOTHING_BOUND),
    "evidence that is not complete": Case("unseen", said(STAINLESS), ANSWERED._replace(complete=False),
                                          ("unverified", "evidence_incomplete")),
    "another status": Case("status and code are one attempt's", said(STAINLESS.replace("404", "410")), ANSWERED,
                           NOTHING_BOUND),
    "another message": Case("not that answer", said(STAINLESS.replace(SHORT, "no such deployment")), ANSWERED,
                            NOTHING_BOUND),
    "the own earlier answer": Case("replayed", said(STAINLESS), ANSWERED, NOTHING_BOUND,
                                   (ANTHROPIC._replace(same=True), ANTHROPIC)),
    "a word in prose": Case("no SDK's words", said("it said not_found_error"), ANSWERED, NOTHING_BOUND),
    "NOT FOUND": Case("a web framework's", said("404 NOT FOUND"), ANSWERED, NOTHING_BOUND,
                      (GEMINI._replace(codes=frozenset({"NOT_FOUND"}), statuses=frozenset({404})),)),
    "an own object": Case("a library wrote into it", said(STAINLESS), ANSWERED, MIXED, source="anthropic",
                          bonds=Bonds(own=frozenset({"object"}))),
    # --- by host ---
    "httpx, by host and status": stolen(HTTPX, OPENAI._replace(statuses=frozenset({401}), codes=frozenset())),
    "requests, by host and status": stolen(REQUESTS, OPENAI._replace(statuses=frozenset({401}), codes=frozenset())),
    "by host, where nothing was sent": stolen(
        HTTPX, OPENAI._replace(statuses=frozenset({401}), codes=frozenset()),
        own=OwnFacts(reasons=frozenset({"client_error"})),
    ),
    "a host with another status": Case("alone it names nobody", said(HTTPX), ANSWERED, NOTHING_BOUND, (OPENAI,)),
    "a host with the own status": Case(
        "not only its", said(HTTPX), ANSWERED._replace(statuses=frozenset({401})), NOTHING_BOUND,
        (OPENAI._replace(statuses=frozenset({401})),),
    ),
    "a host that was asked": Case(
        "redirected there, or a proxy", said(HTTPX),
        ANSWERED._replace(went_to=lambda address: address == ("api.openai.com", 443)), NOTHING_BOUND,
        (OPENAI._replace(statuses=frozenset({401})),),
    ),
    "a host of two candidates": Case(
        "either of them", said(HTTPX), ANSWERED, NOTHING_BOUND,
        (OPENAI._replace(statuses=frozenset({401})), OPENAI._replace(model="gpt-5.5-mini", index=1)),
    ),
    "a host in prose": Case("no SDK's words", said("401 from https://api.openai.com/v1"), ANSWERED, NOTHING_BOUND,
                            (OPENAI._replace(statuses=frozenset({401})),)),
    # --- an answer that nobody gave ---
    "a code": Case("only an answer has one", said(STAINLESS), HUNG, CLAIMED, ()),
    "botocore's code": Case("only an answer has one", said(BOTOCORE), HUNG, CLAIMED, ()),
    "a body's sentence": Case("only an answer has one", said("Error code: 500 - {'error': {'message': "
                              "'Our scheduler has no room for it now'}}"), HUNG, CLAIMED, ()),
    "an issued id": Case("only an answer has one", said("Error code: 500 - {'error': {'message': 'x'}, "
                         "'request_id': 'req_011CQabcdefghijkl'}"), HUNG, CLAIMED, ()),
    "a class and a status": Case("litellm makes it up", said("litellm.InternalServerError: AnthropicException - "
                                 "Connection refused"), HUNG, NOTHING_BOUND, ()),
    "a status line": Case("a class and a status", said("Error code: 500"), HUNG, NOTHING_BOUND, ()),
    "an own text in a body": Case("its own", said("Error code: 408 - {'error': {'message': 'Request timed out.', "
                                  "'type': 'api_error'}}"), HUNG, NOTHING_BOUND, ()),
    "a stock text in a body": Case("everybody's", said("status_code: 500, model_name: x, body: {'error': {'message': "
                                   "'Connection refused', 'type': 'api_error'}}"), HUNG, NOTHING_BOUND, ()),
    "no body": Case("pydantic-ai's None", said("status_code: 408, model_name: x, body: None"), HUNG, NOTHING_BOUND, ()),
    "an answer of the one before": Case("it says so", said(f"timed out (previous: {STAINLESS})"), HUNG,
                                        NOTHING_BOUND, ()),
    # --- reports ---
    "an own text beside a rendering": Case("it sums up", said(f"{STAINLESS}; Request timed out."), HUNG, REPORT),
    "a status line beside another's answer": Case(
        "the own exception's whole text", said(f"{FOREIGN_IN}; Error code: 503"), BARE, REPORT, (OPENAI,)),
    "a status line before another's answer": Case(
        "the own exception's whole text", said(f"Error code: 503 | {FOREIGN_IN}"), BARE, REPORT, (OPENAI,)),
    "the start of another's answer": Case(
        "no status line by itself", said(FOREIGN_IN.replace("429", "503")), BARE, STALE, (OPENAI,), "openai"),
    "another's answer, where the own text is bare": Case("nothing own", said(FOREIGN_IN), BARE, STALE, (OPENAI,)),
    "an own text that says nothing": Case(
        "`error` stands in everybody's", said(FOREIGN_IN),
        BARE._replace(texts=(normalise("error"),), raised=("error",)), STALE, (OPENAI,)),
    "a short own text": Case("it sums up", said(f"{FOREIGN_IN}; Busy"),
                             BARE._replace(texts=(normalise("Busy"),), raised=()), REPORT, (OPENAI,)),
    "a short own text inside a word": Case("no word of its own", said(f"busybody: {FOREIGN_IN}"),
                                           BARE._replace(texts=(normalise("Busy"),), raised=()), STALE, (OPENAI,)),
    "why it went on, in words": Case(
        "the own reason, and whose the other is",
        said(f"openrouter timed out after 0.2 s (fallback from openai because of: {QUOTA_TEXT})"), HUNG, REPORT,
        (OPENAI,)),
    "why it went on, with an SDK's words": Case(
        "the same", said(f"qwen-3 timed out (openai: {FOREIGN_IN})"), HUNG, REPORT, (OPENAI,)),
    "the one before, first": Case("the same", said(f"After {QUOTA_TEXT} from the first, openrouter timed out"), HUNG,
                                  REPORT, (OPENAI,)),
    "the own status": Case("the same", said(f"503 here; gpt-5.5 before it: {QUOTA_TEXT}"), BARE, REPORT, (OPENAI,)),
    "the own status, by host": Case("the same", said(f"503 here; api.openai.com said {QUOTA_TEXT}"), BARE, REPORT,
                                    (OPENAI,)),
    "the incident": Case("after 123 s is no `after`", said(f"openrouter timed out after 123 s: {QUOTA_TEXT}"), HUNG,
                         STALE, (OPENAI,)),
    "a bare name": Case("a label", said(f"openai: {QUOTA_TEXT}"), HUNG, STALE, (OPENAI,)),
    "a bare name before an SDK's words": Case("a label", said(f"openai: {FOREIGN_IN}"), HUNG, STALE, (OPENAI,)),
    "an SDK's class": Case("no loop's words", said(f"timed out: openai.RateLimitError: {FOREIGN_IN}"), HUNG, STALE,
                           (OPENAI,)),
    "the own name last": Case("told of the own", said(f"after a timeout of openai, openrouter: {QUOTA_TEXT}"), HUNG,
                              STALE, (OPENAI,)),
    "fallback, of the own": Case("told of the own", said(f"fallback openrouter timed out: {QUOTA_TEXT}"), HUNG, STALE,
                                 (OPENAI,)),
    "a reason that is not own": Case("it timed out", said(f"overloaded (because openai: {QUOTA_TEXT})"), HUNG, STALE,
                                     (OPENAI,)),
    "a status that is not own": Case("503", said(f"502 here; openai before: {QUOTA_TEXT}"), BARE, STALE, (OPENAI,)),
    # --- litellm's prefix ---
    "litellm's words before another's": Case(
        "they bind nothing", said("litellm.RateLimitError: AnthropicException - slow down, please…"), ANSWERED,
        NOTHING_BOUND,
        (OPENAI._replace(messages=(normalise("litellm.RateLimitError: AnthropicException - your credit is low"),)),)),
    "another's message behind litellm's words": Case(
        "it does", said(QUOTA_TEXT), ANSWERED, STALE,
        (OPENAI._replace(messages=(normalise(f"litellm.RateLimitError: OpenAIException - {QUOTA_TEXT}"),)),)),
    # --- no words ---
    "a future's repr": Case("says nothing", said("RetryError[<Future at 0x7f2d state=finished raised NotFoundError>]"),
                            HUNG, VERIFIED),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str) -> None:
    case = CASES[name]
    outcome, source, bound_by = case.outcome
    assert outcome == case.expected, case.why
    assert case.source in (None, source), case.why
    assert case.bound_by in (None, bound_by), case.why


@pytest.mark.parametrize("at", range(len(STAINLESS)))
def test_wherever_it_is_cut_nobody_else_is_named(at: int) -> None:
    """One theft, cut at each place: it is bound to the one who said it, or to nobody."""
    others = (OPENAI, ANTHROPIC, GEMINI)
    for mark in ("", "…", "...", " [truncated]", "'", '"'):
        found = judge(said(STAINLESS[:at] + mark), UNBOUND, ANSWERED, others)
        assert found.source is None or found.source.provider == "anthropic"
        if at >= STAINLESS.index("not_f") + 5 and mark not in ("'", '"'):
            assert found.verdict == "mismatch", STAINLESS[:at] + mark


def test_what_is_rendered() -> None:
    (found,) = rendered.read(STAINLESS.replace("}}", "}, 'request_id': 'req_1'}"))
    assert (found.status, set(found.codes), found.structured) == (404, {"not_found_error"}, True)
    assert (found.message, set(found.request_ids)) == (normalise(SHORT), {"req_1"})
    assert [each.status for each in rendered.read(f"{STAINLESS}; {GOOGLE} | Error code: 503")] == [404, 429, 503]
    assert rendered.read("nothing of it") == []


@pytest.mark.parametrize(
    ("text", "wordless"),
    [
        ("", True), ("  ", True), ("RateLimitError", True), ("openai.RateLimitError()", True),
        ("RetryError[<Future at 0x7f12 state=finished raised RateLimitError>]", True),
        ("<Future at 0x7f12 state=pending>", True),
        ("Overloaded", False), ("Timeout", False), ("TimeoutError", False), ("Error", False), ("x" * 1_000_000, False),
        ("the Future at 0x7f is bright", False), ("failed: RateLimitError", False), ("ConnectionError", False),
    ],
)  # fmt: skip
def test_what_says_nothing(text: str, wordless: bool) -> None:
    assert rendered.is_wordless(text) is wordless


@pytest.mark.parametrize(
    "piece", ["{'error': {", "Error code: 429 - {", "'type': '", "An error occurred (", "a.", "[", " "]
)
def test_a_long_text_is_read_in_time(piece: str) -> None:
    text = piece * 100_000
    assert len(rendered.read(text)) <= 16
    assert rendered.around(text, "no such words here") is None
    assert not rendered.is_wordless(text) or not text.strip()


def changed() -> list[str]:
    return [name for name, case in CASES.items() if not case.holds]


STEPS: Final = [
    pytest.param(module, name, instead, id=f"{name}-{instead()}")
    for module in (rendered, reports)
    for name, instead in mutants(module)
    if name != "around"  # returns a pair, for which nothing stands in
]


@pytest.mark.parametrize(("module", "step", "instead"), STEPS)
def test_no_step_can_be_left_out_unnoticed(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, instead: Callable[..., Any]
) -> None:
    monkeypatch.setattr(module, step, instead)
    assert changed(), f"the table does not notice {step}"
