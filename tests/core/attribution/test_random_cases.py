"""Random cases whose truth is known beforehand: no theft is missed, no honest claim is flagged.

The generator plans a run (what each candidate's wire said) and a claim about one of its attempts (honest, or stolen in
a certain way). What the verdict must be follows from the plan and the contract alone; nothing here asks the module
under test for a normal form, a phrase or a code.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.attribution.claim import Claim
from otel_failover._core.attribution.facts import Bonds, OwnFacts, SourceFacts
from otel_failover._core.attribution.from_exception import from_error
from otel_failover._core.attribution.rules import judge
from otel_failover._core.text.matching import STOCK, normalise
from tests.truth.ways.messages import MESSAGES
from tests.truth.ways.not_yet import holds
from tests.truth.ways.scenarios import is_told_so, reason_of, report_of
from tests.truth.ways.texts import BROAD, TEXT_WAYS, Told
from tests.truth.ways.texts import expected as expected_of
from tests.truth.ways.units import Binding, binding

if TYPE_CHECKING:
    from collections.abc import Callable

CASES: Final = int(os.environ.get("FAILOVER_CASES", "20000"))
PROVIDERS: Final = ("openai", "anthropic", "gcp.gemini", "mistral_ai", "x_ai", "groq")
WORDS: Final = (
    "account", "balance", "cannot", "capacity", "change", "check", "console", "contact", "current",
    "deployment", "exhausted", "for", "happened", "limit", "limited", "model", "monthly", "must",
    "organization", "please", "policy", "processed", "project", "quota", "reached", "region", "request",
    "retry", "scheduler", "server", "tenant", "the", "this", "tier", "tokens", "upgrade", "usage", "was",
    "window", "your", "zone",
)  # fmt: skip
SHORT: Final = ("Overloaded", "Try later", "Bad input", "model: none", "Not now")
EVERYBODY: Final = (
    "Connection error.",
    "Request timed out.",
    "Server disconnected without sending a response.",
    "The service is temporarily unavailable. Please try again later.",
)
CODES: Final = ("insufficient_quota", "overloaded_error", "rate_limit_exceeded", "invalid_api_key", "api_error")
STATUSES: Final = (400, 401, 403, 404, 429, 500, 503, 529)
KINDS: Final = ("answered", "timeout", "reset", "success", "unsent", "unseen")
MADE_UP: Final = {"timeout": (408, 500, 503, 504), "reset": (408, 500, 502, 503), "unsent": (400, 500)}
OWN_REASONS: Final = {
    "timeout": "timeout",
    "reset": "connection",
    "success": "response_rejected",
    "unsent": "client_error",
}
LOCAL: Final = {"timeout": "Request timed out.", "reset": "Connection error.", "unsent": "no key was configured"}
REASONS: Final = {400: "invalid_request", 401: "auth", 403: "permission", 404: "model_not_found", 429: "rate_limit",
                  500: "server_error", 503: "overloaded", 529: "overloaded"}  # fmt: skip


@dataclass
class Party:
    """What one attempt's wire said, as the plan knows it."""

    facts: SourceFacts
    message: str = ""
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    response_id: str | None = None


@dataclass
class Plan:
    """A run, a claim about its last attempt, and what must come out."""

    kind: str
    claim: tuple[Claim, Bonds]
    own: OwnFacts
    others: list[SourceFacts]
    expected: str
    """`mismatch`, `fine` (anything but a mismatch), `unbound` (that, or an answer that nobody gave), `honest` (neither a
    mismatch nor inconsistent), `verified`, `report`, `mixed` (inconsistent) or `replayed`."""
    source: SourceFacts | None = None
    history: Callable[[str], SourceFacts | None] | None = None


def made(
    texts: tuple[str, ...] = (),
    status: int | None = None,
    codes: frozenset[str] = frozenset(),
    request_ids: frozenset[str] = frozenset(),
    *,
    structured: bool = False,
    response_id: str | None = None,
    **bonds: Any,
) -> tuple[Claim, Bonds]:
    """Return a claim, and whose its objects are."""
    claim = Claim(
        texts=texts, status=status, codes=codes, request_ids=request_ids, structured=structured, response_id=response_id
    )
    return claim, Bonds(**bonds)


def sentence(rng: random.Random, length: int | None = None) -> str:
    """A provider-like message: words, an id, a number, punctuation."""
    words = [rng.choice(WORDS) for _ in range(length or rng.randint(7, 22))]
    if rng.random() < 0.6:
        words.insert(rng.randrange(3, len(words)), f"req_{rng.getrandbits(40):x}9")
    if rng.random() < 0.4:
        words.insert(rng.randrange(3, len(words)), str(rng.randrange(100_000)))
    if rng.random() < 0.3:
        at = rng.randrange(2, len(words))
        words[at] = f"'{words[at]}'"
    if rng.random() < 0.3:
        at = rng.randrange(2, len(words))
        words[at] += rng.choice(",.;:")
    return " ".join(words).capitalize() + rng.choice([".", "", "!"])


def plain(text: str) -> str:
    """The words of a text: what two messages must not share for one to be told from the other."""
    return " ".join("".join(c if c.isalpha() else " " for c in word) for word in text.lower().split() if word.isascii())


def party(
    rng: random.Random, index: int, *, message: str | None = None, alive: bool = False, same: bool = False
) -> Party:
    """Another attempt of the run, that got an error, or served."""
    served = message is None and rng.random() < 0.1
    status, code = (200, None) if served else (rng.choice(STATUSES), rng.choice((*CODES, None)))
    said = "" if served else message or sentence(rng)
    request_id = f"req_{rng.getrandbits(64):016x}" if rng.random() < 0.8 else None
    response_id = f"resp_{rng.getrandbits(64):016x}" if served else None
    facts = SourceFacts(
        rng.choice(PROVIDERS),
        index,
        f"{rng.getrandbits(64):016x}",
        index + 1,
        alive=alive,
        same=same,
        messages=(normalise(said),) if said else (),
        codes=frozenset({code}) if code else frozenset(),
        statuses=frozenset({status}) if status >= 400 else frozenset(),
        request_ids=frozenset({request_id}) if request_id else frozenset(),
        response_ids=frozenset({response_id}) if response_id else frozenset(),
    )
    return Party(facts, said, status, code, request_id, response_id)


def own_evidence(rng: random.Random, kind: str, message: str, **more: Any) -> tuple[OwnFacts, Party]:
    """The judged attempt's own evidence of a kind."""
    if kind == "answered":
        status, code = rng.choice(STATUSES), rng.choice((*CODES, None))
        me = Party(SourceFacts("own"), message, status, code, f"req_{rng.getrandbits(64):016x}")
        facts: dict[str, Any] = {
            "sent": rng.randint(1, 3),
            "answered": 1,
            "statuses": frozenset({status}),
            "codes": frozenset({code}) if code else frozenset(),
            "request_ids": frozenset({me.request_id}),
            "texts": (normalise(message), normalise(json.dumps({"error": {"message": message}}))),
            "reasons": frozenset({REASONS[status]}),
        }
    elif kind == "success":
        me = Party(
            SourceFacts("own"), "", 200, None, f"req_{rng.getrandbits(64):016x}", f"resp_{rng.getrandbits(64):016x}"
        )
        facts = {
            "sent": 1,
            "answered": 1,
            "statuses": frozenset({200}),
            "request_ids": frozenset({me.request_id}),
            "response_ids": frozenset({me.response_id}),
            "reasons": frozenset({OWN_REASONS[kind]}),
        }
    elif kind == "unseen":
        me, facts = Party(SourceFacts("own")), {"complete": False}
    else:
        me = Party(SourceFacts("own"), LOCAL[kind])
        facts = {
            "sent": 0 if kind == "unsent" else rng.randint(1, 3),
            "texts": (normalise(LOCAL[kind]),),
            "reasons": frozenset({OWN_REASONS[kind]}),
        }
    return OwnFacts(**{**facts, **more}), me


def wrapped(rng: random.Random, text: str) -> str:
    """The same words as a loop, an SDK or a serialiser would show them."""
    form = rng.randrange(9)
    if form == 0:
        return json.dumps({"error": {"message": text}}, ensure_ascii=False)
    if form == 1:
        return f"Error code: {rng.choice(STATUSES)} - {{'error': {{'message': {text!r}, 'code': None}}}}"
    if form == 2:
        return repr(text)
    if form == 3:
        return text.upper()
    if form == 4:
        return f"{rng.choice(PROVIDERS)} failed after {rng.randint(1, 9)} s: {text} (giving up)"
    if form == 5:
        return text.replace(" ", rng.choice(["  ", "\n", "\u00a0", "\t"]))
    if form == 6:
        return f"\u201c{text}\u201d"
    if form == 7:
        return json.dumps(json.dumps([text]))
    return text


def cut(rng: random.Random, text: str) -> str | None:
    """The start of a text, then its end, an ellipsis or a quote; None where too little of it is left.

    Thirty letters are well above what binds. A cut inside an id is left out: its stump has a test of its own.
    """
    length = rng.randint(30, 90)
    kept = text[:length]
    if "req_" in kept.rsplit(" ", 1)[-1] + text[length:].split(" ", 1)[0]:
        return None
    if sum(len(word) for word in kept.split() if word.strip("'.,;:!").isalpha()) < 30:
        return None
    return kept + rng.choice(["", "...", "\u2026", " [\u2026]", "'", '"', "... (cut)"])


WAYS: Final = [way for way in TEXT_WAYS if holds("pure", way.id)]


def told(party: Party, rng: random.Random) -> Told:
    """Return a party's error as a loop holds it."""
    body = {"error": {"message": party.message, "type": party.code, "code": party.code}} if party.status else {}
    shown = f"Error code: {party.status} - {body}" if body and rng.random() < 0.8 else party.message
    kind = party.code if party.code in BROAD else None
    return Told(party.facts.provider, "some-model", "", shown, party.message, party.status, party.code, kind, body,
                party.request_id, RuntimeError(shown))  # fmt: skip


def carried_theft(rng: random.Random, kind: str, others: list[Party], message: str) -> Plan | None:
    """Another's error, long or short and in whatever language, in one of the enumerated ways."""
    draw = rng.random()
    if draw < 0.4:
        row = rng.choice(MESSAGES)
        others = [*others, party(rng, 8, message=row.text)]
        others[-1].code, others[-1].status = row.code, row.status
        others[-1].facts = others[-1].facts._replace(
            codes=frozenset(filter(None, [row.code])), statuses=frozenset([row.status])
        )
    elif draw < 0.5:
        others = [*others, party(rng, 8, message=rng.choice(SHORT))]
    errors = [each for each in others if each.message]
    victim, way = (errors[-1] if draw < 0.5 else rng.choice(errors)), rng.choice(WAYS)
    theirs = told(victim, rng)
    if kind == "unseen" or not is_told_so(way, theirs):
        return None
    if any(each.code == victim.code or plain(each.message[:24]) == plain(victim.message[:24])
           for each in errors if each is not victim):  # fmt: skip
        return None
    own, me = own_evidence(rng, kind, message)
    carried = way.carry(theirs)
    must = expected_of(theirs, carried, (me.message, me.code or ""))
    if must is Binding.EITHER:
        return None
    claim = from_error(RuntimeError(carried.text)), Bonds()
    name = f"theft carried {kind}"
    return Plan(name, claim, own, [each.facts for each in others],
                "mismatch" if must is Binding.MUST else "unbound", victim.facts)  # fmt: skip


def carried_honestly(rng: random.Random, kind: str, others: list[Party], message: str) -> Plan:
    """The own error in one of the enumerated ways; a report of it and another's; another's as the reason to go on."""
    own, me = own_evidence(rng, kind, message)
    mine, way = told(me, rng), rng.choice(WAYS)
    errors = [each for each in others if each.message]
    wanted = "honest"
    if kind in ("timeout", "reset", "answered") and errors and rng.random() < 0.6:
        theirs = told(rng.choice(errors), rng)
        if not is_told_so(way, theirs):
            way = WAYS[0]
        carried = way.carry(theirs)
        text = report_of(carried, theirs, mine, rng.randrange(3))
        if kind != "answered" and rng.random() < 0.5:
            text = reason_of(carried, theirs, mine, timeout=kind == "timeout")
        elif way.whole and binding(theirs.message) is Binding.MUST:
            wanted = "report"
    else:
        text = (way if is_told_so(way, mine) else WAYS[0]).carry(mine).text
    claim = from_error(RuntimeError(text)), Bonds()
    return Plan(f"honest carried {kind}", claim, own, [each.facts for each in others], wanted)


def honest(rng: random.Random) -> Plan:
    """A claim that tells the truth, or says nothing that could be somebody else's."""
    kind = rng.choice(KINDS)
    shape = rng.choice(
        [
            "own",
            "made up",
            "report",
            "prompt",
            "replay",
            "words",
            "twice",
            "relay",
            "echo",
            "short",
            "everybody",
            "bare",
            "carried",
            "carried",
        ]
    )
    others = [party(rng, i, alive=rng.random() < 0.2) for i in range(rng.randint(0, 3))]
    message = sentence(rng)
    own, me = own_evidence(rng, kind, message)
    if shape == "carried" and kind in ("answered", "timeout", "reset"):
        return carried_honestly(rng, kind, others, message)
    claim, expected = made(), "fine"
    if shape == "own" and kind in ("answered", "timeout", "reset"):
        claim = made(
            (wrapped(rng, me.message),),
            me.status if rng.random() < 0.5 else None,
            frozenset({me.code}) if me.code and rng.random() < 0.5 else frozenset(),
            frozenset({me.request_id}) if me.request_id and rng.random() < 0.5 else frozenset(),
            own=frozenset(rng.sample(["object", "response", "request"], rng.randint(0, 3))),
        )
        expected = "verified" if kind == "answered" else "fine"
    elif shape == "made up" and kind in MADE_UP:
        claim = made((LOCAL[kind],), rng.choice(MADE_UP[kind]))
        expected = "verified" if kind != "unsent" else "fine"
    elif shape == "report" and kind in ("answered", "timeout", "reset"):
        texts = [each.message for each in others if each.message]
        rng.shuffle(texts)
        at = rng.randint(0, len(texts))
        texts.insert(at, me.message)
        claim = made(
            (rng.choice(["; ", " | ", "\n"]).join(texts),),
            rng.choice(STATUSES) if rng.random() < 0.3 and len(texts) > 1 else None,
        )
        expected = "report" if len(texts) > 1 else "fine"
    elif shape == "prompt" and others and others[0].message:
        seen = rng.choice([True, None])
        own, me = own_evidence(rng, kind, message, text_in_bytes=lambda _: seen)
        claim = made((wrapped(rng, others[0].message),))
    elif shape == "replay":
        before = party(rng, 7, message=sentence(rng), same=True)
        others.append(before)
        claim = made(
            (wrapped(rng, before.message),),
            before.status,
            frozenset({before.code}) if before.code else frozenset(),
            frozenset({before.request_id}) if before.request_id and rng.random() < 0.5 else frozenset(),
            foreign=(("object", before.facts),) if rng.random() < 0.5 else (),
        )
        expected = "replayed"
    elif shape == "twice" and kind == "answered" and others and others[0].message:
        own, me = own_evidence(rng, kind, others[0].message)
        claim = made((cut(rng, me.message) or wrapped(rng, me.message),), me.status)
    elif shape == "relay" and kind == "answered" and others and others[0].message:
        own, me = own_evidence(rng, kind, f"upstream said: {others[0].message} (from the gateway)")
        claim = made((wrapped(rng, rng.choice([me.message, others[0].message])),))
    elif shape == "echo" and others and others[0].request_id:
        own, me = own_evidence(rng, kind, message)
        sent = own.request_ids | {others[0].request_id}
        own = own._replace(request_ids=sent)
        claim = made(("failed",), request_ids=frozenset({others[0].request_id}))
    elif shape in ("short", "everybody"):
        text = rng.choice(SHORT if shape == "short" else EVERYBODY)
        others.append(party(rng, 5, message=text))
        claim = made((rng.choice([text, f"candidate failed: {text}", text[:-3] + "..."]),))
    elif shape == "bare" and others:
        claim = made(("it did not work",), status=others[0].status)
    elif shape == "words":
        claim = made((rng.choice(["gave up on this one", "the candidate would not do", "stopped"]),))
    return Plan(f"honest {shape} {kind}", claim, own, [each.facts for each in others], expected)


def theft(rng: random.Random) -> Plan | None:
    """A claim that repeats another's error; None where the plan is one that the contract does not call detectable."""
    kind = rng.choice(KINDS)
    shape = rng.choice(
        [
            *("text", "cut", "object", "response", "request", "request id", "facts", "cause"),
            *("earlier run", "answer", "own object", "response id", "twice", "carried", "carried", "carried"),
        ]
    )
    others = [party(rng, i, alive=rng.random() < 0.2) for i in range(rng.randint(1, 4))]
    errors = [each for each in others if each.message]
    message = sentence(rng)
    own, _ = own_evidence(rng, kind, message)
    everyone = [each.facts for each in others]
    seen = kind != "unseen"
    if shape == "answer":
        return unanswered(rng, own, kind)
    if shape == "response id":
        served = [each for each in others if each.response_id]
        if not served or kind != "success":
            return None
        claim = made(response_id=served[-1].response_id)
        return Plan(f"theft {shape} {kind}", claim, own, everyone, "mismatch", served[-1].facts)
    if not errors:
        return None
    if shape == "carried":
        return carried_theft(rng, kind, others, message)
    victim = rng.choice(errors)
    if any(plain(victim.message[:24]) == plain(each.message[:24]) for each in errors if each is not victim):
        return None
    text = wrapped(rng, victim.message)
    history = None
    status = victim.status if rng.random() < 0.5 else None
    name = f"theft {shape} {kind}"
    if shape in ("text", "cut"):
        stolen = text if shape == "text" else cut(rng, victim.message)
        if stolen is None or not seen:
            return None
        caused = frozenset({"request"}) if rng.random() < 0.3 else frozenset()
        claim = made((stolen,), status, structured=rng.random() < 0.2, own=caused)
    elif shape == "twice":
        twin = party(rng, 6, message=victim.message)
        everyone.append(twin.facts)
        if not seen:
            return None
        return Plan(name, made((text,)), own, everyone, "mismatch", twin.facts)
    elif shape in ("object", "response", "request"):
        claim = made((rng.choice(["failed", text]),), status, foreign=((shape, victim.facts),))
    elif shape == "request id":
        if victim.request_id is None:
            return None
        claim = made(("failed",), status, request_ids=frozenset({victim.request_id}))
    elif shape == "facts":
        if (
            victim.code is None
            or not seen
            or kind == "unsent"
            or victim.status in own.statuses
            or victim.code in own.codes
        ):
            return None
        if any(each.code == victim.code and each.status == victim.status for each in others if each is not victim):
            return None
        claim = made(("failed",), victim.status, frozenset({victim.code}))
    elif shape == "cause":
        if not seen:
            return None
        claim = made((text,), status, cause=(victim.facts,))
    elif shape == "earlier run":
        if not seen:
            return None
        known = normalise(victim.message)
        if '"' in known:
            return None
        everyone = [each for each in everyone if each is not victim.facts]
        earlier = {_fingerprint(known): victim.facts}
        history = earlier.get
        claim = made(
            (rng.choice([victim.message, repr(victim.message), f"Error code: 429 - {{'m': {victim.message!r}}}"]),)
        )
    else:
        if not seen or kind in ("timeout", "reset", "unsent", "success"):
            return None
        claim = made((text,), own=frozenset({"object"}))
        return Plan(name, claim, own, everyone, "mixed", victim.facts)
    return Plan(name, claim, own, everyone, "mismatch", victim.facts, history)


def unanswered(rng: random.Random, own: OwnFacts, kind: str) -> Plan | None:
    """An answer that nobody of this run gave."""
    if kind not in ("timeout", "reset"):
        return None
    claim = rng.choice(
        [
            made(("failed",), request_ids=frozenset({f"req_{rng.getrandbits(64):016x}"})),
            made(("failed",), rng.choice(STATUSES), frozenset({rng.choice(CODES)})),
            made(("failed",), structured=True),
            made((wrapped(rng, "You exceeded your current quota, please check your plan and billing details."),)),
        ]
    )
    return Plan(f"theft answer {kind}", claim, own, [], "mismatch", None)


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def problem_with(plan: Plan) -> str | None:
    """What is wrong with the verdict, None where it is as planned."""
    found = judge(*plan.claim, plan.own, plan.others, plan.history or (lambda _: None))
    what = (found.verdict, found.rule)
    if plan.expected == "mismatch":
        if found.verdict != "mismatch":
            return f"missed: {what}"
        if plan.source is not found.source:
            return f"blamed {found.source}"
        wanted = "claimed_answer" if plan.source is None else "foreign_error" if plan.source.alive else "stale_error"
        return None if found.rule in (wanted, "foreign_response") else f"rule {found.rule}"
    if plan.expected == "unbound" and found.rule == "claimed_answer":
        return None
    if found.verdict == "mismatch":
        return f"flagged: {what} by {found.bound_by}"
    right = {
        "fine": True,
        "unbound": True,
        "honest": found.verdict != "inconsistent",
        "verified": found.verdict == "verified",
        "report": what == ("unverified", "report"),
        "mixed": what == ("inconsistent", "mixed_error") and found.source is plan.source,
        "replayed": found.replayed or found.verdict == "inconsistent",
    }[plan.expected]
    return None if right else f"expected {plan.expected}, found {what}"


def test_no_random_case_is_judged_wrongly() -> None:
    rng = random.Random(20261120)
    kinds: Counter[str] = Counter()
    wrong: list[tuple[str, Plan]] = []
    done = 0
    while done < CASES:
        plan = honest(rng) if rng.random() < 0.5 else theft(rng)
        if plan is None:
            continue
        done += 1
        kinds[plan.kind.rsplit(" ", 1)[0]] += 1
        problem = problem_with(plan)
        if problem is not None:
            wrong.append((problem, plan))
    assert not wrong, f"{len(wrong)} of {CASES}; the first: {wrong[0]}"
    assert min(kinds.values()) > CASES / 1_000, kinds


def test_the_generators_short_and_common_texts_are_what_it_says() -> None:
    """The plan's own premises, so that a change of the tables is noticed here and not as a missed theft."""
    assert all(len(normalise(text)) < 24 for text in SHORT)
    assert all(len(normalise(text)) < 24 or normalise(text) in STOCK for text in EVERYBODY)
