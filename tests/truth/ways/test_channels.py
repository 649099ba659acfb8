"""By whatever an error is carried on, with real SDKs: the theft is found, its honest twin is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.truth.ways.channels import CHANNELS, REPORTS, Held, must
from tests.truth.ways.messages import BY_ID
from tests.truth.ways.not_yet import compared
from tests.truth.ways.scenarios import Found
from tests.truth.ways.scene import HANDMADE, OTHER, Scene, asked, opened
from tests.truth.ways.units import Binding, binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.truth.ways.channels import Channel
    from tests.truth.ways.messages import Message
    from tests.truth.ways.texts import Told

EVERY: Final = os.environ.get("FAILOVER_WAYS") == "all"
"""Each channel with each message after each answer; else with some of them."""
CARRIED: Final = [BY_ID[each] for each in ("anthropic-tokens", "openai-quota", "overloaded", "zh-quota")]
HAS_HOOK: Final = hasattr(SpanProcessor, "_on_ending")
ANSWERS: Final = ("timeout", "reset", "other", "alike", "bare", "success")
"""What the judged candidate does: another error, one of the same status, one without a word, a good answer."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened() as made:
        yield made


def own_answer(kind: str, message: Message) -> Answer:
    """Return what the judged candidate answers."""
    return {
        "timeout": Answer.hang(),
        "reset": Answer.reset(),
        "other": OTHER,
        "alike": Answer.error(message.status, HANDMADE, code="no_replica", type="no_replica"),
        "bare": Answer.raw(503, ""),
        "success": Answer.ok(),
        "own": message.answer,
    }[kind]


def played(
    scene: Scene, message: Message, kind: str, act: Callable[[Held, Told | None], object], *, own: bool = False
) -> tuple[Found, Found | None, Told, Told | None]:
    """Play one run of two attempts; return what was found of the second, and of the application's span inside it."""
    scene.clear()
    first = scene.first[message.wire]
    second = scene.second[message.wire if kind == "own" else "openai"]
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with run.attempt(first.candidate) as attempt:
            theirs = asked(first, OTHER if own else message.answer)
            attempt.fail(theirs.problem if theirs is not None else None)
        assert theirs is not None
        acting = False
        try:
            with run.attempt(second.candidate) as attempt:
                mine = asked(second, own_answer(kind, message))
                told = mine if own and mine is not None else theirs
                acting = True
                act(Held(attempt, scene.tracer, told, mine), mine)
                if mine is not None:
                    attempt.fail(mine.problem)
        except Exception:  # groups, and whatever a wrapper is
            if not acting:
                raise
    found = [
        Found(*span.verdict, span["failover.attribution.source.provider"])
        for span in (scene.starting("candidate ")[1], *scene.starting("application"))
    ]
    inner = found[1] if len(found) > 1 else None
    if inner is not None and not HAS_HOOK:
        # Before SDK 1.40 a span of the application's cannot be written: its marker says it all.
        markers = scene.starting("failover.attribution.mismatch")
        inner = next(
            (
                Found("mismatch", m["failover.attribution.rule"], m["failover.attribution.source.provider"])
                for m in markers
            ),
            Found("unverified"),
        )
    return found[0], inner, theirs, mine


def theft(scene: Scene, channel: Channel, message: Message, kind: str) -> str | None:
    """Return what is wrong where another's error is carried."""
    outer, inner, theirs, mine = played(scene, message, kind, lambda held, _: channel.act(held))
    own_texts = (mine.shown, str(dict(mine.body))) if mine is not None else ("Hello",)
    expected = must(channel, theirs, own_texts, frozenset([mine.status if mine is not None else 200]))
    found = inner if channel.on_span else outer
    if found is None:
        return "the application's span is not there"
    if channel.mixed and binding(message.text) is not Binding.MUST:
        return None
    if channel.mixed:
        return None if (found.verdict, found.rule) == ("inconsistent", "mixed_error") else f"missed: {found}"
    if channel.on_span and outer.verdict != "verified":
        return f"the attempt itself is {outer}"
    if expected is Binding.MUST:
        right = found.verdict == "mismatch" and found.rule == "stale_error" and found.source == theirs.provider
        return None if right else f"missed: {found}"
    unanswered = kind in ("timeout", "reset")
    if (
        expected is Binding.CANNOT
        and found.verdict == "mismatch"
        and not (unanswered and found.rule == "claimed_answer")
    ):
        return f"{found}, though nothing in it shows whose it is"
    return None


def honest(scene: Scene, channel: Channel, message: Message, kind: str) -> str | None:
    """Return what is wrong where the candidate's own error is carried."""
    outer, inner, *_ = played(scene, message, kind, lambda held, _: channel.act(held), own=True)
    for found in filter(None, (outer, inner)):
        if found.verdict in ("mismatch", "inconsistent"):
            return f"{found} for an honest claim"
    found = inner if channel.on_span and inner is not None else outer
    says_enough = binding(message.text) is Binding.MUST or "object" in channel.by or "shown" in channel.by
    right = found.verdict == "verified" or (channel.id.startswith("group") and found.rule == "report")
    if channel.own_is_verified and kind == "own" and says_enough and not right:
        return f"{found}, not verified, though it is the own error"
    return None


def thefts(channel: Channel, number: int) -> Iterator[tuple[str, Message]]:
    """Yield what is stolen, and from what kind of answer the judged candidate gave."""
    for step, kind in enumerate(ANSWERS):
        for turn, message in enumerate(CARRIED):
            # A provider that hangs costs time, and is for the claim what one that breaks off is.
            chosen = (step + number) % 2 == 0 if kind != "timeout" else number % 8 == 0
            if (EVERY or (chosen and turn == (step + number) % len(CARRIED))) and fits(channel, kind):
                yield kind, message
    if fits(channel, "alike"):
        yield "alike", BY_ID["openai-quota"]


def fits(channel: Channel, kind: str) -> bool:
    """Whether there is anything to carry, where the candidate did so."""
    return not (channel.mixed and kind in ("success", "timeout", "reset"))


@pytest.mark.parametrize("number", range(len(CHANNELS)), ids=[each.id for each in CHANNELS])
def test_a_channel(scene: Scene, number: int) -> None:
    channel = CHANNELS[number]
    problems: dict[str, str | None] = {}
    for kind, message in thefts(channel, number):
        problems[f"{channel.id}/theft-{kind}/{message.id}"] = theft(scene, channel, message, kind)
    own = [("own", CARRIED[number % 4]), ("own", CARRIED[(number + 2) % 4]), ("reset", CARRIED[0])]
    for kind, message in own if not channel.mixed else ():
        if kind == "own" or not channel.by & {"needs-answer"}:
            problems[f"{channel.id}/honest-{kind}/{message.id}"] = honest(scene, channel, message, kind)
    assert not (wrong := compared("channel", problems)), "\n".join(wrong)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report(scene: Scene, name: str) -> None:
    """Another's error and the own one: whatever the own one is, it is a report."""
    problems: dict[str, str | None] = {}

    def act(held: Held, own: Told | None) -> None:
        assert own is not None
        REPORTS[name](held, own)

    for step, kind in enumerate(("reset", "other", "alike", "bare")):
        for message in CARRIED if EVERY else (CARRIED[step], CARRIED[(step + 1) % 4]):
            found, *_ = played(scene, message, kind, act)
            problem = None
            if found.verdict in ("mismatch", "inconsistent"):
                problem = f"{found} for a report"
            elif binding(message.text) is Binding.MUST and (found.verdict, found.rule) != ("unverified", "report"):
                problem = f"{found}, and no report"
            problems[f"{name}/{kind}/{message.id}"] = problem
    assert not (wrong := compared("report", problems)), "\n".join(wrong)
