"""What a loop did in a case, held against what would have been right: pure, from what was seen alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_failover.testing.scenarios.playing import Made, Seen

__all__ = ["FAULTS", "FINE", "NOTES", "Result", "Verdict", "judge", "texts_of"]

Verdict = Literal[
    "served", "went on", "told", "stopped in time",
    "told in part", "took another's answer", "not tried",
    "stopped", "hung", "blamed the wrong one", "showed a secret", "served late", "repeated a refusal",
    "asked in a storm", "swallowed the error", "took an empty answer", "took a part", "went on when cancelled",
    "failed",
]  # fmt: skip
FINE: Final = ("served", "went on", "told", "stopped in time")
NOTES: Final = ("told in part", "took another's answer", "not tried")
FAULTS: Final = {
    "stopped": "the call ended, and a candidate had never been asked",
    "hung": "the call had not come back at its deadline",
    "blamed the wrong one": "what one candidate said is told of another, or of another call",
    "showed a secret": "a key stands where it can be read, or was sent to a candidate that it is not for",
    "served late": "one that stays silent was asked again and again while the next was well",
    "repeated a refusal": "one that had refused for good was asked again",
    "asked in a storm": "one candidate was asked more often than a retry explains",
    "swallowed the error": "something was returned as an answer though nobody had given one",
    "took an empty answer": "an empty text was returned as an answer",
    "took a part": "half an answer was returned as a whole one",
    "went on when cancelled": "the caller had cancelled the call, and another candidate was asked",
    "failed": "the one that was well was asked and answered, and the call raised all the same",
}
"""What fails a case, and what each means."""
_STORM: Final = 6
_PATIENCE: Final = 3
_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What a loop did in one case.

    Args:
        case: Its name.
        verdict: In a word or two.
        happened: In a sentence.
        right: What would have been right.
        seconds: How long it took.
        requests: How often each candidate was asked, in order.
    """

    case: str
    verdict: Verdict
    happened: str
    right: str
    seconds: float
    requests: tuple[int, ...]

    @property
    def is_fault(self) -> bool:
        """Whether a user of the loop would be worse off by it."""
        return self.verdict in FAULTS


def judge(seen: Seen) -> Result:
    """Say what a loop did.

    Args:
        seen: What was to be seen of it.
    """
    verdict, happened = _judged(seen)
    requests = tuple(len(each) for each in seen.asked)
    seconds = max((made.seconds for made in seen.calls), default=0.0)
    return Result(seen.case.name, verdict, happened, seen.case.right, seconds, requests)


def _judged(seen: Seen) -> tuple[Verdict, str]:
    case = seen.case
    if case.needs == "stream" and not any(each.kind == "stream" for each in seen.asked[0]):
        return "not tried", "The loop does not stream."
    if case.needs == "async" and not seen.is_async:
        return "not tried", "The call is not async: it cannot be cancelled."
    return (
        _secret(seen)
        or _cancelled(seen)
        or _hung(seen)
        or _blamed(seen)
        or (_served(seen, seen.calls[0]) if case.expected == "served" else _raised(seen))
    )


# --- whatever happens -------------------------------------------------------------------------------------------------


def _secret(seen: Seen) -> tuple[Verdict, str] | None:
    for at, entries in enumerate(seen.asked):
        for entry in entries:
            sent = " ".join((entry.path, *entry.headers.values()))
            for other, target in enumerate(seen.targets):
                if other != at and target.api_key in sent:
                    return "showed a secret", f"It sent the key of {target.name} to {seen.targets[at].name}."
    for target in seen.targets:
        for made in seen.calls:
            if any(target.api_key in each for each in texts_of(made.raised)):
                kind = type(made.raised).__name__
                return "showed a secret", f"The key of {target.name} stands in the {kind} that it raised."
            if isinstance(made.returned, str) and target.api_key in made.returned:
                return "showed a secret", f"The key of {target.name} stands in the text that it returned."
        if target.api_key in seen.printed:
            return "showed a secret", f"The key of {target.name} stands in what it printed or logged."
    return None


def _cancelled(seen: Seen) -> tuple[Verdict, str] | None:
    if seen.case.expected != "cancelled":
        return None
    if seen.asked[1]:
        return "went on when cancelled", f"It asked {seen.targets[1].name} after its caller had cancelled it."
    made = seen.calls[0]
    if made.hung:
        return "hung", f"It was cancelled, and had not come back after {made.seconds:.0f} s."
    if made.raised is None:
        return "swallowed the error", f"It was cancelled, and returned {_short(made.returned)} all the same."
    return "stopped in time", f"It raised {type(made.raised).__name__} and asked nobody else."


def _hung(seen: Seen) -> tuple[Verdict, str] | None:
    if not any(made.hung for made in seen.calls):
        return None
    most = max(range(len(seen.asked)), key=lambda at: len(seen.asked[at]))
    if len(seen.asked[most]) > _STORM:
        times = len(seen.asked[most])
        return "asked in a storm", f"It asked {seen.targets[most].name} {times} times and had not come back."
    last = f"{seen.conditions.deadline:g} s, though each candidate was to be given {seen.conditions.timeout:g} s"
    return "hung", f"It had not come back after {last}; it had {_asked(seen)}."


def _blamed(seen: Seen) -> tuple[Verdict, str] | None:
    for number, made in enumerate(seen.calls):
        texts = [*texts_of(made.raised), *([made.returned] if isinstance(made.returned, str) else [])]
        for text in texts:
            for other_number, other in enumerate(seen.calls):
                for place in other.places if other is not made else ():
                    if place.token in text:
                        which = ("first", "second")[other_number], ("first", "second")[number]
                        return (
                            "blamed the wrong one",
                            f"What {place.name} said in the {which[0]} call stands in the error of the {which[1]} one.",
                        )
            found = _mislabelled(seen, made, text)
            if found is not None:
                excerpt = _short(text[max(0, found[2] - 90) : found[2]].strip())
                return "blamed the wrong one", f"What {found[1]} said is told of {found[0]}: {excerpt}."
    return None


def _mislabelled(seen: Seen, made: Made, text: str) -> tuple[str, str, int] | None:
    """Return who is named, whose words stand there, and where they end; None where each word is its owner's.

    A word belongs to the name in front of it; to the one behind it, "… (first)", where the one in front is no label,
    "second: …". Names in a row, as in "first, second failed: …", share one.
    """
    marks = sorted(
        (found.start(), at) for at, place in enumerate(made.places) for found in re.finditer(place.token, text)
    )
    names = sorted(
        (found.start(), found.end(), who) for pattern, who in _names(seen) for found in pattern.finditer(text)
    )
    for index, (where, owner) in enumerate(marks):
        since = marks[index - 1][0] if index else -1
        until = marks[index + 1][0] if index + 1 < len(marks) else len(text)
        before = [each for each in names if since < each[0] < where]
        after = [each for each in names if where < each[0] < until]
        if not before or any(owner in who for _, _, who in _row(before, text)):
            continue
        is_label = re.match(r"\W{0,3}(?::|=|->)", text[before[-1][1] :]) is not None
        is_behind = bool(after) and owner in after[0][2] and not re.search(r"[;|\n]", text[where : after[0][0]])
        if is_behind and not is_label:
            continue
        named = min(before[-1][2])
        return seen.targets[named].name, seen.targets[owner].name, where + len(made.places[owner].token)
    return None


def _row(names: Sequence[tuple[int, int, frozenset[int]]], text: str) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Yield the last names in a text that are in one row: with nothing but a few signs or words between them."""
    last: int | None = None
    for each in reversed(names):
        if last is not None and re.fullmatch(r"[\s,;/|&'\"()=:\[\]-]*(?:and|model|to|then)?[\s,;/|&'\"()=:\[\]-]*",
                                             text[each[1] : last]) is None:  # fmt: skip
            return
        yield each
        last = each[0]


def _names(seen: Seen) -> Iterator[tuple[re.Pattern[str], frozenset[int]]]:
    """Yield how candidates are named in a text: model, address, provider; the latter may be several."""
    whose: dict[str, set[int]] = {}
    for at, target in enumerate(seen.targets):
        for name in (target.model, target.base_url.partition("://")[2].partition("/")[0], target.provider):
            whose.setdefault(name, set()).add(at)
    for name, who in whose.items():
        # Not where it is a part of something else: a host, a module, an exception's class.
        yield re.compile(rf"(?<![\w.@-]){re.escape(name)}(?![\w@-]|\.\w)", re.IGNORECASE), frozenset(who)


# --- where one would have answered ------------------------------------------------------------------------------------


def _served(seen: Seen, made: Made) -> tuple[Verdict, str]:
    case = seen.case
    server, name = case.served_by, seen.targets[case.served_by].name
    if made.raised is not None:
        told = f"{type(made.raised).__name__}: {_short(made.raised)}"
        if case.needs == "stream" and made.raised is not None:
            return "told", f"It raised {told}."
        if not seen.asked[server]:
            return "stopped", f"It raised {told}, and never asked {name}."
        return "failed", f"It asked {name}, which answered, and raised {told}."
    text = made.returned if isinstance(made.returned, str) else ""
    takers = [at for at, place in enumerate(made.places) if place.answer in text]
    if not takers:
        if "Half an answer" in text:
            return "took a part", f"It returned {_short(text)} as if that were the whole answer."
        if made.returned == "":
            return "took an empty answer", f"It returned an empty text{' and never asked ' + name if server else ''}."
        asked = "never asked" if not seen.asked[server] else "asked"
        return "swallowed the error", f"It returned {_short(made.returned)} as an answer, and {asked} {name}."
    if "Half an answer" in text:
        return "took a part", f"It mixed half an answer with another: {_short(text)}."
    if server not in takers:
        asked = "was never asked" if not seen.asked[server] else "had answered, too"
        return "took another's answer", f"It took {seen.targets[takers[0]].name}'s answer; {name} {asked}."
    return _at_what_cost(seen, made) or (
        ("served", f"It took {name}'s answer.") if server == 0 else ("went on", f"It took {name}'s answer.")
    )


def _at_what_cost(seen: Seen, made: Made) -> tuple[Verdict, str] | None:
    case, name = seen.case, seen.targets[0].name
    times = len(seen.asked[0])
    if times > _STORM:
        return "asked in a storm", f"It asked {name} {times} times before it went on."
    if case.is_refused and times > 1:
        return "repeated a refusal", f"It asked {name} {times} times, though that had refused for good."
    if case.is_silent and made.seconds > _PATIENCE * seen.conditions.timeout:
        given = f"though each candidate was to be given {seen.conditions.timeout:g} s"
        return (
            "served late",
            f"It asked {name} {times} times in vain; an answer came after {made.seconds:.1f} s, {given}.",
        )
    return None


# --- where nobody would -----------------------------------------------------------------------------------------------


def _raised(seen: Seen) -> tuple[Verdict, str]:
    for made in seen.calls:
        if made.raised is None:
            return (
                "swallowed the error",
                f"It returned {_short(made.returned)} as an answer; no candidate had given one.",
            )
    if seen.case.is_refused and any(len(each) > 1 for each in seen.asked):
        return "repeated a refusal", f"It had {_asked(seen)}, though each had refused for good."
    for at, entries in enumerate(seen.asked):
        if len(entries) > _STORM * len(seen.calls):
            return "asked in a storm", f"It asked {seen.targets[at].name} {len(entries)} times."
    made = seen.calls[0]
    said = "\n".join(texts_of(made.raised))
    kind = type(made.raised).__name__
    if seen.case.tells_all:
        unasked = [target.name for target, entries in zip(seen.targets, seen.asked, strict=True) if not entries]
        if unasked:
            return "stopped", f"It raised {kind}: {_short(made.raised)}, and never asked {' and '.join(unasked)}."
        told = [place.name for place in made.places if place.token in said]
        if len(told) < len(made.places):
            whom = f"only what {' and '.join(told)} said" if told else "nothing of what the candidates said"
            return "told in part", f"It raised {kind}, which tells {whom}."
        return "told", f"It raised {kind}, which tells what each candidate said."
    return "told", f"It raised {kind}: {_short(made.raised)}."


# --- texts ------------------------------------------------------------------------------------------------------------


def texts_of(problem: BaseException | None) -> list[str]:
    """Return what an exception tells: its text, behind what it names, its notes, its members' and its causes' texts.

    Args:
        problem: The exception.
    """
    found: list[str] = []
    waiting: list[Any] = [problem]
    known: set[int] = set()
    while waiting and len(known) < _DEPTH * _DEPTH:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in known:
            continue
        known.add(id(each))
        names = [_read(each, name) for name in ("provider", "llm_provider", "model", "model_name")]
        label = " ".join(dict.fromkeys(name for name in names if isinstance(name, str) and name))
        found.append(f"{label}: {_text(each)}" if label else _text(each))
        found += [note for note in _read(each, "__notes__") or () if isinstance(note, str)]
        members = _read(each, "exceptions")
        waiting += [*(members if isinstance(members, (list, tuple)) else ()), each.__cause__]
    return found


def _read(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # anybody's property
        return None


def _text(thing: object) -> str:
    try:
        return str(thing)
    except Exception:
        return type(thing).__name__


def _short(thing: object) -> str:
    text = " ".join(_text(thing).split()) if isinstance(thing, BaseException) else repr(thing)
    return text if len(text) <= 100 else text[:97] + "..."


def _asked(seen: Seen) -> str:
    told = [f"{target.name} {len(each)} times" for target, each in zip(seen.targets, seen.asked, strict=True) if each]
    return f"asked {', '.join(told)}".replace(" 1 times", " once") if told else "asked nobody"
