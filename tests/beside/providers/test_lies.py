"""Lies told through neighbours' spans are flagged, with the right source: a neighbour does not blind us."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.beside.neighbours import GENAI, LOGFIRE, NATIVE, OPENINFERENCE, TRANSPORTS, has
from tests.beside.scenarios import Loop, Scene, Stand
from tests.beside.sdks import ANTHROPIC, BEDROCK, GEMINI, OPENAI
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.beside.counting import Beside
    from tests.beside.scenarios import Sdk
    from tests.support.spans import Exported

TIMES_OUT = Scene(("quota",), (Answer.hang(),), timeout=0.3)
MODULES = {"google_genai": "google.genai", "bedrock": "boto3"}
SDKS = [
    pytest.param(
        sdk,
        id=sdk.name,
        marks=pytest.mark.skipif(not has(MODULES.get(sdk.name, sdk.name)), reason=f"{sdk.name} is not installed"),
    )
    for sdk in (OPENAI, ANTHROPIC, GEMINI, BEDROCK)
]


class SharedError(Exception):
    """What a loop that shares its last error raises for whoever fails next."""


@contextmanager
def stands(beside: Beside, first: Sdk, second: Sdk, scene: Scene) -> Iterator[tuple[Stand, Stand]]:
    """Open two candidates."""
    loop = Loop(beside, (first, second), scene)
    with ExitStack() as stack:
        yield loop.stand(stack, 0, asynchronous=False), loop.stand(stack, 1, asynchronous=False)


def ask(each: Stand) -> Any:
    """Ask in the commonest way."""
    return next(iter(each.sdk.ways.values()))(each.client, each.candidate.model)


def last_error(client: Any, shared: list[Exception]) -> None:
    """Let a client raise the last error that anybody got, whenever it fails: the breaker that clients share."""
    owner = client.whole._api_client if hasattr(client, "whole") else client
    door = next(name for name in ("_make_api_call", "post", "request") if hasattr(owner, name))
    through = getattr(owner, door)

    def broken(*args: Any, **kwargs: Any) -> Any:
        try:
            return through(*args, **kwargs)
        except Exception:  # noqa: BLE001
            raise shared[-1] from None

    setattr(owner, door, broken)


@contextmanager
def own_span(beside: Beside, name: str) -> Iterator[Any]:
    """A span made by the helper that the family gives to applications; it records what is raised inside."""
    if beside.family == OPENINFERENCE:
        from openinference.instrumentation import OITracer, TraceConfig

        tracer = OITracer(beside.tracer, config=TraceConfig())
        with tracer.start_as_current_span(name, openinference_span_kind="chain") as span:
            yield span
    elif beside.family == LOGFIRE:
        with beside.on.logfire.span(name) as span:
            yield span
    elif beside.family == GENAI:
        from opentelemetry.util.genai.handler import TelemetryHandler

        with TelemetryHandler(tracer_provider=beside.provider).workflow(name) as made:
            yield made.span
    else:
        with beside.tracer.start_as_current_span(name) as span:
            yield span


def theirs(flagged: list[Exported]) -> list[Exported]:
    """Return what is not ours, and check whose error it is."""
    found = [span for span in flagged if span.scope != "otel_failover"]
    for span in found:
        assert span.verdict == ("mismatch", "stale_error"), span
        assert (span["failover.attribution.source.index"], span["candidate.index"]) == (0, 1)
    return found


def _loop(beside: Beside, sdk: Sdk, second: Callable[[Any, Stand, list[Exception]], Any]) -> None:
    with stands(beside, OPENAI, sdk, TIMES_OUT) as (first, other):
        shared: list[Exception] = []
        with failover_run("chat", chain=[first.candidate, other.candidate]) as run:
            try:
                with run.attempt(first.candidate):
                    ask(first)
            except Exception as problem:
                shared.append(problem)
            with contextlib.suppress(Exception):
                second(run, other, shared)


@pytest.mark.parametrize("sdk", SDKS)
def test_a_client_that_raises_somebody_elses_error(beside: Beside, sdk: Sdk) -> None:
    """The SDK's own call fails by a timeout; what leaves it, and stands on the neighbour's span, is the first one's."""
    beside.needs(sdk.name)

    def second(run: Any, other: Stand, shared: list[Exception]) -> None:
        last_error(other.client, shared)
        with run.attempt(other.candidate):
            ask(other)

    flagged = beside.dishonest(lambda: _loop(beside, sdk, second))
    assert any(span.name.startswith("candidate") for span in flagged)
    if sdk.name == "google_genai" and beside.family != TRANSPORTS:
        # Told before the call is over, so that nothing is certain yet; what HTTP's own spans tell has come by then.
        told = {span.verdict for span in beside.others if span["candidate.index"] == 1 and span.status == "ERROR"}
        assert told == {("unverified", INCOMPLETE)}
    elif (beside.family, sdk.name) not in INSIDE and beside.family != TRANSPORTS:
        assert theirs(flagged), [span.name for span in beside.spans]


INCOMPLETE = "evidence_incomplete"
INSIDE = {(OPENINFERENCE, "openai"), (LOGFIRE, "openai"), (LOGFIRE, "anthropic"), (NATIVE, "anthropic")}
"""Whose span is inside the client's door, so that it tells of the timeout, truly."""


@pytest.mark.parametrize("sdk", SDKS)
def test_a_span_of_the_familys_own_helper(beside: Beside, sdk: Sdk) -> None:
    """The application tells of a candidate by the helper that the family gives it, with the first one's error."""
    beside.needs(sdk.name)

    def second(run: Any, other: Stand, shared: list[Exception]) -> None:
        with run.attempt(other.candidate), own_span(beside, "ask the second"):
            try:
                ask(other)
            except Exception:  # noqa: BLE001 - the loop goes on
                raise SharedError(str(shared[-1])) from None

    flagged = beside.dishonest(lambda: _loop(beside, sdk, second))
    (span,) = theirs(flagged)
    assert span.name.endswith("ask the second")


class TestGenaiHelper:
    """`handler.inference` makes one span of calls that are nested in it, and merges what they said into that one."""

    @pytest.fixture
    def inference(self, beside: Beside) -> Callable[..., Any]:
        """The helper's inference, where calls inside it are merged."""
        if beside.family != GENAI:
            pytest.skip("the helper comes with opentelemetry-instrumentation-genai-*")
        from opentelemetry.util.genai import _inference_invocation as merging
        from opentelemetry.util.genai.handler import TelemetryHandler

        if not hasattr(merging, "SuppressedInferenceInvocation"):
            pytest.skip("opentelemetry-util-genai merges since 1.3b0")
        made: Callable[..., Any] = TelemetryHandler(tracer_provider=beside.provider).inference
        return made

    @staticmethod
    def fails_midway(run: Any, first: Stand) -> None:
        """Ask the first candidate for a stream, which breaks off when its id is known."""
        with contextlib.suppress(Exception), run.attempt(first.candidate):
            for _ in first.sdk.streams["chat"](first.client, first.candidate.model):
                pass

    @staticmethod
    def served_by_hand(run: Any, other: Stand) -> str:
        """Ask the second candidate by the application's own client, which the helper knows nothing of."""
        body = {"model": other.candidate.model, "messages": MESSAGES, "max_tokens": 16}
        with run.attempt(other.candidate), httpx.Client() as client:
            answer: str = client.post(f"{other.candidate.endpoint}/v1/messages", json=body).json()["id"]
        return answer

    def test_the_winners_span_has_the_losers_response_id(self, beside: Beside, inference: Any) -> None:
        """An inference around the run is named after who served; its response id is of the stream that failed."""
        scene = Scene((Answer.stream(["Hel", "lo "], then="error"),))

        def work() -> None:
            with stands(beside, OPENAI, ANTHROPIC, scene) as (first, other):
                chain = [first.candidate, other.candidate]
                with inference("anthropic", request_model=other.candidate.model):
                    with failover_run("chat", chain=chain) as run:
                        self.fails_midway(run, first)
                        self.served_by_hand(run, other)

        (span,) = beside.dishonest(work)
        assert span["gen_ai.provider.name"] == "anthropic"
        assert span["gen_ai.response.id"].startswith("chatcmpl-")
        assert span.verdict == ("mismatch", "foreign_response")
        assert (span["failover.attribution.source.provider"], span["failover.attribution.source.index"]) == (
            "openai",
            0,
        )

    def test_the_same_inside_the_run(self, beside: Beside, inference: Any) -> None:
        """The inference is begun in the run, around its attempts."""
        scene = Scene((Answer.stream(["Hel", "lo "], then="error"),))

        def work() -> None:
            with stands(beside, OPENAI, ANTHROPIC, scene) as (first, other):
                with failover_run("chat", chain=[first.candidate, other.candidate]) as run:
                    with inference("anthropic", request_model=other.candidate.model):
                        self.fails_midway(run, first)
                        self.served_by_hand(run, other)

        (span,) = beside.dishonest(work)
        assert span.verdict == ("mismatch", "foreign_response")

    def test_an_inference_that_is_not_over_swallows_no_other_candidate(self, beside: Beside, inference: Any) -> None:
        """One that was begun in the first attempt is not current in the second: each call has its own span."""
        scene = Scene((Answer.hang(),), timeout=0.3)

        def work() -> None:
            with stands(beside, ANTHROPIC, OPENAI, scene) as (first, other):
                with failover_run("chat", chain=[first.candidate, other.candidate]) as run, ExitStack() as late:
                    with contextlib.suppress(Exception), run.attempt(first.candidate):
                        late.enter_context(inference("anthropic", request_model=first.candidate.model))
                        ask(first)
                    with run.attempt(other.candidate):
                        ask(other)

        beside.honest(work, same=False)
        told = {span["gen_ai.provider.name"]: span["gen_ai.response.id"] for span in beside.others}
        assert told["anthropic"] is None
        assert told["openai"].startswith("chatcmpl-")

    def test_what_is_merged_truly_is_not_flagged(self, beside: Beside, inference: Any) -> None:
        """The response id is the winner's: named after who was asked for first, after who served, after nobody."""
        beside.needs("anthropic")  # else nobody merges what it says
        scene = Scene((Answer.stream(["Hel", "lo "], then="error"),))

        def work(index: int | None) -> None:
            with stands(beside, OPENAI, ANTHROPIC, scene) as (first, other):
                chain = [first.candidate, other.candidate]
                named = chain[index] if index is not None else None
                model = named.model if named is not None else None
                with inference(named.provider if named is not None else "fallback", request_model=model):
                    with failover_run("chat", chain=chain) as run:
                        self.fails_midway(run, first)
                        with run.attempt(other.candidate):
                            ask(other)

        for index in (0, 1, None):
            beside.honest(lambda index=index: work(index), same=False)  # type: ignore[misc]
