"""Every Python block of the documents runs as it stands, with the real SDKs against local providers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest
import wrapt

import otel_failover
from otel_failover import Candidate, FailoverInstrumentor
from otel_failover.testing.providers import Answer
from tests.docs import package
from tests.docs.acme import router
from tests.docs.incident import played
from tests.docs.pages import PAGES, README, ROOT, Page, page
from tests.support.hosts import stand
from tests.support.process import in_a_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

RUN_HERE: Final[dict[str, list[str]]] = {
    "README.md": ["answer", "answer_by_hand"],
    "docs/quickstart.md": ["answer"],
    "docs/loops/by-hand.md": ["answer_by_hand", "stream_by_hand", "answer_or_nothing"],
    "docs/summary.md": ["problem_of"],
    "docs/testing.md": [
        "test_the_loop_goes_on_after_a_quota_error",
        "test_a_stream_that_breaks_off_is_in_the_log",
        "test_a_refused_run_is_told_as_it_was",
    ],
    "docs/operations.md": [],
    "docs/contributing/add-a-provider.md": [],
    "docs/contributing/add-a-loop.md": ["candidate_of", "run_of", "attempt_of"],
}
"""Pages whose blocks run in the order in which they stand, with what these define; all of it is used below."""
APART: Final = {"docs/loops/configured.md", "docs/reference/settings.md"}
"""Pages whose blocks call `instrument()` with settings of their own."""
ELSEWHERE: Final = {"docs/try-your-loop.md"}
"""Pages whose blocks are run by a file of their own: `test_scenarios`."""


def test_no_block_of_code_is_left_out() -> None:
    assert {name for name, each in PAGES.items() if each.blocks("python")} == set(RUN_HERE) | APART | ELSEWHERE
    for name, defined in RUN_HERE.items():
        assert re.findall(r"^(?:async )?def (\w+)", "".join(PAGES[name].blocks("python")), re.MULTILINE) == defined


def run(document: Page, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run all blocks of a page, in the order in which they stand."""
    for block in document.blocks("python"):
        exec(compile(block, document.name, "exec"), namespace)
    return namespace


def text_of(reply: Any) -> str:
    anthropics = isinstance(reply, anthropic.types.Message)
    content: Any = reply.content[0].text if anthropics else reply.choices[0].message.content
    return str(content)


@pytest.fixture
def namespace(telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """What the blocks take for granted: two clients, and an application's own helpers."""
    with ExitStack() as stack:
        first = stack.enter_context(stand("openai", Answer.openai_quota()))
        second = stack.enter_context(stand("anthropic", Answer.ok("served")))
        stands = {"openai": first, "anthropic": second}

        async def ask_async(candidate: Candidate, prompt: str) -> str:
            return text_of(await stands[candidate.provider].aask())

        def chunks_of(candidate: Candidate, prompt: str) -> list[str]:
            return text_of(stands[candidate.provider].ask()).split()

        def my_loop(client: Any) -> str:
            for _ in range(2):
                try:
                    return text_of(
                        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
                    )
                except openai.RateLimitError:
                    continue
            return "nobody"

        yield {
            "__name__": "documents",
            "openai_client": first.client,
            "anthropic_client": second.client,
            "ask": lambda candidate, prompt: text_of(stands[candidate.provider].ask()),
            "ask_async": ask_async,
            "chunks_of": chunks_of,
            "my_loop": my_loop,
            "out_of_time": lambda: False,
            "is_cooling": lambda candidate: candidate.profile == "team-b",
        }


# --- loops ------------------------------------------------------------------------------------------------------------

CHAIN: Final = [Candidate("openai", "gpt-5.5"), Candidate("anthropic", "claude-opus-4-7")]
USES: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("README.md", "answer"): lambda answer: text_of(answer("Hello?")),
    ("README.md", "answer_by_hand"): lambda answer: answer("Hello?", CHAIN),
    ("docs/quickstart.md", "answer"): lambda answer: answer("Hello?"),
    ("docs/loops/by-hand.md", "answer_by_hand"): lambda answer: answer("Hello?"),
    ("docs/loops/by-hand.md", "stream_by_hand"): lambda answer: " ".join(answer("Hello?")),
    ("docs/loops/by-hand.md", "answer_or_nothing"): lambda answer: asyncio.run(answer("Hello?")),
}


@pytest.mark.parametrize(("name", "function"), USES)
def test_a_loop_of_the_documents_is_served_by_its_second_candidate(
    telemetry: Telemetry, namespace: dict[str, Any], name: str, function: str
) -> None:
    defined = run(PAGES[name], namespace)[function]
    telemetry.clear()
    assert USES[name, function](defined) == "served"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert telemetry.run["failover.chain"][0] == "openai/gpt-5.5"
    assert telemetry.run["candidate.provider"] == "anthropic"
    assert {span.verdict for span in telemetry.candidates} == {("verified", None)}


def test_the_application_without_a_key_prints_the_status(
    namespace: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(page("quickstart"), namespace)
    assert capsys.readouterr().out == "429\n"


def test_a_loop_by_hand_skips_stops_and_reports_each_candidates_own_error(
    telemetry: Telemetry, namespace: dict[str, Any]
) -> None:
    documented = run(page("loops/by-hand"), namespace)
    documented["answer_by_hand"]("Hello?")
    (skipped,) = telemetry.starting("skip ")
    assert skipped["failover.skip.reason"] == "cooldown"
    telemetry.clear()
    times = iter([False, True])
    documented["out_of_time"] = lambda: next(times)
    with pytest.raises(RuntimeError, match=r"^openai: You exceeded your current quota"):
        documented["answer_by_hand"]("Hello?")
    assert telemetry.run["failover.stop.reason"] == "deadline"


def test_the_loop_of_the_readme_reports_each_candidates_own_error(namespace: dict[str, Any]) -> None:
    documented = run(README, namespace)
    with pytest.raises(RuntimeError, match=r"^openai: You exceeded your current quota"):
        documented["answer_by_hand"]("Hello?", CHAIN[:1])


def test_a_decorator_needs_no_parentheses(telemetry: Telemetry, namespace: dict[str, Any]) -> None:
    code = page("loops/by-hand").blocks("python")[-1].replace('@failover_run("chat", chain=CHAIN)', "@failover_run")
    exec(code, run(page("loops/by-hand"), namespace))
    telemetry.clear()
    assert asyncio.run(namespace["answer_or_nothing"]("Hello?")) == "served"
    assert telemetry.run["failover.outcome"] == "fallback"


# --- the annotated trace ----------------------------------------------------------------------------------------------


def _without_times(text: object) -> str:
    return re.sub(r"\d+\.\d+ s", "* s", str(text))


def test_the_annotated_trace_is_what_the_incident_looks_like(telemetry: Telemetry) -> None:
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.hang(), timeout=0.1) as second:
        played(first, second)
    (trace,) = [block for block in README.blocks("text") if block.startswith("failover ")]
    spans: dict[str, Exported] = {}
    current: Exported | None = None
    for line in trace.splitlines():
        head = re.match(r"[│├└─ ]*((?:failover|candidate)(?:\.[\w.]+| \w+))  +(\w+)  ", line)
        if head is not None:
            (current,) = telemetry.named(head[1])
            spans[head[1]] = current
            assert current.status == head[2]
        for quoted in re.findall(r'"(.+)"', line):
            assert current is not None
            assert current.description == quoted
        for key, value in re.findall(r"([\w.]+) = ([^,]+)", line):
            assert current is not None
            assert _without_times(current[key]) == _without_times(value), key
    ours = [span for span in telemetry.spans if span.name.startswith(("failover", "candidate"))]
    assert sorted(span.name for span in ours) == sorted(spans)
    parents = {name: span.parent_id for name, span in spans.items()}
    assert parents["candidate openai"] == parents["candidate anthropic"] == spans["failover chat"].span_id
    assert parents["failover.attribution.mismatch"] == spans["candidate anthropic"].span_id


# --- the other pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "test"),
    [(name, each) for name, defined in RUN_HERE.items() for each in defined if each.startswith("test_")],
)
def test_a_test_of_the_documents_passes(namespace: dict[str, Any], name: str, test: str) -> None:
    found = run(PAGES[name], namespace)[test]
    otel_failover.FailoverInstrumentor().uninstrument()  # what captures runs turns it on
    found()


def test_a_problem_tells_which_model_failed_and_why(namespace: dict[str, Any]) -> None:
    documented = run(page("summary"), namespace)
    with stand("openai", Answer.openai_quota()) as only, pytest.raises(openai.RateLimitError) as caught:
        with otel_failover.failover_run("chat", chain=[only.candidate]) as opened, opened.attempt(only.candidate):
            only.ask()
    problem = documented["problem_of"](caught.value)
    assert problem["candidates"][0]["title"] == "quota/rate limit exhausted"
    assert "You exceeded" not in json.dumps(problem)
    assert set(problem["candidates"][0]) <= set(documented["schema"]["$defs"]["candidate"]["properties"])


def test_another_tracer_provider_is_checked_too(telemetry: Telemetry, namespace: dict[str, Any]) -> None:
    """A span of it that lies about a candidate is flagged."""
    provider = run(page("operations"), namespace)["another_provider"]
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.hang(), timeout=0.1) as second:
        with otel_failover.failover_run("chat", chain=[first.candidate, second.candidate]) as made:
            with pytest.raises(openai.RateLimitError) as stale, made.attempt(first.candidate):
                first.ask()
            with made.attempt(second.candidate):
                with provider.get_tracer("app").start_as_current_span("work") as span:
                    with pytest.raises(anthropic.APITimeoutError):
                        second.ask()
                    span.set_attribute("error.message", str(stale.value))
    provider.shutdown()
    (marker,) = telemetry.markers
    assert marker.parent_id == f"{span.get_span_context().span_id:016x}"


@pytest.mark.parametrize("name", sorted(APART))
def test_settings_in_code_are_taken_as_they_stand(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("acme", "acme.router"):
        monkeypatch.setitem(sys.modules, module, sys.modules[f"tests.docs.{module}"])
    try:
        run(PAGES[name], {})
        told = [record.getMessage() for record in caplog.records if record.name == "otel_failover"]
        assert not [line for line in told if "not usable" in line or "no setting" in line or "waits for" in line]
        found = package.in_force()
        assert (
            found.loops
            if "configured" in name
            else (found.error_text, found.gateways)
            == (
                "none",
                ["llm.internal.example"],
            )
        )
    finally:
        FailoverInstrumentor().uninstrument()


def test_a_loop_that_is_configured_as_it_stands_is_a_run() -> None:
    printed = in_a_process(
        """
        import sys
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from tests.docs.pages import ROOT, page
        from tests.support.hosts import stand

        sys.path.insert(0, str(ROOT / "tests" / "docs"))
        from acme import router

        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        (block,) = page("loops/configured").blocks("python")
        exec(block)
        with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.ok("served")) as second:
            vendors = [router.Vendor(each.candidate.provider, each.candidate.model, each) for each in (first, second)]
            assert router.Router(vendors).route().error is None
        for span in exporter.get_finished_spans():
            facts = span.attributes
            print("SPAN", span.name, facts.get("candidate.model"), facts.get("candidate.outcome"),
                  facts.get("failover.library"), facts.get("failover.outcome"), facts.get("failover.reason.code"))
        """
    )
    assert "leads nowhere" not in printed
    assert "SPAN candidate openai gpt-5.5 error None None billing" in printed
    assert "SPAN candidate anthropic claude-opus-4-7 success None None None" in printed
    assert "SPAN failover chat claude-opus-4-7 None configured fallback None" in printed


def test_the_adapter_for_a_provider_is_a_library(namespace: dict[str, Any]) -> None:
    made = run(page("contributing/add-a-provider"), namespace)["GROQ"]
    assert (made.name, made.supported) == ("groq", ">=0.11")
    assert all(patch.why for patch in made.patches)


def test_the_adapter_for_a_loop_makes_its_runs(
    telemetry: Telemetry, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(page("contributing/add-a-loop"), namespace)["ACME"]
    for patch in made.patches:
        kind, name = patch.name.split(".")
        owner = {"acme.router": router}[patch.module]
        monkeypatch.setattr(f"{owner.__name__}.{patch.name}", getattr(getattr(owner, kind), name))
        wrapt.wrap_function_wrapper(owner, patch.name, patch.wrapper)
    with stand("openai", Answer.openai_quota()) as first, stand("anthropic", Answer.ok("served")) as second:
        vendors = [router.Vendor(each.candidate.provider, each.candidate.model, each) for each in (first, second)]
        assert router.Router(vendors).route().error is None
        assert router.Router(vendors).ask(vendors[1]).error is None  # by another door
    assert telemetry.run["failover.library"] == "acme"
    assert telemetry.run["failover.outcome"] == "fallback"
    assert [span["candidate.outcome"] for span in telemetry.candidates] == ["error", "success"]


# --- whole scripts ----------------------------------------------------------------------------------------------------

EXAMPLES: Final = {
    "three_lines.py": ["candidate openai error billing verified", "failover chat fallback", "Hello from the second."],
    "loop_by_hand.py": [
        "failed: mistral_ai: no response from mistral_ai within * s",
        "skip openai #1 skipped",
        "Hello from the fourth.",
    ],
    "streaming.py": ["candidate openai partial server_error verified", "one two three"],
}


def test_every_example_is_tested() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} - {"__init__.py"} == set(EXAMPLES)
    for path in (ROOT / "examples").glob("*/__init__.py"):
        assert (ROOT / "tests" / "examples" / f"test_{path.parent.name}.py").exists()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = "partial_delivered: openai/gpt-5.5 broke off after output had been handed on"
    assert told in done.stderr if name == "streaming.py" else done.stderr == ""
    printed = re.sub(r"within \d+\.\d s$", "within * s", done.stdout, flags=re.MULTILINE)  # as long as it really took
    for line in EXAMPLES[name]:
        assert line in printed.splitlines()


def clean_environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_", "ANTHROPIC_"))
    }
