"""Who served a run of bare calls: a member of the chain, somebody outside it, somebody unseen, or nobody."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from otel_failover import failover_run, summarize
from otel_failover._core.runs import run as runs
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.support.spans import Exported, Telemetry


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Whatever else is loaded beside these tests, no module that cannot be seen is."""
    for name in runs.OUT_OF_SIGHT:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with ExitStack() as opened:
        yield opened


def two(stack: ExitStack, *answers: Answer) -> tuple[Stand, Stand]:
    first, second = answers
    return stack.enter_context(stand("openai", first)), stack.enter_context(stand("anthropic", second))


def bumped(each: Stand, **more: Any) -> Any:
    """Ask a candidate for another model than its chain declares."""
    return each.client.messages.create(model="claude-opus-4-8", messages=MESSAGES, max_tokens=16, **more)


def said(run: Exported) -> tuple[str, str, list[str] | None]:
    return run["failover.outcome"], run.status, run["failover.findings"]


SERVED = ("fallback", "UNSET", ["off_chain"])
UNSEEN = ("unseen", "UNSET", ["nothing_served"])

# --- outside the chain ------------------------------------------------------------------------------------------------


def test_a_model_outside_the_chain_serves_what_a_failed_one_was_asked(telemetry: Telemetry, stack: ExitStack) -> None:
    """The chain declares one model, the code asks the next: configuration that has drifted."""
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
        bumped(second)
    assert said(telemetry.run) == SERVED
    assert (telemetry.run["candidate.model"], telemetry.run["candidate.index"]) == ("claude-opus-4-8", -1)
    assert (telemetry.run["failover.untried"], telemetry.run["error.type"]) == (None, None)
    summary = summarize(run)
    assert (summary.outcome, summary.status) == ("fallback", None)
    assert [each.outcome for each in summary.candidates] == ["error", "success"]


def test_in_a_stream_too(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = two(stack, Answer.openai_quota(), Answer.stream(("Hel", "lo")))
    with failover_run("chat", chain=[first.candidate, second.candidate]):
        with contextlib.suppress(openai.OpenAIError):
            first.ask(stream=True)
        for _ in bumped(second, stream=True):
            pass
    assert said(telemetry.run) == SERVED


def test_before_anybody_failed_it_is_the_first_bumped(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = two(stack, Answer.ok(), Answer.ok())
    with failover_run("chat", chain=[second.candidate, first.candidate]):
        bumped(second)
    assert said(telemetry.run) == ("primary", "UNSET", ["off_chain"])


@pytest.mark.parametrize("system", ["Is this allowed?", None], ids=["another system", "another text"])
def test_another_question_serves_nobody_that_is_known(
    telemetry: Telemetry, stack: ExitStack, system: str | None
) -> None:
    """A judge of the failure, or the question in other words: that cannot be told, so neither is claimed."""
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    about: Any = {"system": system} if system else {"messages": [{"role": "user", "content": "hello, shortened"}]}
    with failover_run("chat", chain=[first.candidate, second.candidate]):
        with contextlib.suppress(openai.OpenAIError):
            first.client.chat.completions.create(
                model="gpt-5.5", messages=[{"role": "system", "content": "Be kind."}, *MESSAGES]
            )
        second.client.messages.create(**{"model": "claude-opus-4-8", "messages": MESSAGES, "max_tokens": 16, **about})
    assert said(telemetry.run) == UNSEEN
    assert telemetry.run["candidate.provider"] is None


@pytest.mark.parametrize("kind", ["moderation", "embedding", "a judge before", "it failed too", "files"])
def test_what_cannot_have_served_leaves_the_outage_an_outage(telemetry: Telemetry, stack: ExitStack, kind: str) -> None:
    """Left in peace, with a canned apology."""
    first, second = two(stack, Answer.openai_quota(), Answer.anthropic_overloaded())
    beside = stack.enter_context(
        stand("mistral_ai", Answer.openai_rate_limit() if kind == "it failed too" else Answer.ok())
    )
    asides: dict[str, Callable[[], Any]] = {
        "moderation": lambda: beside.client.moderations.create(input="hello"),
        "embedding": lambda: beside.client.embeddings.create(model="text-embedding-3-small", input="hello"),
        "files": lambda: httpx.post(f"{beside.server.base_url}/files", json={}),
        "it failed too": beside.ask,
    }
    with failover_run("chat", chain=[first.candidate, second.candidate]):
        if kind == "a judge before":
            beside.ask()
        for each in (first, second):
            with contextlib.suppress(Exception):
                each.ask()
        if kind in asides:
            with contextlib.suppress(openai.OpenAIError):
                asides[kind]()
    assert telemetry.run["failover.outcome"] == "exhausted"
    assert telemetry.run.status == "ERROR"
    assert "nothing_served" not in (telemetry.run["failover.findings"] or ())


def test_a_loop_that_declares_its_attempts_has_failed_whatever_it_returns(
    telemetry: Telemetry, stack: ExitStack
) -> None:
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with contextlib.suppress(openai.OpenAIError), run.attempt(first.candidate):
            first.ask()
        httpx.post(f"{second.server.base_url}/v1/chat", json={})
    assert said(telemetry.run) == ("stopped", "ERROR", ["chain_bypassed"])


def test_a_member_that_serves_after_all_is_the_one(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate]):
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
        bumped(second)
        second.server.program(Answer.ok())
        second.ask()
    assert said(telemetry.run) == ("fallback", "UNSET", None)
    assert telemetry.run["candidate.index"] == 1


# --- out of sight -----------------------------------------------------------------------------------------------------


def in_an_executor(ask: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()


def in_a_thread(ask: Callable[[], Any]) -> None:
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()


def by_run_in_executor(ask: Callable[[], Any]) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, ask)

    asyncio.run(main())


@pytest.mark.parametrize("way", [in_an_executor, in_a_thread, by_run_in_executor])
@pytest.mark.parametrize("mixed", [True, False], ids=["the first inline", "all of them"])
@pytest.mark.parametrize("declared", [True, False], ids=["a chain", "no chain"])
def test_a_call_without_the_context_is_unseen(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Callable[[], Any]], None], mixed: bool, declared: bool
) -> None:
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    with failover_run("chat", chain=[first.candidate, second.candidate] if declared else None) as run:
        with contextlib.suppress(openai.OpenAIError):
            first.ask() if mixed else in_an_executor(first.ask)
        way(second.ask)
    assert said(telemetry.run) == UNSEEN
    assert summarize(run).status is None
    assert "untried" not in [each.outcome for each in summarize(run).candidates]
    assert (
        telemetry.metric("failover.runs")[
            (("failover.library", "manual"), ("failover.loop.name", "chat"), ("failover.outcome", "unseen"))
        ]
        == 1
    )


@pytest.mark.parametrize("when", ["before", "failed"])
def test_a_call_outside_that_cannot_have_served_it_changes_nothing(
    telemetry: Telemetry, stack: ExitStack, when: str
) -> None:
    first, second = two(
        stack, Answer.openai_quota(), Answer.ok() if when == "before" else Answer.anthropic_overloaded()
    )
    with failover_run("chat", chain=[first.candidate]):
        if when == "before":
            in_an_executor(second.ask)
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
        if when == "failed":
            with contextlib.suppress(Exception):
                in_an_executor(second.ask)
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("exhausted", "ERROR")


def by_httpx(each: Stand) -> None:
    body = {"model": each.candidate.model, "messages": MESSAGES}
    httpx.post(f"{each.server.base_url}/chat/completions", json=body).raise_for_status()


def by_groq(each: Stand) -> None:
    groq = pytest.importorskip("groq")
    client = groq.Groq(base_url=each.server.endpoint, api_key="k", max_retries=0)
    client.chat.completions.create(model=each.candidate.model, messages=MESSAGES)


def by_another_way(each: Stand) -> None:
    """Ask by a path of nobody's dialect: it may be a question, and may be anything."""
    httpx.post(f"{each.server.endpoint}/v1/ask", json={"text": "hello"}).raise_for_status()


@pytest.mark.parametrize("way", [by_httpx, by_groq])
@pytest.mark.parametrize("declared", [True, False], ids=["a chain", "no chain"])
def test_an_sdk_without_an_adapter_serves_as_any_other(
    telemetry: Telemetry, stack: ExitStack, way: Callable[[Stand], None], declared: bool
) -> None:
    """What it sends is a call by itself, and so an attempt."""
    first, second = (stack.enter_context(stand("openai", each)) for each in (Answer.openai_quota(), Answer.ok()))
    with failover_run("chat", chain=[first.candidate, second.candidate] if declared else None):
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
        way(second)
    assert said(telemetry.run) == ("fallback", "UNSET", None)
    assert telemetry.run["candidate.index"] == 1


@pytest.mark.parametrize("declared", [True, False], ids=["a chain", "no chain"])
def test_what_is_in_nobodys_dialect_is_unseen(telemetry: Telemetry, stack: ExitStack, declared: bool) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    second = stack.enter_context(stand("openai", Answer.raw(200, "{}", content_type="application/json")))
    with failover_run("chat", chain=[first.candidate, second.candidate] if declared else None):
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
        by_another_way(second)
    assert said(telemetry.run) == UNSEEN


def test_such_a_call_keeps_no_run_alive(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.ok(), Answer.ok()))
    run = failover_run("chat", chain=[first.candidate])
    with run:
        first.ask()
        with contextlib.suppress(httpx.HTTPError):
            by_another_way(first)
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None


def test_what_such_an_sdk_was_refused_served_nobody(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = (stack.enter_context(stand("openai", Answer.openai_quota())) for _ in range(2))
    with failover_run("chat", chain=[first.candidate]):
        for ask in (first.ask, lambda: by_another_way(second)):
            with contextlib.suppress(openai.OpenAIError, httpx.HTTPError):
                ask()
    assert (telemetry.run["failover.outcome"], telemetry.run.status) == ("exhausted", "ERROR")


@pytest.mark.parametrize("name", [*runs.OUT_OF_SIGHT, "grpc"])
@pytest.mark.parametrize("asks", [True, False], ids=["one failed", "nobody asked"])
def test_a_loaded_module_whose_calls_nobody_sees_may_have_served(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, name: str, asks: bool
) -> None:
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with failover_run("chat", chain=[first.candidate]):
        with contextlib.suppress(openai.OpenAIError):
            if asks:
                first.ask()
    if name == "grpc":
        assert telemetry.run["failover.outcome"] == ("exhausted" if asks else "unasked")
    else:
        assert said(telemetry.run) == UNSEEN


def test_a_generator_that_is_closed_is_left_in_peace(telemetry: Telemetry, stack: ExitStack) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))

    def answers() -> Generator[str]:
        with failover_run("chat", chain=[first.candidate]):
            yield "cached"

    next(made := answers())
    made.close()
    assert said(telemetry.run) == ("unasked", "UNSET", ["nothing_served"])


# --- nobody asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False], ids=["a chain", "no chain"])
def test_a_run_that_asks_nobody(telemetry: Telemetry, declared: bool) -> None:
    chain = ["openai/gpt-5.5", "anthropic/claude-opus-4-7"] if declared else None
    with failover_run("chat", chain=chain):
        pass
    with contextlib.suppress(LoopError), failover_run("chat", chain=chain):
        raise LoopError("no such user")
    cached, broken = telemetry.named("failover chat")
    assert said(cached) == ("unasked", "UNSET", ["nothing_served"])
    assert said(broken) == ("stopped", "ERROR", ["local_failure"])


@pytest.mark.parametrize("ways", ["skipped", "stopped"])
def test_a_loop_that_says_so_has_failed(telemetry: Telemetry, ways: str) -> None:
    with failover_run("chat", chain=["openai/gpt-5.5"]) as run:
        if ways == "skipped":
            run.skip("openai/gpt-5.5", "cooldown")
        else:
            run.stop("deadline")
    assert telemetry.run["failover.outcome"] == ("exhausted" if ways == "skipped" else "stopped")
    assert telemetry.run.status == "ERROR"


def test_an_error_of_an_sdk_that_is_not_seen_is_no_local_failure(telemetry: Telemetry, stack: ExitStack) -> None:
    """A chain asked in nobody's dialect, or in a thread without the context, and its last error thrown out."""
    first, second = (stack.enter_context(stand("openai", Answer.openai_quota())) for _ in range(2))
    with contextlib.suppress(httpx.HTTPError), failover_run("wire", chain=[first.candidate, second.candidate]):
        by_another_way(first)
    with contextlib.suppress(openai.OpenAIError), failover_run("thread", chain=[first.candidate, second.candidate]):
        in_an_executor(second.ask)
    for name in ("wire", "thread"):
        assert said(telemetry.named(f"failover {name}")[0]) == ("stopped", "ERROR", None)


@pytest.mark.parametrize("raised", [True, False], ids=["thrown out", "returned"])
def test_a_run_around_a_failed_run_has_failed_as_that_one(telemetry: Telemetry, stack: ExitStack, raised: bool) -> None:
    first = stack.enter_context(stand("openai", Answer.openai_quota()))
    with contextlib.suppress(openai.OpenAIError), failover_run("request"):
        with contextlib.nullcontext() if raised else contextlib.suppress(openai.OpenAIError):
            with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate):
                first.ask()
    for name in ("chat", "request"):
        assert said(telemetry.named(f"failover {name}")[0]) == ("exhausted", "ERROR", None)


def test_what_became_of_a_run_does_not_change_afterwards(telemetry: Telemetry, stack: ExitStack) -> None:
    first, second = two(stack, Answer.openai_quota(), Answer.ok())
    with failover_run("chat", chain=[first.candidate]) as run:
        with contextlib.suppress(openai.OpenAIError):
            first.ask()
    second.ask()
    assert (run.outcome, summarize(run).outcome) == ("exhausted", "exhausted")


def test_the_first_of_each_loop_is_a_warning(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.core.findings.test_live import again

    again(telemetry, log_interval=0.0)
    caplog.set_level(logging.INFO, "otel_failover")
    for name in ("a", "a", "b", "a"):
        with failover_run("chat", name=name):
            pass
    told = [
        (each.levelname, each.getMessage()[:17]) for each in caplog.records if "nothing_served" in each.getMessage()
    ]
    assert told == [
        (level, f"{name}: nothing_served"[:17])
        for level, name in (("WARNING", "a"), ("INFO", "a"), ("WARNING", "b"), ("INFO", "a"))
    ]
