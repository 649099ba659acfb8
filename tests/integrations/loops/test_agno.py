"""agno's fallback models: what became of every candidate, told by agno's users' own programs unchanged."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno")

from agno.agent import Agent, _response, _run
from agno.exceptions import ModelProviderError
from agno.models.anthropic import Claude
from agno.models.fallback import FallbackConfig
from agno.models.message import Message
from agno.models.openai import OpenAIChat
from agno.models.openai.like import OpenAILike
from agno.run.agent import RunOutput

from otel_failover import Candidate, summarize
from otel_failover.integrations.loops.agno.candidates import candidate_of
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import KEYS
from tests.support.process import in_a_process
from tests.support.same import seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry


RUN: Any = _run
STREAMED: Any = _response
"""Where agents have the loops by name."""


class Bench:
    """Local providers and the models that ask them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[LocalProvider] = []

    def _server(self, kind: Any, answers: tuple[Answer, ...]) -> LocalProvider:
        server = self._stack.enter_context(LocalProvider(kind, *answers))
        self.servers.append(server)
        return server

    def openai(
        self, *answers: Answer, model: str = "gpt-5.5", retries: int = 0, timeout: float = 30, **more: Any
    ) -> OpenAIChat:
        """Return a model at a provider of its own, which speaks as OpenAI does."""
        url = self._server("openai", answers).base_url
        return OpenAIChat(
            id=model, api_key=KEYS["openai"], base_url=url, max_retries=retries, timeout=timeout, **more
        )  # fmt: skip

    def claude(self, *answers: Answer, model: str = "claude-opus-4-7", timeout: float = 30) -> Claude:
        """Return a model at a provider of its own, which speaks as Anthropic does."""
        options = {"base_url": self._server("anthropic", answers).base_url, "max_retries": 0, "timeout": timeout}
        return Claude(id=model, api_key=KEYS["anthropic"], client_params=options)

    @property
    def asked(self) -> list[list[int | None]]:
        """The statuses that each provider answered with."""
        return [[served.status for served in server.log] for server in self.servers]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def agent_of(first: Any, *others: Any, **options: Any) -> Agent:
    """Return an agent with fallback models; nothing is told to agno's makers."""
    return Agent(model=first, fallback_models=list(others) or None, telemetry=False, **options)


def asked(agent: Agent, how: str = "run") -> Any:
    """Ask an agent in one of four ways; return what it says, or the exception."""

    async def ask() -> Any:
        if how == "arun":
            return (await agent.arun("hello")).content
        streamed: Any = agent.arun("hello", stream=True)
        return "".join([event.content async for event in streamed if event.event == "RunContent"])

    try:
        if how in ("arun", "astream"):
            return asyncio.run(ask())
        if how == "run":
            return agent.run("hello").content
        events: Any = agent.run("hello", stream=True)
        return "".join(event.content for event in events if event.event == "RunContent")
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def through(how: str, model: Any, config: FallbackConfig) -> Any:
    """Ask as agents do, past what they make of an error."""

    async def all_of(events: Any) -> list[Any]:
        return [event.content async for event in events]

    given: dict[str, Any] = {"messages": [Message(role="user", content="hello")]}
    if how == "run":
        return RUN.call_model_with_fallback(model, config, **given).content
    if how == "arun":
        return asyncio.run(RUN.acall_model_with_fallback(model, config, **given)).content
    if how == "stream":
        return [event.content for event in STREAMED.call_model_stream_with_fallback(model, config, **given)]
    return asyncio.run(all_of(STREAMED.acall_model_stream_with_fallback(model, config, **given)))


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch."""
    assert not telemetry.markers
    return [
        (span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"])
        for span in telemetry.candidates
    ]


def verdicts(telemetry: Telemetry) -> set[str]:
    return {span.verdict[0] for span in telemetry.spans if span.verdict[0] is not None}


ways = pytest.mark.parametrize("how", ["run", "arun", "stream", "astream"])


# --- one pass ---------------------------------------------------------------------------------------------------------


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, how: str) -> None:
    assert asked(agent_of(bench.openai(Answer.ok("fine")), bench.claude()), how) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "agno")
    assert run["failover.chain"] == ["openai/gpt-5.5", "anthropic/claude-opus-4-7"]
    assert bench.asked == [[200], []]


@ways
def test_the_second_serves(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """OpenAI's 429 leaves agno without its cause: the own status is all that a claim can be held against."""
    assert asked(agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine"))), how) == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]
    assert (telemetry.run["failover.outcome"], telemetry.run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert (first["http.response.status_code"], first["failover.wire.requests"]) == (429, 1)
    assert [each["candidate.endpoint"] for each in (first, second)] == [server.endpoint for server in bench.servers]
    assert verdicts(telemetry) == {"verified"}
    assert bench.asked == [[429], [200]]


@ways
def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """The first one's error is raised again: the run's report, which leaves the others out."""
    first, *others = (
        bench.openai(Answer.openai_server_error()),
        bench.claude(Answer.anthropic_overloaded()),
        bench.openai(Answer.openai_model_not_found(), model="gpt-5.5-mini"),
    )
    asked(agent_of(first, *others), how)
    assert outcomes(telemetry) == [
        (0, "error", "server_error"),
        (1, "error", "overloaded"),
        (2, "error", "model_not_found"),
    ]
    assert [span["http.response.status_code"] for span in telemetry.candidates] == [500, 529, 404]
    run = telemetry.run
    assert (run.status, run["error.type"]) == ("ERROR", "exhausted")
    assert run["failover.findings"] == ["lossy_report"]
    assert verdicts(telemetry) == {"verified"}


@ways
def test_a_hang_is_a_timeout_of_its_own(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """agno makes up a status for it (502): no provider said that, and nobody else's error is it either."""
    asked(agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.hang(), timeout=0.2)), how)
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "timeout")]
    assert "http.response.status_code" not in telemetry.candidates[1].attributes
    assert telemetry.candidates[1].verdict[0] == "verified"


@ways
def test_an_error_that_is_not_eligible_leaves_the_others_untried(telemetry: Telemetry, bench: Bench, how: str) -> None:
    asked(agent_of(bench.openai(Answer.openai_bad_key()), bench.claude()), how)
    run = telemetry.run
    assert outcomes(telemetry) == [(0, "error", "auth")]
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", ["anthropic/claude-opus-4-7"])
    assert run["failover.stop.reason"] is None
    assert run["failover.findings"] == ["chain_bypassed"]


@ways
def test_the_list_for_an_error(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """What is for other errors is no bypass; a model that stands in two lists stands in the chain once."""
    shared = bench.claude(Answer.anthropic_overloaded())
    config = FallbackConfig(on_error=[bench.openai(model="gpt-5.5-mini"), shared], on_rate_limit=[shared])
    agent = Agent(model=bench.openai(Answer.openai_rate_limit()), fallback_config=config, telemetry=False)
    asked(agent, how)
    run = telemetry.run
    assert run["failover.chain"] == ["openai/gpt-5.5", "openai/gpt-5.5-mini", "anthropic/claude-opus-4-7"]
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (2, "error", "overloaded")]
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", ["openai/gpt-5.5-mini"])
    assert run["failover.stop.reason"] == "no other fallback model is for this error"
    assert "chain_bypassed" not in (run["failover.findings"] or [])


def test_retries_of_agno_and_of_the_sdk_are_one_attempt(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(*[Answer.openai_server_error()] * 4, retries=1)
    first.retries, first.delay_between_retries = 1, 0
    assert asked(agent_of(first, bench.claude(Answer.ok("fine")))) == "fine"
    assert outcomes(telemetry) == [(0, "error", "server_error"), (1, "success", None)]
    assert telemetry.candidates[0]["failover.wire.requests"] == 4


def test_a_success_after_a_retry_is_a_success(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_server_error(), Answer.ok("fine"))
    first.retries, first.delay_between_retries = 1, 0
    assert asked(agent_of(first, bench.claude())) == "fine"
    assert outcomes(telemetry) == [(0, "success", None)]


def test_one_model_twice_with_two_keys_is_two_places(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(Answer.openai_rate_limit(), Answer.openai_rate_limit(), Answer.ok("fine"))
    again = OpenAIChat(id=first.id, api_key=KEYS["gcp.gemini"], base_url=first.base_url, max_retries=0)
    assert asked(agent_of(first, again, first)) == "fine"
    assert [each[0] for each in outcomes(telemetry)] == [0, 1, 2]


def test_no_fallback_models_no_run(telemetry: Telemetry, bench: Bench) -> None:
    assert asked(agent_of(bench.openai(Answer.ok("fine")))) == "fine"
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


@ways
def test_the_final_error_leads_to_every_candidates_own(telemetry: Telemetry, bench: Bench, how: str) -> None:
    first, second = bench.openai(Answer.openai_quota()), bench.claude(Answer.anthropic_overloaded())
    with pytest.raises(ModelProviderError) as raised:
        through(how, first, FallbackConfig(on_error=[second]))
    assert [(row.provider, row.status_code, row.reason) for row in summarize(raised.value).candidates] == [
        ("openai", 429, "billing"),
        ("anthropic", 529, "overloaded"),
    ]


# --- streams, teams, tools, many at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_stream_that_fails_midway_is_partial(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """agno hands over what came, and then the next one's answer."""
    first, second = bench.openai(Answer.stream(["Hel", "lo"], then="error")), bench.claude(Answer.ok("fine"))
    assert asked(agent_of(first, second), how) == "Hellofine"
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "partial"), (1, "success")]
    assert telemetry.run["failover.findings"] == ["partial_delivered", "misbooked_success"]
    assert verdicts(telemetry) == {"verified"}


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_stream_that_is_dropped(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """Nothing stays current, and what was opened ends with the SDK's stream, which agno leaves to the collector."""
    first = bench.openai(Answer.stream(50), model="gpt-5.5")
    agent = agent_of(first, bench.claude())

    async def some() -> None:
        streamed: Any = agent.arun("hello", stream=True)
        async for event in streamed:
            if event.event == "RunContent":
                break
        await streamed.aclose()

    if how == "astream":
        asyncio.run(some())
    else:
        events: Any = agent.run("hello", stream=True)
        for event in events:
            if event.event == "RunContent":
                break
        del events
    gc.collect()
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "success")]
    assert telemetry.run["failover.outcome"] == "primary"


@ways
def test_a_team(telemetry: Telemetry, bench: Bench, how: str) -> None:
    from agno.team import Team

    first, second = bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine"))
    team = Team(members=[agent_of(bench.openai())], model=first, fallback_models=[second], telemetry=False)

    async def ask() -> Any:
        if how == "arun":
            return (await team.arun("hello")).content
        events: Any = team.arun("hello", stream=True)
        return "".join([event.content async for event in events if event.event == "TeamRunContent"])

    if how == "run":
        said = team.run("hello").content
    elif how == "stream":
        events: Any = team.run("hello", stream=True)
        said = "".join(each.content for each in events if each.event == "TeamRunContent")
    else:
        said = asyncio.run(ask())
    assert said == "fine"
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "success", None)]


def test_an_agent_asked_inside_a_candidate_is_a_run_of_its_own(telemetry: Telemetry, bench: Bench) -> None:
    """What an agent that is asked from a model's own code does is that agent's."""
    inner = agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("inner")))

    def invoke(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner.run("first")
        return OpenAIChat.invoke(self, *args, **kwargs)

    plain = bench.openai(Answer.ok("fine"))
    asking = type("Asking", (OpenAIChat,), {"invoke": invoke})(
        id="asking", api_key=KEYS["openai"], base_url=plain.base_url
    )
    assert asked(agent_of(asking, bench.claude())) == "fine"
    assert not telemetry.markers
    outer, child = telemetry.starting("failover ")
    (attempt,) = [span for span in telemetry.candidates if span.span_id == child.parent_id]
    assert (attempt["candidate.model"], attempt["candidate.outcome"]) == ("asking", "success")
    assert (outer["failover.outcome"], child["failover.outcome"]) == ("primary", "fallback")


def test_what_shrinks_a_request_is_no_candidate(telemetry: Telemetry, bench: Bench) -> None:
    """Newer agno shrinks a request that was too long, with a model perhaps, and asks the first one again."""
    loop: Any = RUN.call_model_with_fallback
    if "recover_from_overflow" not in loop.__code__.co_varnames:
        pytest.skip("this agno does not shrink requests")
    first = bench.openai(Answer.openai_context_overflow(), Answer.ok("short"), Answer.ok("fine"))
    config = FallbackConfig(on_error=[bench.claude()])

    def shrink() -> bool:
        return bool(first.response(messages=[Message(role="user", content="summarise")]).content)

    result = loop(first, config, recover_from_overflow=shrink, messages=[Message(role="user", content="hello")])
    assert result.content == "fine"
    assert outcomes(telemetry) == [(0, "error", "context_overflow"), (0, "success", None)]
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 2]


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.openai(*[Answer.delayed(Answer.openai_quota(), 0.02)] * 6)
    second = bench.claude(*[Answer.anthropic_overloaded()] * 6)

    async def all_at_once() -> None:
        agents = [agent_of(first, second) for _ in range(6)]
        await asyncio.gather(*(agent.arun("hello") for agent in agents), return_exceptions=True)

    asyncio.run(all_at_once())
    runs = telemetry.starting("failover ")
    assert len(runs) == 6
    for run in runs:
        own = [(each["candidate.index"], each["failover.reason.code"]) for each in telemetry.children(run)]
        assert own == [(0, "billing"), (1, "overloaded")]
    assert verdicts(telemetry) == {"verified"}
    assert not telemetry.markers


def test_cancelled(telemetry: Telemetry, bench: Bench) -> None:
    first, second = bench.openai(Answer.hang()), bench.claude()
    first.id = "gpt-5.5"

    async def cancelled() -> None:
        config = FallbackConfig(on_error=[second])
        loop: Any = RUN.acall_model_with_fallback
        task = asyncio.ensure_future(loop(first, config, messages=[Message(role="user", content="hello")]))
        while not bench.servers[0].log:  # noqa: ASYNC110 - the server is a thread, and sets no event
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert outcomes(telemetry) == [(0, "cancelled", "cancelled")]
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


# --- beside another instrumentation -----------------------------------------------------------------------------------


@ways
def test_openinferences_spans_are_honest(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """Its span of each model carries that model's own error, and its span of the agent the run's report."""
    openinference = pytest.importorskip("openinference.instrumentation.agno")
    openinference.AgnoInstrumentor().instrument(tracer_provider=telemetry.provider, skip_dep_check=True)
    try:
        asked(agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.anthropic_overloaded())), how)
    finally:
        openinference.AgnoInstrumentor().uninstrument()
    assert outcomes(telemetry) == [(0, "error", "billing"), (1, "error", "overloaded")]
    assert verdicts(telemetry) == {"verified"}
    theirs = [span for span in telemetry.spans if span.scope == "openinference.instrumentation.agno"]
    assert [span["candidate.provider"] for span in theirs if span["llm.provider"]] == ["openai", "anthropic"]


# --- what agno books on whom ------------------------------------------------------------------------------------------


def test_the_run_says_who_served_where_agno_books_it_on_the_first(telemetry: Telemetry, bench: Bench) -> None:
    """agno's own result names the first model as who answered; the run's span names the one that did."""
    agent = agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine")))
    result = agent.run("hello")
    assert (result.model, result.model_provider) == ("gpt-5.5", "OpenAI")
    run = telemetry.run
    assert (run["candidate.provider"], run["candidate.model"]) == ("anthropic", "claude-opus-4-7")


def test_an_agents_result_names_the_first_model_whoever_answered(bench: Bench) -> None:
    result = agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine"))).run("hello")
    assert (result.content, result.model, result.model_provider) == ("fine", "gpt-5.5", "OpenAI")


@pytest.mark.parametrize("how", ["run", "arun", "stream", "astream"])
def test_an_answer_booked_on_another_member_is_a_finding(telemetry: Telemetry, bench: Bench, how: str) -> None:
    agent = agent_of(bench.openai(Answer.openai_quota()), bench.claude(Answer.ok("fine")))
    assert asked(agent, how) == "fine"
    assert telemetry.run["failover.findings"] == ["misbooked_success"]
    told = dict(telemetry.run.events)["failover.finding.misbooked_success"]
    assert told["failover.finding.sentence"] == (
        "the loop's result says that openai/gpt-5.5 answered; it was anthropic/claude-opus-4-7"
    )


@pytest.mark.parametrize("how", ["run", "arun", "stream", "astream"])
def test_an_answer_booked_on_who_gave_it_is_none(telemetry: Telemetry, bench: Bench, how: str) -> None:
    """The first one's own answer; and one that the result cannot tell from the first one's."""
    assert asked(agent_of(bench.openai(Answer.ok("fine")), bench.claude(Answer.ok("no"))), how) == "fine"
    assert asked(agent_of(bench.openai(Answer.openai_quota()), bench.openai(Answer.ok("fine"))), how) == "fine"
    runs = telemetry.starting("failover ")
    assert [run["failover.outcome"] for run in runs] == ["primary", "fallback"]
    assert [run["failover.findings"] for run in runs] == [None, None]


def test_agents_alone_are_enough_and_may_be_imported_after_us() -> None:
    """agno imports its modules for teams and for streams only when they are used."""
    printed = in_a_process(f"""
        import os
        os.environ["AGNO_TELEMETRY"] = "false"
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        from otel_failover import FailoverInstrumentor, instrumentor
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + chr(10))))
        FailoverInstrumentor().instrument(tracer_provider=provider)
        from agno.agent import Agent
        from agno.models.openai import OpenAIChat
        with LocalProvider("openai", Answer.openai_quota(), Answer.ok("fine")) as local:
            models = [OpenAIChat(id=m, api_key="{KEYS["openai"]}", base_url=local.base_url, max_retries=0) for m in "ab"]
            agent = Agent(model=models[0], fallback_models=models[1:], telemetry=False)
            print("SAID", agent.run("hello").content)
            print("STREAMED", *[each.content for each in agent.run("hello", stream=True)])
        print("STATE", {{state.name: state.status for state in instrumentor.states()}}["agno"])
    """, timeout=60)  # fmt: skip
    assert "SAID fine" in printed
    assert "STATE patched" in printed
    assert printed.count("failover chat") == 2
    assert printed.count("candidate openai") == 3


# --- who a model is ---------------------------------------------------------------------------------------------------


def test_who_a_model_is() -> None:
    assert candidate_of(OpenAIChat(id="m")) == Candidate("openai", "m")
    assert candidate_of(Claude(id="m")) == Candidate("anthropic", "m")
    like = OpenAILike(id="m", base_url="https://api.groq.com/openai/v1")
    assert candidate_of(like) == Candidate("groq", "m", "https://api.groq.com")
    assert candidate_of(OpenAILike(id="m", base_url="http://10.0.0.1:8000/v1")).provider == ""
    assert candidate_of("openai:m") == Candidate("openai", "m")


def test_a_candidate_is_the_same_before_and_after_its_client_is_made() -> None:
    model = OpenAIChat(id="m", api_key=KEYS["openai"])
    before = candidate_of(model)
    model.get_client()
    assert candidate_of(model) == before


# --- the same with us and without -------------------------------------------------------------------------------------

PAIRS: dict[str, tuple[Answer, Answer]] = {
    "first serves": (Answer.ok("fine"), Answer.ok()),
    "second serves": (Answer.openai_quota(), Answer.ok("fine")),
    "both fail": (Answer.openai_server_error(), Answer.anthropic_rate_limit()),
    "not eligible": (Answer.openai_bad_key(), Answer.ok("fine")),
    "reset": (Answer.reset(), Answer.reset()),
}


@pytest.mark.parametrize("pair", PAIRS)
@ways
def test_the_same(switch_on: Callable[[], Any], how: str, pair: str) -> None:
    """Results, the error that is raised in the end with its causes, and every request are those without us."""

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            first, second = PAIRS[pair]
            found: Any
            try:
                found = through(how, bench.openai(first), FallbackConfig(on_error=[bench.claude(second)]))
            except ModelProviderError as problem:
                found = seen(problem)
            sent = [
                [(each.method, each.path, each.body, each.status, sorted(each.headers)) for each in server.log]
                for server in bench.servers
            ]
            return found, sent

    without = once()
    telemetry = switch_on()
    assert once() == without
    assert telemetry.starting("failover ")


def test_a_stream_that_nobody_reads_keeps_no_output_alive(telemetry: Telemetry, bench: Bench) -> None:
    config = FallbackConfig(on_error=[bench.claude(Answer.ok("fine"))])
    output = RunOutput(model="gpt-5.5", model_provider="OpenAI")
    STREAMED.call_model_stream_with_fallback(bench.openai(Answer.ok("fine")), config, messages=[], run_response=output)
    kept = weakref.ref(output)
    del output
    gc.collect()
    assert kept() is None
    assert not telemetry.spans
