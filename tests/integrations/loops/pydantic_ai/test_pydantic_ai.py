"""pydantic-ai's fallback loops: what became of every candidate, told by pydantic-ai's users' own programs unchanged."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.integrations.loops.pydantic_ai.candidates import candidate_of
from otel_failover.testing.providers import Answer
from tests.integrations.loops.pydantic_ai.models import (
    CONTINUES,
    HAS_CAPABILITY,
    JUDGES_ANSWERS,
    WAITS_FOR_AN_EVENT,
    Bench,
    answered,
    refuses,
    streamed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.spans import Telemetry

needs_capability = pytest.mark.skipif(not HAS_CAPABILITY, reason="ModelFallback came with pydantic-ai 2.64")
needs_handlers = pytest.mark.skipif(not JUDGES_ANSWERS, reason="response handlers came after pydantic-ai 1.0")
needs_continuation = pytest.mark.skipif(not CONTINUES, reason="this version routes no suspended responses")

TestModel.__test__ = False


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def both(first: Any, second: Any, kind: str) -> Agent[None, str]:
    """Return an agent that falls back from one model to another, in either way."""
    if kind == "model":
        return Agent(FallbackModel(first, second))
    from pydantic_ai.capabilities import ModelFallback

    return Agent(first, capabilities=[ModelFallback(second)])


ways = pytest.mark.parametrize("kind", ["model", pytest.param("capability", marks=needs_capability)])


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch."""
    assert not telemetry.markers
    return [
        (span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"])
        for span in telemetry.candidates
    ]


def verdicts(telemetry: Telemetry) -> set[str]:
    return {span.verdict[0] for span in telemetry.spans if span.verdict[0] is not None}


# --- one pass ---------------------------------------------------------------------------------------------------------


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.ok("fine")), bench.anthropic(), kind)
    assert bench.run(lambda: answered(agent)) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "pydantic_ai")
    assert run["failover.chain"] == ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]
    assert bench.asked == [[200], []]


@ways
def test_the_second_serves(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")), kind)
    assert bench.run(lambda: answered(agent)) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert (telemetry.run["failover.outcome"], telemetry.run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert first["http.response.status_code"] == 429
    assert [child["gen_ai.provider.name"] for child in telemetry.children(first)] == ["openai"]
    assert [child["candidate.provider"] for child in telemetry.children(second)] in (["anthropic"], [])
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[429], [200]]


@ways
def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    """The group is the run's report: it is no evidence and no mismatch."""
    agent = both(bench.openai(Answer.openai_model_not_found()), bench.anthropic(Answer.anthropic_rate_limit()), kind)
    problem = bench.run(lambda: answered(agent))
    assert [each.status_code for each in problem.exceptions] == [404, 429]
    assert outcomes(telemetry) == [(0, "error", "model_not_found"), (1, "error", "rate_limit")]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [404, 429]
    assert (telemetry.run.status, telemetry.run["error.type"]) == ("ERROR", "exhausted")
    assert telemetry.run.description == "2 of 2 failed: openai model_not_found, anthropic rate_limit"
    assert verdicts(telemetry) == {"verified"}


@ways
def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.hang(), timeout=0.15), kind)
    assert isinstance(bench.run(lambda: answered(agent)), Exception)
    if telemetry.candidates[1]["candidate.outcome"] == "error":
        assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "timeout")]
    assert "http.response.status_code" not in telemetry.candidates[1].attributes
    assert verdicts(telemetry) == {"verified"}


def test_an_error_that_is_not_eligible_leaves_as_it_is(telemetry: Telemetry, bench: Bench) -> None:
    """An error that `fallback_on` lacks leaves the others untried: a bypass, as far as the service's users can tell."""
    first, second = bench.openai(Answer.openai_bad_key()), bench.anthropic()
    problem = bench.ask(FallbackModel(first, second, fallback_on=lambda error: False))
    assert isinstance(problem, ModelHTTPError)
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", ["anthropic/claude-opus-4-7"])
    assert run["failover.stop.reason"] is None
    assert run["failover.findings"] == ["chain_bypassed"]
    assert outcomes(telemetry) == [(0, "error", "auth")]


def test_run_sync(telemetry: Telemetry, bench: Bench) -> None:
    chain = FallbackModel(bench.openai(Answer.openai_server_error()), bench.anthropic(Answer.ok("fine")))
    assert Agent(chain).run_sync("hello").output == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]


def test_the_model_alone_without_an_agent(telemetry: Telemetry, bench: Bench) -> None:
    chain = FallbackModel(bench.openai(Answer.reset()), bench.anthropic(Answer.ok("fine")), fallback_on=(Exception,))
    asked: list[Any] = [ModelRequest(parts=[UserPromptPart("hello")])]
    reply = bench.run(lambda: chain.request(asked, None, ModelRequestParameters()))
    assert reply.parts[0].content == "fine"
    assert outcomes(telemetry) == [(0, "error", "connection"), (1, "success", None)]


def test_every_step_of_an_agent_is_a_run(telemetry: Telemetry, bench: Bench) -> None:
    chain = FallbackModel(TestModel(custom_output_text="fine"), bench.anthropic())
    agent = Agent(chain)

    @agent.tool_plain
    def weather() -> str:
        return "rain"

    bench.run(lambda: answered(agent))
    assert [run["failover.outcome"] for run in telemetry.starting("failover ")] == ["primary", "primary"]


# --- answers that are refused -----------------------------------------------------------------------------------------


@needs_handlers
def test_an_answer_that_a_handler_refuses_is_rejected(telemetry: Telemetry, bench: Bench) -> None:
    """The provider did answer, with a 200: no error is written."""
    chain = FallbackModel(
        bench.openai(Answer.ok("bad")), bench.anthropic(Answer.ok("fine")), fallback_on=refuses("bad")
    )
    assert bench.ask(chain) == "fine"
    assert outcomes(telemetry) == [(0, "rejected", "response_rejected"), (1, "success", None)]
    assert telemetry.candidates[0].status == "UNSET"
    assert telemetry.run["failover.outcome"] == "fallback"


@needs_handlers
def test_the_last_answer_may_be_refused_too(telemetry: Telemetry, bench: Bench) -> None:
    """Refusals stand in one member at the end of the group, whoever they were; here each stands where it was."""
    first, second, third = (
        bench.openai(Answer.ok("bad")),
        bench.anthropic(Answer.anthropic_overloaded()),
        bench.openai(Answer.ok("bad"), model="gpt-5.5-mini"),
    )
    problem = bench.ask(FallbackModel(first, second, third, fallback_on=[ModelHTTPError, refuses("bad")]))
    assert [type(each).__name__ for each in problem.exceptions][-1] == "ResponseRejected"
    assert [outcome for _, outcome, _ in outcomes(telemetry)] == ["rejected", "error", "rejected"]
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert verdicts(telemetry) == {"verified"}


@needs_handlers
def test_a_handler_that_asks_a_model_of_the_chain_makes_no_attempt(telemetry: Telemetry, bench: Bench) -> None:
    """A judge's question is a call of its own, and refuses nothing by being asked."""
    judge = bench.anthropic(Answer.ok("yes"))
    chain = FallbackModel(bench.openai(Answer.ok("fine")), judge, fallback_on=refuses("bad", judge))
    assert bench.ask(chain) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    assert telemetry.run["failover.outcome"] == "primary"
    assert bench.asked == [[200], [200]]


@needs_capability
def test_the_capability_refuses_an_answer(telemetry: Telemetry, bench: Bench) -> None:
    from pydantic_ai.capabilities import ModelFallback

    given = ModelFallback(bench.anthropic(Answer.ok("fine")), fallback_on=refuses("bad"))
    assert bench.ask(bench.openai(Answer.ok("bad")), capabilities=[given]) == "fine"
    assert outcomes(telemetry) == [(0, "rejected", "response_rejected"), (1, "success", None)]


# --- places in the chain ----------------------------------------------------------------------------------------------


def test_the_same_model_twice(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(Answer.openai_server_error(), Answer.ok("fine")), bench.anthropic(Answer.reset())
    assert bench.ask(FallbackModel(first, second, first, fallback_on=(Exception,))) == "fine"
    assert [place for place, _, _ in outcomes(telemetry)] == [0, 1, 2]
    assert [span.name for span in telemetry.candidates] == [
        "candidate openai #0",
        "candidate anthropic",
        "candidate openai #2",
    ]


def test_the_same_model_in_two_chains(telemetry: Telemetry, bench: Bench) -> None:
    shared = bench.openai(Answer.openai_server_error(), Answer.openai_server_error())
    ahead = FallbackModel(shared, bench.anthropic(Answer.ok("one")))
    behind = FallbackModel(bench.anthropic(Answer.anthropic_overloaded()), shared)

    async def work() -> list[Any]:
        return [await answered(Agent(ahead)), await answered(Agent(behind))]

    bench.run(work)
    runs = {run["failover.run.id"]: run for run in telemetry.starting("failover ")}
    assert [run["failover.outcome"] for run in runs.values()] == ["fallback", "exhausted"]
    assert [place for place, _, _ in outcomes(telemetry)] == [0, 1, 0, 1]


def test_concurrent_runs_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    """Forty runs share two models; each has its own two attempts and its own error."""
    first, second = bench.openai(Answer.delayed(Answer.openai_rate_limit(), 0.01)), bench.anthropic(Answer.ok("fine"))
    agent = Agent(FallbackModel(first, second))

    async def work() -> list[Any]:
        return await asyncio.gather(*(answered(agent) for _ in range(40)))

    assert bench.run(work) == ["fine"] * 40
    for run in telemetry.starting("failover "):
        mine = telemetry.children(run)
        assert [(each["candidate.index"], each["candidate.outcome"]) for each in mine] == [(0, "error"), (1, "success")]
        assert {each["failover.wire.requests"] for each in mine} == {1}
    assert len(telemetry.starting("failover ")) == 40
    assert verdicts(telemetry) == {"verified"}


def test_wrapped_models_are_one_candidate_each(telemetry: Telemetry, bench: Bench) -> None:
    inner = bench.openai(Answer.openai_server_error(), Answer.ok("fine"))
    assert bench.ask(FallbackModel(WrapperModel(WrapperModel(inner)), inner)) == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]


class Twice(OpenAIChatModel):
    """A subclass that calls its parent's method."""

    async def request(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return await super().request(*args, **kwargs)


def test_a_subclass_that_calls_its_parent_is_one_candidate(telemetry: Telemetry, bench: Bench) -> None:
    plain = bench.openai(Answer.openai_server_error())
    inherits = Twice("gpt-5.5-mini", provider=OpenAIProvider(openai_client=plain.client))
    bench.ask(FallbackModel(plain, inherits))
    assert [place for place, _, _ in outcomes(telemetry)] == [0, 1]


def test_a_loop_inside_a_loop_is_a_child_run(telemetry: Telemetry, bench: Bench) -> None:
    inner = FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_overloaded()))
    last = bench.openai(Answer.ok("fine"), model="gpt-5.5-mini")
    assert bench.ask(FallbackModel(inner, last, fallback_on=(Exception,))) == "fine"
    (outer,) = [run for run in telemetry.starting("failover ") if run.parent_id is None]
    group, served = telemetry.children(outer)
    assert (group["candidate.outcome"], served["candidate.outcome"]) == ("error", "success")
    (child,) = [each for each in telemetry.children(group) if each.name == "failover chat"]
    assert child.description == "2 of 2 failed: openai billing, anthropic overloaded"
    assert [each["candidate.provider"] for each in telemetry.children(child)] == ["openai", "anthropic"]
    assert not telemetry.markers
    assert "mismatch" not in verdicts(telemetry)


def test_models_that_send_nothing(telemetry: Telemetry, bench: Bench) -> None:
    def broken(messages: Any, info: Any) -> ModelResponse:
        raise ModelHTTPError(503, "function", {"message": "made up here"})

    chain = FallbackModel(FunctionModel(broken), TestModel(custom_output_text="fine"))
    assert bench.ask(chain) == "fine"
    assert [(place, outcome) for place, outcome, _ in outcomes(telemetry)] == [(0, "error"), (1, "success")]
    assert telemetry.candidates[0]["failover.wire.requests"] == 0
    assert telemetry.candidates[0]["http.response.status_code"] is None
    assert telemetry.run["failover.outcome"] == "fallback"


def test_who_a_candidate_is(bench: Bench) -> None:
    """The provider is pydantic-ai's word in OpenTelemetry's spelling; a known host knows better than the SDK's name."""

    def at(url: str) -> OpenAIChatModel:
        return OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="any"))

    assert candidate_of(at("https://api.openai.com/v1")) == Candidate("openai", "m", "https://api.openai.com")
    assert candidate_of(at("https://openrouter.ai/api/v1")) == Candidate("openrouter", "m", "https://openrouter.ai")
    assert candidate_of(at("https://llm.acme.example/v1")).provider == "openai"
    assert candidate_of(bench.openai(named="grok")).provider == "x_ai"
    assert candidate_of("google-gla:gemini-2.5-flash") == Candidate("gcp.gemini", "gemini-2.5-flash")
    assert candidate_of("openai-responses:gpt-5.5") == Candidate("openai", "gpt-5.5")
    assert candidate_of("gateway/bedrock:claude").model == "claude"


def test_another_provider_behind_openais_sdk(telemetry: Telemetry, bench: Bench) -> None:
    chain = FallbackModel(bench.openai(Answer.openai_quota(), named="deepseek"), bench.openai(Answer.ok("fine")))
    assert bench.ask(chain) == "fine"
    assert [span["candidate.provider"] for span in telemetry.candidates] == ["deepseek", "openai"]
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]


# --- continuations ----------------------------------------------------------------------------------------------------


def suspended(model: Any) -> list[Any]:
    """Return a history that ends in a response which a model has not finished."""
    response: Any = ModelResponse(parts=[TextPart("half")])
    response.state = "suspended"
    response.metadata = {"__pydantic_ai__": {"fallback_model_id": model.model_id}}
    return [ModelRequest(parts=[UserPromptPart("hello")]), response]


@needs_continuation
def test_a_continuation_starts_where_it_was_left(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(), bench.anthropic(Answer.ok("rest"))
    chain = FallbackModel(first, second)
    bench.run(lambda: chain.request(suspended(second), None, ModelRequestParameters()))
    assert outcomes(telemetry) == [(1, "success", None)]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert bench.asked == [[], [200]]


@needs_continuation
def test_a_continuation_that_fails_goes_back_to_the_start(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.anthropic(Answer.anthropic_overloaded(), Answer.ok())
    chain = FallbackModel(first, second)
    bench.run(lambda: chain.request(suspended(second), None, ModelRequestParameters()))
    assert outcomes(telemetry) == [(1, "error", "overloaded"), (0, "error", "billing"), (1, "success", None)]
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 1, 2]


# --- streams ----------------------------------------------------------------------------------------------------------


@ways
def test_a_stream_falls_back(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("all is fine")), kind)
    assert "".join(bench.run(lambda: streamed(agent))) == "all is fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert verdicts(telemetry) == {"verified"}
    run, served = telemetry.run, telemetry.candidates[1]
    assert run["failover.outcome"] == "fallback"
    assert run.start <= served.start < served.end <= run.end


@ways
@pytest.mark.skipif(not WAITS_FOR_AN_EVENT, reason="older pydantic-ai hands a stream over before its first event")
def test_a_stream_that_fails_before_its_first_event_falls_back(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.stream([], then="error")), bench.anthropic(Answer.ok("fine")), kind)
    assert bench.run(lambda: streamed(agent)) == ["fine"]
    assert [reason for _, _, reason in outcomes(telemetry)] == ["server_error", None]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert verdicts(telemetry) == {"verified"}


@pytest.mark.skipif(not WAITS_FOR_AN_EVENT, reason="older pydantic-ai hands a stream over before its first event")
def test_a_stream_that_fails_before_its_first_event_had_no_output(telemetry: Telemetry, bench: Bench) -> None:
    bench.stream(FallbackModel(bench.openai(Answer.stream([], then="error")), bench.anthropic(Answer.ok("fine"))))
    assert [outcome for _, outcome, _ in outcomes(telemetry)] == ["error", "success"]


@ways
@pytest.mark.parametrize("then", ["error", "cut"])
def test_a_stream_that_fails_later_is_partial(telemetry: Telemetry, bench: Bench, kind: str, then: Any) -> None:
    """A status that pydantic-ai makes up for it is nobody's, and no other candidate is tried."""
    agent = both(bench.openai(Answer.stream(["Hel", "lo"], then=then)), bench.anthropic(), kind)
    assert isinstance(bench.run(lambda: streamed(agent)), Exception)
    ((place, outcome, _),) = outcomes(telemetry)
    assert (place, outcome) == (0, "partial")
    assert telemetry.candidates[0]["http.response.status_code"] == 200
    assert telemetry.run["failover.stop.reason"] == "it failed after output began"
    assert verdicts(telemetry) == {"verified"}


@ways
def test_a_stream_that_its_consumer_leaves_served(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.stream(20, drip=0.01)), bench.anthropic(), kind)

    async def work() -> None:
        async with agent.run_stream("hello") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                break

    bench.run(work)
    assert outcomes(telemetry) == [(0, "success", None)]
    assert telemetry.run["failover.outcome"] == "primary"


@ways
def test_the_consumers_own_error_is_not_the_candidates(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.stream(20, drip=0.01)), bench.anthropic(), kind)

    async def work() -> None:
        async with agent.run_stream("hello") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                raise KeyError("the consumer's")

    with pytest.raises(KeyError):
        bench.run(work)
    assert outcomes(telemetry) == [(0, "success", None)]
    assert telemetry.candidates[0].status == telemetry.run.status == "UNSET"
    assert telemetry.run["failover.outcome"] == "primary"


@ways
def test_a_stream_that_is_cancelled(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    """Cancelled while it waits for the next chunk: nobody's error."""
    agent = both(bench.openai(Answer.stream(["Hel"], then="hang")), bench.anthropic(), kind)

    async def work() -> None:
        begun = asyncio.Event()

        async def consume() -> None:
            async with agent.run_stream("hello") as result:
                async for _ in result.stream_text(delta=True, debounce_by=None):
                    begun.set()

        task = asyncio.create_task(consume())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    bench.run(work)
    ((_, outcome, _),) = outcomes(telemetry)
    assert outcome in ("cancelled", "success")
    assert telemetry.candidates[0].status == telemetry.run.status == "UNSET"


def test_a_streamed_model_left_at_once(telemetry: Telemetry, bench: Bench) -> None:
    """Without an agent: nothing is read, nothing failed."""
    chain = FallbackModel(bench.openai(Answer.stream(5)), bench.anthropic())
    asked: list[Any] = [ModelRequest(parts=[UserPromptPart("hello")])]

    async def work() -> None:
        async with chain.request_stream(asked, None, ModelRequestParameters()):
            pass

    bench.run(work)
    assert outcomes(telemetry) == [(0, "success", None)]


def test_a_function_that_fails_while_it_streams(telemetry: Telemetry, bench: Bench) -> None:
    """Its error comes out of the stream, so it is the candidate's, though nothing was ever sent."""

    async def words(messages: Any, info: Any) -> AsyncIterator[str]:
        yield "Hel"
        raise RuntimeError("the function's own")

    problem = bench.stream(FallbackModel(FunctionModel(stream_function=words), bench.anthropic()))
    assert isinstance(problem, RuntimeError)
    assert [(place, outcome) for place, outcome, _ in outcomes(telemetry)] == [(0, "partial")]


def test_concurrent_streams_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.anthropic(Answer.stream(["a ", "b"], drip=0.005))
    agent = Agent(FallbackModel(first, second))

    async def work() -> list[Any]:
        return await asyncio.gather(*(streamed(agent) for _ in range(15)))

    assert bench.run(work) == [["a ", "b"]] * 15
    for run in telemetry.starting("failover "):
        assert [each["candidate.outcome"] for each in telemetry.children(run)] == ["error", "success"]
    assert len(telemetry.starting("failover ")) == 15


def test_a_nested_stream(telemetry: Telemetry, bench: Bench) -> None:
    inner = FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("all fine")))
    assert "".join(bench.stream(FallbackModel(inner, bench.openai()))) == "all fine"
    assert [run["failover.outcome"] for run in telemetry.starting("failover ")] == ["primary", "fallback"]
    assert not telemetry.markers


# --- cancelled --------------------------------------------------------------------------------------------------------


@ways
def test_a_run_that_is_cancelled(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    agent = both(bench.openai(Answer.hang()), bench.anthropic(), kind)

    async def work() -> None:
        await asyncio.wait_for(agent.run("hello"), 0.2)

    with pytest.raises(asyncio.TimeoutError):
        bench.run(work)
    assert [(place, outcome) for place, outcome, _ in outcomes(telemetry)] == [(0, "cancelled")]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


@pytest.mark.skipif("request_timeout" not in ModelSettings.__annotations__, reason="deadlines came with pydantic-ai 2")
@pytest.mark.parametrize("how", ["run", "stream"])
@ways
def test_a_deadline_of_pydantic_ais_own(telemetry: Telemetry, bench: Bench, kind: str, how: str) -> None:
    """It cancels the candidate, and goes on: a timeout of each, though nobody's client had one."""
    agent = both(bench.openai(Answer.hang()), bench.anthropic(Answer.hang()), kind)
    agent.model_settings = {"request_timeout": 0.2}  # type: ignore[typeddict-unknown-key,unused-ignore]
    assert isinstance(bench.run(lambda: answered(agent) if how == "run" else streamed(agent)), Exception)
    assert [reason for _, _, reason in outcomes(telemetry)] == ["timeout", "timeout"]
    assert telemetry.run.description == "2 of 2 failed: openai timeout, anthropic timeout"


# --- lies -------------------------------------------------------------------------------------------------------------


class Liar(WrapperModel):
    """A model that raises the words of whoever failed before it."""

    words: Any = None

    async def request(self, *args: Any, **kwargs: Any) -> ModelResponse:
        try:
            return await self.wrapped.request(*args, **kwargs)
        except Exception:  # noqa: BLE001
            raise ModelHTTPError(429, self.model_name, Liar.words) from None


@ways
def test_the_words_of_the_one_before_are_a_mismatch(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    """Anthropic hangs, and its model raises what OpenAI had said."""
    first, second = bench.openai(Answer.openai_quota()), Liar(bench.anthropic(Answer.hang(), timeout=0.15))
    Liar.words = {"message": "You exceeded your current quota, please check your plan and billing details."}
    assert isinstance(bench.run(lambda: answered(both(first, second, kind))), Exception)
    assert telemetry.candidates[0].verdict == ("verified", None)
    lied = telemetry.candidates[1]
    assert lied.verdict == ("mismatch", "stale_error")
    assert lied["failover.attribution.source.provider"] == "openai"
    assert (lied["failover.reason.code"], lied["http.response.status_code"]) == ("timeout", None)
    assert "quota" not in lied.description
    assert len(telemetry.markers) == 1


@ways
def test_the_words_of_the_one_before_in_a_stream_are_a_mismatch(telemetry: Telemetry, bench: Bench, kind: str) -> None:
    """Anthropic's stream breaks off, and what comes out of it is what OpenAI had said."""
    said = "You exceeded your current quota, please check your plan and billing details."
    silent = bench.anthropic(Answer.stream([], then="cut"))

    async def lie(messages: Any, info: Any) -> AsyncIterator[str]:
        try:
            async with silent.request_stream(messages, None, ModelRequestParameters()) as response:
                async for _ in response:
                    pass
        except Exception:  # noqa: BLE001
            raise ModelHTTPError(429, "claude-opus-4-7", {"message": said}) from None
        yield ""

    first = bench.openai(Answer.openai_quota())
    bench.run(lambda: streamed(both(first, FunctionModel(stream_function=lie), kind)))
    assert [span.verdict for span in telemetry.candidates] == [("verified", None), ("mismatch", "stale_error")]


def test_a_stale_exception_raised_again_is_a_mismatch(telemetry: Telemetry, bench: Bench) -> None:
    """The very object that the first candidate raised comes out of the second."""
    kept: list[Exception] = []

    class Keeps(WrapperModel):
        async def request(self, *args: Any, **kwargs: Any) -> ModelResponse:
            try:
                return await self.wrapped.request(*args, **kwargs)
            except Exception as problem:
                kept.append(problem)
                raise kept[0] from None

    first, second = Keeps(bench.openai(Answer.openai_quota())), Keeps(bench.anthropic(Answer.anthropic_overloaded()))
    bench.ask(FallbackModel(first, second))
    assert [span.verdict for span in telemetry.candidates] == [("verified", None), ("mismatch", "stale_error")]
    assert telemetry.candidates[1]["failover.reason.code"] == "overloaded"


# --- on and off -------------------------------------------------------------------------------------------------------


def unasked(messages: Any, info: Any) -> ModelResponse:
    raise AssertionError("asked")


def test_everything_is_taken_off_again(bench: Bench) -> None:
    """What was wrapped when it was met, too."""
    owners = (OpenAIChatModel, type(bench.anthropic()), FallbackModel, FunctionModel)
    before = [(vars(owner)["request"], vars(owner)["request_stream"]) for owner in owners]
    FailoverInstrumentor().instrument()
    bench.stream(FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(), FunctionModel(unasked)))
    during = [(vars(owner)["request"], vars(owner)["request_stream"]) for owner in owners]
    FailoverInstrumentor().uninstrument()
    assert all(
        new is not old for pair, were in zip(during, before, strict=True) for new, old in zip(pair, were, strict=True)
    )
    assert [(vars(owner)["request"], vars(owner)["request_stream"]) for owner in owners] == before
    assert all(type(each).__name__ == "function" for pair in before for each in pair)


def test_nothing_is_recorded_when_switched_off(telemetry: Telemetry, bench: Bench) -> None:
    chain = FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))
    FailoverInstrumentor().uninstrument()
    assert bench.ask(chain) == "fine"
    assert not telemetry.spans


def test_a_run_of_ones_own_around_it(telemetry: Telemetry, bench: Bench) -> None:
    """An application's loop over agents: pydantic-ai's is a run inside its attempt."""
    chain = FallbackModel(bench.openai(Answer.openai_quota()), bench.anthropic(Answer.ok("fine")))

    async def work() -> Any:
        with failover_run("agents", chain=[Candidate("", "agents")]) as run, run.attempt(Candidate("", "agents")):
            return await answered(Agent(chain))

    assert bench.run(work) == "fine"
    outer, inner = telemetry.starting("failover ")
    assert (outer["failover.library"], inner["failover.library"]) == ("manual", "pydantic_ai")
    assert telemetry.children(telemetry.children(outer)[0])[0].name == "failover chat"


def test_a_model_with_a_method_of_its_own_is_left_alone(telemetry: Telemetry, bench: Bench) -> None:
    """Where a candidate's calls cannot be seen, nothing is said of the run."""
    first, second = bench.openai(Answer.openai_quota()), TestModel(custom_output_text="fine")
    second.request = second.request  # type: ignore[method-assign]
    assert bench.ask(FallbackModel(first, second)) == "fine"
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


def test_a_model_that_cannot_stream_says_so_as_before(telemetry: Telemetry, bench: Bench) -> None:
    class Whole(WrapperModel):
        pass

    from pydantic_ai.models import Model

    Whole.request_stream = Model.request_stream  # type: ignore[method-assign]
    problem = bench.stream(FallbackModel(Whole(bench.openai()), bench.anthropic(), fallback_on=(NotImplementedError,)))
    assert problem == ["Hello"]
    assert "request_stream" in vars(Model)
    assert type(vars(Model)["request_stream"]).__name__ == "function"
