"""google-adk's FallbackModel: what became of every candidate, told by agents unchanged."""

from __future__ import annotations

import asyncio
import gc
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.adk")
pytest.importorskip("google.adk.models._fallback_model")

from google.genai import types

from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.integrations.loops.google_adk.candidates import candidate_of
from otel_failover.testing.providers import Answer
from tests.integrations.loops.google_adk.models import Bench, agents, answered, chain, claudes, models, reached, runners

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from tests.support.spans import Telemetry

requests, tracing = (
    pytest.importorskip("google.adk.models.llm_request"),
    pytest.importorskip("google.adk.telemetry.tracing"),
)
pytestmark = pytest.mark.filterwarnings("ignore")
GEMINI, CLAUDE = "gcp.gemini/gemini-2.5-flash", "anthropic/claude-opus-4-7"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def subclass(base: Any, **members: Any) -> Any:
    return type(base)("Subclass", (base,), {"__module__": __name__, **members})


def outcomes(telemetry: Telemetry) -> list[tuple[int, str, str | None]]:
    """Return place, outcome and reason of every attempt, in order; none may be a mismatch, nor what they say of us."""
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    return [
        (span["candidate.index"], span["candidate.outcome"], span["failover.reason.code"])
        for span in telemetry.candidates
    ]


def asking() -> Any:
    return requests.LlmRequest(model="any", contents=[types.Content(role="user", parts=[types.Part(text="hello")])])


async def texts(model: Any, *, stream: bool = False) -> list[str]:
    """Return what a model answers without an agent."""
    found: list[str] = []
    async with aclosing(model.generate_content_async(asking(), stream)) as responses:
        async for response in responses:
            found += [part.text for part in response.content.parts if part.text]
    return found


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

# --- one pass ---------------------------------------------------------------------------------------------------------


@ways
def test_the_first_serves(telemetry: Telemetry, bench: Bench, stream: bool) -> None:
    said = bench.ask(chain(bench.gemini(Answer.ok("fine")), bench.anthropic()), stream=stream)
    assert "fine" in said
    assert outcomes(telemetry) == [(0, "success", None)]
    run = telemetry.run
    assert (run.status, run["failover.outcome"], run["failover.library"]) == ("UNSET", "primary", "google_adk")
    assert run["failover.chain"] == [GEMINI, CLAUDE]
    assert bench.asked == [[200], []]
    assert not telemetry.markers


@ways
def test_the_second_serves(telemetry: Telemetry, bench: Bench, stream: bool) -> None:
    said = bench.ask(chain(bench.gemini(Answer.gemini_quota()), bench.anthropic(Answer.ok("fine"))), stream=stream)
    assert "fine" in said
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]
    run = telemetry.run
    assert (run["failover.outcome"], run["candidate.provider"]) == ("fallback", "anthropic")
    first, second = telemetry.candidates
    assert first.parent_id == second.parent_id == run.span_id
    assert (first["http.response.status_code"], second["http.response.status_code"]) == (429, 200)
    assert [each["gen_ai.provider.name"] for each in telemetry.children(first)] == ["gcp.gemini"]
    assert bench.asked == [[429], [200]]
    assert not telemetry.markers


@ways
def test_all_fail_each_for_its_own_reason(telemetry: Telemetry, bench: Bench, stream: bool) -> None:
    problem = bench.ask(
        chain(bench.gemini(Answer.gemini_overloaded()), bench.anthropic(Answer.anthropic_rate_limit())), stream=stream
    )
    assert problem.status_code == 429
    assert outcomes(telemetry) == [(0, "error", "overloaded"), (1, "error", "rate_limit")]
    assert telemetry.run.description == "2 of 2 failed: gcp.gemini overloaded, anthropic rate_limit"
    assert (telemetry.run.status, telemetry.run["error.type"]) == ("ERROR", "exhausted")
    assert bench.asked == [[503], [429]]


def test_an_error_that_is_not_eligible_leaves_as_it_is(telemetry: Telemetry, bench: Bench) -> None:
    """A status outside `retriable_status_codes` leaves the others untried: a bypass."""
    problem = bench.ask(chain(bench.gemini(Answer.gemini_bad_key()), bench.anthropic()))
    assert problem.code == 400
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.untried"]) == ("stopped", [CLAUDE])
    assert (run["failover.stop.reason"], run["failover.findings"]) == (None, ["chain_bypassed"])
    assert [each[:2] for each in outcomes(telemetry)] == [(0, "error")]
    assert not telemetry.markers


def test_a_timeout_is_not_eligible(telemetry: Telemetry, bench: Bench) -> None:
    """It carries no status, so that google-adk does not go on; nothing came back, and the span says so."""
    problem = bench.ask(chain(bench.anthropic(Answer.hang(), timeout=0.15), bench.gemini()))
    assert isinstance(problem, Exception)
    assert outcomes(telemetry) == [(0, "error", "timeout")]
    assert "http.response.status_code" not in telemetry.candidates[0].attributes
    assert telemetry.run["failover.untried"] == [GEMINI]


def test_the_retries_inside_an_sdk_are_counted(telemetry: Telemetry, bench: Bench) -> None:
    quota = Answer.gemini_quota()
    said = bench.ask(chain(bench.gemini(quota, quota, retries=1), bench.anthropic(Answer.ok("fine"))))
    assert said == ["fine"]
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]
    first = telemetry.candidates[0]
    assert (first["failover.wire.requests"], first["failover.wire.statuses"]) == (2, ["429", "429"])
    assert not telemetry.markers


def test_one_model_twice_is_told_by_its_place(telemetry: Telemetry, bench: Bench) -> None:
    first = bench.gemini(Answer.gemini_quota(), Answer.ok("fine"))
    assert bench.ask(chain(first, first)) == ["fine"]
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]
    assert [span.name for span in telemetry.candidates] == ["candidate gcp.gemini #0", "candidate gcp.gemini #1"]


def test_entries_that_are_names(telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """google-adk makes a model of a name when it first tries it: place and class are known all the same."""
    first, second = bench.gemini(Answer.gemini_overloaded()), bench.anthropic(Answer.ok("fine"))
    made = {"gemini-2.5-flash": first, "claude-opus-4-7": second}
    monkeypatch.setattr(models.LLMRegistry, "new_llm", staticmethod(lambda name: made[name]))
    assert bench.ask(chain("gemini-2.5-flash", "claude-opus-4-7")) == ["fine"]
    assert [span["candidate.index"] for span in telemetry.candidates] == [0, 1]
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "success"]
    assert telemetry.run["failover.chain"] == [GEMINI, "gcp.vertex_ai/claude-opus-4-7"]


def test_a_chain_in_a_chain_is_a_run_of_its_own(telemetry: Telemetry, bench: Bench) -> None:
    inner = chain(bench.gemini(Answer.gemini_quota()), bench.gemini(Answer.gemini_overloaded(), model="gemini-2.5-pro"))
    assert bench.ask(chain(inner, bench.anthropic(Answer.ok("fine")))) == ["fine"]
    outer, nested = telemetry.starting("failover chat")
    assert (outer["failover.outcome"], nested["failover.outcome"]) == ("fallback", "exhausted")
    around = next(span for span in telemetry.candidates if span.span_id == nested.parent_id)
    assert (around["candidate.provider"], around["candidate.outcome"]) == ("fallback", "error")
    assert len(telemetry.candidates) == 4
    assert not [span for span in telemetry.candidates if span.verdict[0] == "mismatch"]


def test_a_subclass_that_calls_super_is_one_attempt(telemetry: Telemetry, bench: Bench) -> None:
    async def relayed(self: Any, llm_request: Any, stream: bool = False) -> AsyncGenerator[Any, None]:
        async with aclosing(claudes.AnthropicLlm.generate_content_async(self, llm_request, stream)) as responses:
            async for response in responses:
                yield response

    polite = subclass(claudes.AnthropicLlm, generate_content_async=relayed)

    plain = bench.anthropic(Answer.ok("fine"))
    assert bench.ask(chain(polite(model=plain.model, client=plain.client), bench.gemini())) == ["fine"]
    assert outcomes(telemetry) == [(0, "success", None)]
    assert telemetry.candidates[0]["candidate.provider"] == "anthropic"


def test_run_sync(telemetry: Telemetry, bench: Bench) -> None:
    model = chain(bench.gemini(Answer.gemini_overloaded()), bench.anthropic(Answer.ok("fine")))
    runner = runners.InMemoryRunner(agent=agents.LlmAgent(name="asker", model=model), app_name="asking")
    session = asyncio.run(runner.session_service.create_session(app_name="asking", user_id="somebody"))
    events = runner.run(
        user_id="somebody",
        session_id=session.id,
        new_message=types.Content(role="user", parts=[types.Part(text="hello")]),
    )
    assert [event.content.parts[0].text for event in events] == ["fine"]
    assert outcomes(telemetry) == [(0, "error", "overloaded"), (1, "success", None)]


def test_a_model_alone_is_no_run(telemetry: Telemetry, bench: Bench) -> None:
    """Classes stay wrapped once they were met in a chain; outside one they make nothing."""
    assert bench.ask(chain(bench.gemini(Answer.ok("fine")))) == ["fine"]
    telemetry.clear()
    bench.ask(bench.gemini(Answer.ok("fine")))
    assert not telemetry.starting("failover ")
    assert not telemetry.candidates


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_that_fails_midway_is_partial(telemetry: Telemetry, bench: Bench) -> None:
    """Output has begun, so google-adk does not go on: that is its purpose, and no bypass."""
    first = bench.gemini(Answer.stream(["Hel", "lo"], then="error"))
    assert isinstance(bench.ask(chain(first, bench.anthropic()), stream=True), Exception)
    assert outcomes(telemetry) == [(0, "partial", "overloaded")]
    run = telemetry.run
    assert (run["failover.outcome"], run["failover.stop.reason"]) == ("stopped", "it failed after output began")
    assert run["failover.findings"] == ["chain_stopped", "partial_delivered"]
    assert bench.asked == [[200], []]
    assert not telemetry.markers


def test_a_stream_left_early_has_served(telemetry: Telemetry, bench: Bench) -> None:
    model = chain(bench.gemini(Answer.gemini_quota()), bench.anthropic(Answer.stream(["Hel", "lo", "!"])))

    async def work() -> None:
        async with aclosing(model.generate_content_async(asking(), stream=True)) as responses:
            async for _ in responses:
                break

    bench.run(work)
    gc.collect()
    assert outcomes(telemetry) == [(0, "error", "rate_limit"), (1, "success", None)]
    assert telemetry.run["failover.outcome"] == "fallback"


def test_nothing_is_current_for_who_reads_the_stream(telemetry: Telemetry, bench: Bench) -> None:
    from opentelemetry.trace import get_current_span

    model = chain(bench.gemini(Answer.stream(["Hel", "lo"])))

    async def work() -> None:
        with telemetry.tracer.start_as_current_span("mine") as mine:
            async for _ in model.generate_content_async(asking(), stream=True):
                assert get_current_span() is mine

    bench.run(work)
    assert telemetry.run.parent_id == telemetry.named("mine")[0].span_id


# --- cancelled, concurrent --------------------------------------------------------------------------------------------


def test_cancelled_by_the_user(telemetry: Telemetry, bench: Bench) -> None:
    model = chain(bench.gemini(Answer.gemini_quota()), bench.anthropic(Answer.hang()))

    async def work() -> None:
        asked = asyncio.ensure_future(texts(model))
        await reached(bench.servers[1])
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()

    bench.run(work)
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "cancelled"]
    assert telemetry.candidates[1]["failover.killed_by"] == "user"
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("cancelled", "UNSET")


def test_runs_side_by_side_never_cross(telemetry: Telemetry, bench: Bench) -> None:
    """One shared chain, asked many times at once: every run has its own two attempts."""
    model = chain(bench.gemini(Answer.gemini_quota()), bench.anthropic(Answer.delayed(Answer.ok("fine"), 0.02)))

    async def work() -> Any:
        return await asyncio.gather(*(texts(model, stream=bool(at % 2)) for at in range(8)))

    assert all("fine" in said for said in bench.run(work))
    runs = telemetry.starting("failover chat")
    assert len(runs) == 8
    for run in runs:
        below = [span for span in telemetry.candidates if span.parent_id == run.span_id]
        assert [(span["candidate.index"], span["candidate.outcome"]) for span in below] == [
            (0, "error"),
            (1, "success"),
        ]
        assert {span["failover.wire.requests"] for span in below} == {1}
    assert not telemetry.markers


# --- what google-adk's own spans say ----------------------------------------------------------------------------------


@pytest.fixture
def native(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    """Let google-adk export its own spans beside ours."""
    monkeypatch.setattr(tracing, "tracer", telemetry.provider.get_tracer("gcp.vertex.agent"))
    return telemetry


def adks(telemetry: Telemetry) -> Any:
    """Return google-adk's own span of the model's call."""
    (found,) = [each for each in telemetry.starting("generate_content ") if each.scope == "gcp.vertex.agent"]
    return found


@ways
@pytest.mark.parametrize(
    "answer",
    [Answer.anthropic_not_found(), Answer.anthropic_rate_limit(), Answer.anthropic_credit_too_low()],
    ids=["unknown model", "rate limit", "credit"],
)
def test_the_last_ones_error_on_the_first_ones_span_is_a_report(
    native: Telemetry, bench: Bench, answer: Answer, stream: bool
) -> None:
    """google-adk names the first model on a span around the whole loop, and writes the last one's exception there."""
    assert isinstance(
        bench.ask(chain(bench.gemini(Answer.gemini_quota()), bench.anthropic(answer)), stream=stream), Exception
    )
    span = adks(native)
    assert (span.name, span["gen_ai.request.model"]) == ("generate_content gemini-2.5-flash", "gemini-2.5-flash")
    assert span.verdict == ("unverified", "report")
    assert not native.markers
    assert {each.verdict[0] for each in native.candidates} == {"verified"}


def test_the_same_between_two_models_of_one_provider(native: Telemetry, bench: Bench) -> None:
    second = bench.gemini(Answer.gemini_overloaded(), model="gemini-2.5-pro")
    bench.ask(chain(bench.gemini(Answer.gemini_quota()), second))
    assert adks(native).verdict == ("unverified", "report")
    assert not native.markers


def test_the_same_the_other_way_round(native: Telemetry, bench: Bench) -> None:
    bench.ask(chain(bench.anthropic(Answer.anthropic_rate_limit()), bench.gemini(Answer.gemini_not_found())))
    assert adks(native).verdict == ("unverified", "report")
    assert not native.markers


HONEST: Any = {
    "first serves": ((Answer.ok("fine"),), (Answer.ok("fine"),)),
    "second serves": ((Answer.gemini_quota(),), (Answer.ok("fine"),)),
    "not eligible": ((Answer.gemini_bad_key(),), (Answer.ok("fine"),)),
    "served by a retry": ((Answer.gemini_quota(), Answer.ok("fine")), (Answer.ok("fine"),)),
    "fails midway": ((Answer.stream(["Hel", "lo"], then="error"),), (Answer.ok("fine"),)),
    "cut off": ((Answer.stream(["Hel", "lo"], then="cut"),), (Answer.ok("fine"),)),
}


@ways
@pytest.mark.parametrize("case", HONEST)
def test_its_honest_spans_are_never_flagged(native: Telemetry, bench: Bench, case: str, stream: bool) -> None:
    first, second = HONEST[case]
    bench.ask(chain(bench.gemini(*first, retries=len(first) - 1), bench.anthropic(*second)), stream=stream)
    adks(native)
    assert not native.markers
    assert not [span for span in native.spans if span.verdict[0] in ("mismatch", "inconsistent")]


@ways
def test_a_model_alone_that_fails_is_never_flagged(native: Telemetry, bench: Bench, stream: bool) -> None:
    bench.ask(chain(bench.gemini(Answer.gemini_quota())), stream=stream)
    assert adks(native).status == "ERROR"
    assert not native.markers


# --- who a model is ---------------------------------------------------------------------------------------------------


def build(self: Any) -> Any:
    raise AssertionError("nothing is built to find out who is asked")


OfTheirOwn = subclass(models.Gemini, api_client=property(build))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("gemini-2.5-flash", Candidate("gcp.gemini", "gemini-2.5-flash")),
        ("projects/p/locations/l/endpoints/7", Candidate("gcp.vertex_ai", "projects/p/locations/l/endpoints/7")),
        ("claude-opus-4-7", Candidate("gcp.vertex_ai", "claude-opus-4-7")),
        ("openai/gpt-5.5", Candidate("openai", "gpt-5.5")),
        ("bedrock/anthropic.claude", Candidate("aws.bedrock", "anthropic.claude")),
        ("gemini:my-own", Candidate("gcp.gemini", "my-own")),
        ("nobody-knows", Candidate("", "nobody-knows")),
        (models.Gemini(model="gemini-x"), Candidate("gcp.gemini", "gemini-x")),
        (
            models.Gemini(model="g", base_url="http://127.0.0.1:1/v1"),
            Candidate("gcp.gemini", "g", "http://127.0.0.1:1"),
        ),
        (claudes.Claude(model="claude-x"), Candidate("gcp.vertex_ai", "claude-x")),
        (claudes.AnthropicLlm(model="claude-x"), Candidate("anthropic", "claude-x")),
        (OfTheirOwn(model="gemini-x"), Candidate("", "gemini-x")),
        (chain("gemini-x"), Candidate("fallback", "gemini-x")),
    ],
    ids=str,
)
def test_who_a_model_is(entry: Any, expected: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert candidate_of(entry) == expected


def test_vertex_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    assert candidate_of(models.Gemini(model="gemini-x")).provider == "gcp.vertex_ai"


# --- the same with us as without --------------------------------------------------------------------------------------


def shown(said: Any) -> Any:
    if not isinstance(said, BaseException):
        return said
    return type(said), str(said).partition("request_id")[0], type(said.__cause__), type(said.__context__)


@ways
@pytest.mark.parametrize("case", [*HONEST, "both fail"])
def test_results_errors_and_requests_are_the_same(case: str, stream: bool) -> None:
    first, second = HONEST.get(case, ((Answer.gemini_quota(),), (Answer.anthropic_rate_limit(),)))

    def once() -> Any:
        with ExitStack() as stack:
            bench = Bench(stack)
            said = bench.ask(
                chain(bench.gemini(*first, retries=len(first) - 1), bench.anthropic(*second)), stream=stream
            )
            return shown(said), bench.asked

    without = once()
    FailoverInstrumentor().instrument()
    try:
        assert once() == without
    finally:
        FailoverInstrumentor().uninstrument()
    assert once() == without


def test_an_answer_in_the_middle_of_being_switched_off(telemetry: Telemetry, bench: Bench) -> None:
    """A class that was met stays usable after we have gone."""
    first = bench.gemini(Answer.ok("fine"))
    assert bench.run(lambda: answered(chain(first))) == ["fine"]
    FailoverInstrumentor().uninstrument()
    assert not hasattr(models.Gemini.generate_content_async, "__wrapped__")
