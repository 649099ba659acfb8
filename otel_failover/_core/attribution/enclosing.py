"""A claim on a span that stands around attempts, or beside them, held against the candidate that it speaks of.

Around are spans that enclose a run, and those inside one that calls are made in; beside are those that a loop makes
before or after its calls. None of them belongs to one attempt, so it has to be found out first of whom a span speaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_failover._core.attribution import rules
from otel_failover._core.attribution.facts import UNBOUND, OwnFacts, Verdict
from otel_failover._core.attribution.from_span import by_model_alone, names_candidate
from otel_failover._core.attribution.history import history
from otel_failover._core.config import runtime
from otel_failover._core.domain import attributes as names
from otel_failover._core.domain.candidate import Candidate
from otel_failover._core.domain.endpoint import address_of
from otel_failover._core.domain.verdicts import REPORT, UNVERIFIED, VERIFIED
from otel_failover._core.failsafe import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_failover._core.attribution.claim import Claim
    from otel_failover._core.attribution.facts import SourceFacts
    from otel_failover._core.attribution.from_span import Reading
    from otel_failover._core.attribution.source import Source

_SPEAKING: Final = frozenset({"chat", "text_completion", "generate_content", "completion", "responses"})
"""Operations that are one and the same to a loop: an answer is asked for."""

_OPENINFERENCE: Final = ("llm.system", "llm.provider", "llm.model_name")
"""Where OpenInference says whose SDK is asked. It tells no candidates apart: a span is not held against one by it."""


class Part(NamedTuple):
    """What a span can be held against of one run.

    Args:
        inside: The attempts inside the span, in the order in which they began.
        beside: The run's other attempts, where the span was started in it.
        whole: None of them is missing: the oldest of many are let go of.
        started_in: The span was started in the run; else it encloses it.
    """

    inside: list[Source]
    beside: list[Source]
    whole: bool
    started_in: bool


class Began(NamedTuple):
    """What a run had come to when a span was started in it.

    Args:
        ended: The order of the attempt that had ended last; 0 where none had.
        asked: The order of the attempt that had begun last, of any run.
    """

    ended: int
    asked: int


class Subject(NamedTuple):
    """Of whom a span speaks, and whose error it may tell as well.

    Args:
        own: The attempts at the candidate that it speaks of.
        others: The attempts at the others.
        told: Attempts whose error it may tell, under that name, as how the operation ended or why it goes on.
        started_in: The span was started in a run; an earlier run's errors may be found on it.
    """

    own: list[Source]
    others: list[Source]
    told: list[list[Source]]
    started_in: bool

    @property
    def asked_at(self) -> float | None:
        """When the candidate was asked first, in seconds of the monotonic clock; None where it never was."""
        return min((exchange.started for source in self.own for exchange in source.exchanges), default=None)


# --- of whom a span speaks --------------------------------------------------------------------------------------------


def hold(
    found: Reading,
    parts: Sequence[Part],
    attributes: Mapping[str, Any] | None,
    operation: str = "",
    began: Began | None = None,
) -> Subject | None:
    """Return whom a span around attempts or beside them is held against; None where nobody.

    Args:
        found: What the span says.
        parts: Of each run inside it; of the one that it was started in last.
        attributes: Of the span.
        operation: What the run asks for that the span was started in.
        began: What the run had come to when the span started; None where it was started in no run.
    """
    if any(part.inside for part in parts):
        return hold_around(found, parts, attributes or {})
    if began is None or not found.error or not _is_of(attributes or {}, operation):
        return None
    return hold_beside(found, parts[-1], began)


def hold_around(found: Reading, parts: Sequence[Part], attributes: Mapping[str, Any]) -> Subject | None:
    """Return whom a span around attempts is held against; None where it speaks of none of them.

    Around attempts at one candidate, it is that one, whatever name it has: instrumentations say `openai` for whatever
    the OpenAI SDK asks, and of one model at two hosts no name tells them apart. Around attempts at several it is the
    one that is named; and where that was tried first, the error of the one tried last tells how the operation ended.

    Args:
        found: What the span says.
        parts: Of each run that has attempts inside it.
        attributes: Of the span.
    """
    inside = [source for part in parts for source in part.inside]
    every = inside + [source for part in parts for source in part.beside]
    started_in = any(part.started_in for part in parts)
    only = len({source.who for source in inside}) == 1
    if only and started_in:
        own = inside if _names_anybody(found, attributes) and _is_at(inside, found) else []
    else:
        own = _named(found, every, loosely=started_in or only)
    if not own:
        return None
    mine, whose = {source.order for source in own}, {source.who for source in own}
    # A run that does not concern the span is none of its business.
    concerned = [(*p.inside, *p.beside) for p in parts if p.started_in or any(each.order in mine for each in p.inside)]
    others = [source for sources in concerned for source in sources if source.order not in mine]
    told = [] if only else [_last(part) for part in parts if part.inside and _is_named_after_its_first(part, whose)]
    return Subject(own, others, told, started_in)


def _is_named_after_its_first(part: Part, whose: set[tuple[str, str, object]]) -> bool:
    """Whether the candidate that was tried first is the one that is named, or may be where that is not known."""
    first = (_tried(part)[0], min((*part.inside, *part.beside), key=lambda source: source.order))
    return not part.whole or any(source.who in whose for source in first)


def _tried(part: Part) -> list[Source]:
    """Return the attempts inside a span, in order, without those that only asked whether a candidate is back."""
    return [source for source in part.inside if not source.is_probe] or part.inside


def _last(part: Part) -> list[Source]:
    """Return the attempts at the candidate that was tried last."""
    who = _tried(part)[-1].who
    return [source for source in part.inside if source.who == who]


def hold_beside(found: Reading, part: Part, began: Began) -> Subject | None:
    """Return whom a span beside calls is held against; None where nobody that it names was tried.

    Args:
        found: What the span says.
        part: Of the run that it was started in: all attempts so far, open ones included.
        began: What the run had come to when the span started.
    """
    own = _named(found, part.beside, loosely=True)
    if not own or not _is_at(own, found):
        return None
    mine = {source.order for source in own}
    # Why the loop goes on, it may tell; not where the named one was asked while it was open, though it is not current.
    goes_on = all(order <= began.asked for order in mine)
    told = [[source] for source in part.beside if source.order == began.ended and source.order not in mine]
    told = told if goes_on else []
    return Subject(own, [source for source in part.beside if source.order not in mine], told, started_in=True)


def _is_of(attributes: Mapping[str, Any], asked: str) -> bool:
    """Whether a span's operation may be what a run asks for; one that names none may."""
    named = text_of(attributes.get(names.GEN_AI_OPERATION) or attributes.get("llm.request.type") or "")
    return named in ("", asked) or (named in _SPEAKING and asked != "embeddings")


def _names_anybody(found: Reading, attributes: Mapping[str, Any]) -> bool:
    """Whether a span names a provider or a model, were it only the SDK's."""
    named = found.provider is not None or found.model is not None
    return named or any(key in attributes for key in _OPENINFERENCE)


def _is_at(sources: Iterable[Source], found: Reading) -> bool:
    """Whether a span names no host, or one that these attempts asked, as far as that is known."""
    if found.address is None:
        return True
    host, port = found.address
    asked = [address_of(exchange.endpoint) for source in sources for exchange in source.exchanges]
    return not asked or any(host == each and port in (None, number) for each, number in asked)


def _named(found: Reading, sources: Iterable[Source], *, loosely: bool) -> list[Source]:
    """Return the attempts at the candidates that a span names; where the name fits several, they are held as one.

    Some instrumentations say `openai` for whatever the OpenAI SDK asks, a gateway or a compatible endpoint too. Where
    nobody has that provider and model, the model alone says of whom a span speaks.
    """
    ways: list[Reading | None] = [found, by_model_alone(found)]
    if loosely and found.model is not None:
        ways.append(found._replace(provider=None))
    for way in ways:
        if way is not None:
            own = [each for each in sources if names_candidate(Candidate(each.provider, each.model), way)]
            if own:
                return own
    return []


# --- the verdict ------------------------------------------------------------------------------------------------------


def judge_held(claim: Claim, held: Subject) -> Verdict:
    """Hold what a span claims against the candidate that it speaks of.

    Args:
        claim: What the span says. It has no objects, so nothing is bound by identity.
        held: Of whom it speaks.
    """
    verdict = judge_enclosing(claim, held.own, held.others, in_history=held.started_in)
    if verdict.verdict != VERIFIED and any(_tells(claim, told, held, verdict) for told in held.told):
        return Verdict(UNVERIFIED, REPORT)
    return verdict


def _tells(claim: Claim, told: list[Source], held: Subject, verdict: Verdict) -> bool:
    """Whether a claim is the error of certain attempts, by what it is bound to or by all that it says."""
    orders = {source.order for source in told}
    if verdict.source is not None and verdict.source.order in orders:
        return True
    others = [source for source in (*held.own, *held.others) if source.order not in orders]
    return judge_enclosing(claim, told, others).verdict == VERIFIED


def judge_enclosing(claim: Claim, own: list[Source], others: list[Source], *, in_history: bool = False) -> Verdict:
    """Hold a claim against several attempts at one candidate, as if they were one.

    They are over, or several: so all of them together are what is own. A successful answer was let go with its attempt;
    where there was one, a text may have stood in it, and no text binds to anybody else.

    Args:
        claim: What is said.
        own: The attempts at the candidate that is spoken of.
        others: The attempts at the other candidates; those at the same one are its own, of another try.
        in_history: Earlier runs' errors are looked for as well.
    """
    facts = [source.facts for source in own]
    sends = [exchange for source in own for exchange in source.exchanges]
    answered_well = any(exchange.status is not None and not exchange.is_error for exchange in sends)
    evidence = OwnFacts(
        complete=all(source.complete for source in own),
        sent=len(sends),
        answered=sum(exchange.status is not None for exchange in sends),
        statuses=frozenset(exchange.status for exchange in sends if exchange.status is not None).union(
            *(each.statuses for each in facts)
        ),
        codes=frozenset(code for each in facts for code in each.codes),
        request_ids=frozenset(name for each in facts for name in each.request_ids),
        response_ids=frozenset(name for each in facts for name in each.response_ids),
        texts=tuple(text for source in own for text in source.texts),
        reasons=frozenset(source.reason for source in own if source.reason),
        text_in_bytes=lambda _: None if answered_well else False,
        raised=tuple(" ".join(raised.text.split()) for source in own for raised in source.raised),
        names=tuple({name for source in own for name in (source.provider, source.model) if name}),
        went_to=lambda address: any(address in each.addresses for each in facts),
    )
    whose, disabled = {source.who for source in own}, runtime.current().disabled_rules
    against = [source.facts._replace(same=True) if source.who in whose else source.facts for source in others]
    if not in_history:
        return rules.judge(claim, UNBOUND, evidence, against, disabled=disabled)
    return rules.judge(claim, UNBOUND, evidence, against, _earlier(own[-1]), disabled)


def _earlier(source: Source) -> Callable[[str], SourceFacts | None]:
    who = (Candidate(source.provider, source.model), None, None)
    return lambda fingerprint: history.find(fingerprint, who)


def sentence_of(source: Source) -> str:
    """Return an attempt's own evidence in a few words, for the marker and the log; also where it served."""
    if source.sentence:
        return source.sentence
    if source.facts.alive:
        return "no answer yet"
    statuses = [str(exchange.status) for exchange in source.exchanges if exchange.status is not None]
    return f"answered {statuses[-1]}, no error" if statuses else "an answer without error"
