"""Spans of the application's around and beside bare calls, and around a run: the theft is found, honest ones are not.

The commonest loop has no attempts of its own: it calls one provider after the other, and writes what went wrong on spans
that it makes around the calls, or after them.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.truth.ways.messages import BY_ID
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import Found
from tests.truth.ways.scene import OTHER, Scene, asked, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span

    from tests.support.hosts import Stand
    from tests.truth.ways.texts import Told

HAS_HOOK: Final = hasattr(SpanProcessor, "_on_ending")
MESSAGES: Final = [BY_ID[each] for each in ("openai-quota", "ja-limit")]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened() as made:
        yield made


# --- how it is written ------------------------------------------------------------------------------------------------


def _status(span: Span, told: Told) -> None:
    span.set_status(StatusCode.ERROR, told.shown)


def _event(span: Span, told: Told) -> None:
    span.set_status(StatusCode.ERROR)
    span.add_event("exception", {"exception.type": "RateLimitError", "exception.message": told.message})


def _recorded(span: Span, told: Told) -> None:
    assert told.problem is not None
    span.record_exception(told.problem)
    span.set_status(StatusCode.ERROR, told.message)


def _attribute(span: Span, told: Told) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.message", told.message)


WRITTEN: Final = {"status": _status, "event": _event, "recorded": _recorded, "attribute": _attribute}


class Loop:
    """A loop of bare calls, with the application's own spans where the test wants them."""

    def __init__(self, scene: Scene, message: Any, write: Callable[[Span, Told], None]) -> None:
        self.scene, self.write = scene, write
        self.first, self.second = scene.first["openai"], scene.second["openai"]
        self.answers = {id(self.first): message.answer, id(self.second): Answer.reset()}

    def ask(self, each: Stand) -> Told:
        told = asked(each, self.answers[id(each)])
        assert told is not None
        return told

    @contextmanager
    def span(self, named: Stand | None, by: str = "both", **more: Any) -> Iterator[Span]:
        """Open a span of the application's that names a candidate."""
        attributes: dict[str, Any] = dict(more)
        if named is not None and by != "model":
            attributes["gen_ai.provider.name"] = named.candidate.provider
        if named is not None and by != "provider":
            attributes["gen_ai.request.model"] = named.candidate.model
        with self.scene.tracer.start_as_current_span("application", attributes=attributes) as span:
            yield span


# --- what loops do ----------------------------------------------------------------------------------------------------


def beside_theft(loop: Loop, by: str = "both") -> None:
    stale = loop.ask(loop.first)
    loop.ask(loop.second)
    with loop.span(loop.second, by) as span:
        loop.write(span, stale)


def beside_by_provider(loop: Loop) -> None:
    beside_theft(loop, "provider")


def beside_by_model(loop: Loop) -> None:
    beside_theft(loop, "model")


def beside_second_answers(loop: Loop) -> None:
    loop.answers[id(loop.second)] = OTHER
    beside_theft(loop)


def around_theft(loop: Loop) -> None:
    stale = loop.ask(loop.first)
    with loop.span(loop.second) as span:
        loop.ask(loop.second)
        loop.write(span, stale)


def around_named_for_the_first(loop: Loop) -> None:
    """Held against the one that it is around, whatever it names."""
    stale = loop.ask(loop.first)
    with loop.span(loop.first) as span:
        loop.ask(loop.second)
        loop.write(span, stale)


def around_two_calls(loop: Loop) -> None:
    stale = loop.ask(loop.first)
    with loop.span(loop.second) as span:
        loop.ask(loop.second)
        loop.ask(loop.second)
        loop.write(span, stale)


def around_both_blames_the_second(loop: Loop) -> None:
    with loop.span(loop.second) as span:
        stale = loop.ask(loop.first)
        loop.ask(loop.second)
        loop.write(span, stale)


def beside_own(loop: Loop) -> None:
    told = loop.ask(loop.first)
    with loop.span(loop.first) as span:
        loop.write(span, told)
    with suppress(AssertionError):
        loop.ask(loop.second)


def beside_own_later(loop: Loop) -> None:
    told = loop.ask(loop.first)
    loop.ask(loop.second)
    with loop.span(loop.first) as span:
        loop.write(span, told)


def around_own(loop: Loop) -> None:
    with loop.span(loop.first) as span:
        loop.write(span, loop.ask(loop.first))
    loop.ask(loop.second)


def around_own_second(loop: Loop) -> None:
    loop.ask(loop.first)
    with loop.span(loop.second) as span:
        loop.write(span, loop.ask(loop.second))


def around_own_by_model(loop: Loop) -> None:
    loop.ask(loop.second)
    with loop.span(loop.first, "model") as span:
        loop.write(span, loop.ask(loop.first))


def before_the_second(loop: Loop) -> None:
    """What the first said, as the reason to go on to the second, which was not asked yet."""
    told = loop.ask(loop.first)
    with loop.span(loop.second) as span:
        loop.write(span, told)
    loop.ask(loop.second)


def before_the_second_again(loop: Loop) -> None:
    """The same, where the second has been asked before: it may tell why the loop goes on."""
    loop.ask(loop.second)
    told = loop.ask(loop.first)
    with loop.span(loop.second) as span:
        loop.write(span, told)
    loop.ask(loop.second)


def recorded_before_it_is_asked(loop: Loop) -> None:
    """An exception event earlier than the first own send is no claim."""
    stale = loop.ask(loop.first)
    with loop.span(loop.second) as span:
        span.add_event("exception", {"exception.type": "RateLimitError", "exception.message": stale.message})
        span.set_status(StatusCode.ERROR, loop.ask(loop.second).shown)


def around_both_named_for_the_first(loop: Loop) -> None:
    """An operation that begins at the first and ends with the last one's error."""
    with loop.span(loop.first) as span:
        loop.answers[id(loop.second)], loop.answers[id(loop.first)] = loop.answers[id(loop.first)], Answer.reset()
        loop.ask(loop.first)
        loop.write(span, loop.ask(loop.second))


def around_both_own(loop: Loop) -> None:
    with loop.span(loop.first) as span:
        told = loop.ask(loop.first)
        loop.ask(loop.second)
        loop.write(span, told)


def another_operation(loop: Loop) -> None:
    told = loop.ask(loop.first)
    loop.ask(loop.second)
    with loop.span(loop.second, **{"gen_ai.operation.name": "embeddings"}) as span:
        loop.write(span, told)


def names_nobody(loop: Loop) -> None:
    told = loop.ask(loop.first)
    loop.ask(loop.second)
    with loop.span(None) as span:
        loop.write(span, told)


def previous_keys(loop: Loop) -> None:
    told = loop.ask(loop.first)
    loop.ask(loop.second)
    with loop.span(loop.second, **{"fallback.previous_error": told.shown}):
        pass


STOLEN: Final = (beside_theft, beside_by_provider, beside_by_model, beside_second_answers, around_theft,
                 around_named_for_the_first, around_two_calls, around_both_blames_the_second)  # fmt: skip
OWN: Final = (beside_own, beside_own_later, around_own, around_own_second, around_own_by_model, around_both_own,
              recorded_before_it_is_asked)  # fmt: skip
LEFT_ALONE: Final = (before_the_second, before_the_second_again, around_both_named_for_the_first, another_operation,
                     names_nobody, previous_keys)  # fmt: skip


def found_of(scene: Scene) -> Found:
    (span,) = scene.starting("application")
    if HAS_HOOK or span["failover.attribution.verdict"] is not None:
        return Found(*span.verdict, span["failover.attribution.source.provider"])
    # Before SDK 1.40 a span of the application's cannot be written: its marker says it all.
    markers = [each for each in scene.starting("failover.attribution.mismatch") if each.parent_id == span.span_id]
    if not markers:
        return Found(None)
    (marker,) = markers
    return Found("mismatch", marker["failover.attribution.rule"], marker["failover.attribution.source.provider"])


def played(scene: Scene, act: Callable[[Loop], None], message: Any, how: str) -> str | None:
    """Play one run; return what is wrong with what was made of the application's span."""
    scene.clear()
    loop = Loop(scene, message, WRITTEN[how])
    with failover_run("chat", chain=[loop.first.candidate, loop.second.candidate]):
        act(loop)
    found = found_of(scene)
    markers = len(scene.starting("failover.attribution.mismatch"))
    if act in STOLEN:
        right = (found.verdict, found.rule, found.source, markers) == ("mismatch", "stale_error", "openai", 1)
        return None if right else f"missed: {found}, {markers} markers"
    if markers or found.verdict in ("mismatch", "inconsistent"):
        return f"{found} for an honest span, {markers} markers"
    if act in OWN and HAS_HOOK and found.verdict != "verified":
        return f"{found}, not verified, though it is the own error"
    return None


@pytest.mark.parametrize("act", [*STOLEN, *OWN, *LEFT_ALONE], ids=lambda act: act.__name__.replace("_", "-"))
def test_a_span(scene: Scene, act: Callable[[Loop], None]) -> None:
    problems = {
        f"{act.__name__.replace('_', '-')}/{how}/{message.id}": played(scene, act, message, how)
        for number, how in enumerate(WRITTEN)
        for message in (MESSAGES[number % 2],)
    }
    assert not (wrong := compared("span", problems)), "\n".join(wrong)


@pytest.mark.parametrize("how", WRITTEN)
def test_a_span_around_the_run(scene: Scene, how: str) -> None:
    """One that names the last candidate and carries the first one's error, and one that tells the truth."""
    problems: dict[str, str | None] = {}
    for name, stolen in (("theft", True), ("own", False)):
        scene.clear()
        loop = Loop(scene, MESSAGES[0], WRITTEN[how])
        with loop.span(loop.second if stolen else loop.first) as span:
            with failover_run("chat", chain=[loop.first.candidate, loop.second.candidate]):
                told = loop.ask(loop.first)
                loop.ask(loop.second)
            loop.write(span, told)
        found = found_of(scene)
        right = (found.verdict == "mismatch") == stolen and found.verdict != "inconsistent"
        problems[f"around-the-run-{name}/{how}"] = None if right else str(found)
    assert not (wrong := compared("span", problems)), "\n".join(wrong)
