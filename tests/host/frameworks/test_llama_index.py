"""LlamaIndex: loops around its models and in a query engine, and what it asks besides."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer
from tests.host.frameworks.apps import (
    OTHER,
    QUESTION,
    SETTINGS,
    check_failover,
    check_none,
    gpt_calls,
    installed,
    setting,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.host.frameworks.apps import Desk
    from tests.support.spans import Telemetry

core = installed("llama_index.core")
OpenAI = installed("llama_index.llms.openai").OpenAI
OpenAIResponses = installed("llama_index.llms.openai").OpenAIResponses
Anthropic = installed("llama_index.llms.anthropic").Anthropic
ChatMessage = installed("llama_index.core.llms").ChatMessage
THEIRS = "openinference.instrumentation.llama_index:LlamaIndexInstrumentor"


def gpt(desk: Desk, *answers: Answer, name: str = "gpt-4o", retries: int = 0) -> Any:
    options = desk.openai(*answers, max_retries=retries)
    return OpenAI(name, api_base=options.pop("base_url"), **options)


def claude(desk: Desk, *answers: Answer) -> Any:
    return Anthropic("claude-sonnet-4-5", **desk.anthropic(*answers))


NAMES = ("gpt-4o", "claude-sonnet-4-5")


def ask(model: Any, way: str) -> str:
    """Ask in one of its ways."""
    given = [ChatMessage(role="user", content=QUESTION)]
    if way == "chat":
        return str(model.chat(given).message.content)
    if way == "complete":
        return str(model.complete(QUESTION).text)
    if way == "stream":
        return str([each.message.content for each in model.stream_chat(given)][-1])
    return asyncio.run(aask(model, way))


async def aask(model: Any, way: str) -> str:
    given = [ChatMessage(role="user", content=QUESTION)]
    if way == "achat":
        return str((await model.achat(given)).message.content)
    return str([each.message.content async for each in await model.astream_chat(given)][-1])


@pytest.mark.parametrize("way", ["chat", "complete", "stream", "achat", "astream"])
@pytest.mark.parametrize("where", SETTINGS)
def test_one_model_after_another(telemetry: Telemetry, desk: Desk, where: str, way: str) -> None:
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]

    def work() -> str:
        for each in models:
            try:
                return ask(each, way)
            except Exception:  # noqa: BLE001 - as applications do, who have two SDKs' errors to catch
                continue
        raise RuntimeError("nobody answers")

    async def awork() -> str:
        for each in models:
            try:
                return await aask(each, way)
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert (asyncio.run(awork()) if way[0] == "a" else work()) == "The tide is late."
    check_failover(telemetry, *NAMES)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_query_engine_with_another_model(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Retrieval first: it asks for embeddings. The model that fails is exchanged, and the engine asked again."""
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]
    index = indexed(desk)

    def work() -> str:
        for each in models:
            try:
                return str(index.as_query_engine(llm=each).query(QUESTION))
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert work() == "The tide is late."
    check_failover(telemetry, *NAMES)


def indexed(desk: Desk, *answers: Answer) -> Any:
    embeddings = installed("llama_index.embeddings.openai").OpenAIEmbedding
    options = desk.openai(*answers)
    embedder = embeddings(api_base=options.pop("base_url"), **options)
    documents = [core.Document(text="The bells follow the tide, which is late in winter.")]
    return core.VectorStoreIndex.from_documents(documents, embed_model=embedder)


def test_missed_is_a_loop_whose_calls_begin_a_trace_each(telemetry: Telemetry, desk: Desk) -> None:
    """An instrumentation makes a span for each of its calls, and no span is around them."""
    models = [gpt(desk, Answer.openai_quota()), claude(desk, Answer.ok("The tide is late."))]
    with setting(telemetry, "its spans alone", THEIRS):
        with suppress(Exception):
            ask(models[0], "chat")
        assert ask(models[1], "chat") == "The tide is late."
    check_none(telemetry, calls=2)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SETTINGS)
def test_its_own_retries(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """By tenacity, around the SDK, whose own are switched on too."""
    model = gpt(desk, Answer.openai_server_error(), Answer.openai_server_error(), Answer.ok("late"), retries=2)
    with setting(telemetry, where, THEIRS):
        assert ask(model, "chat") == "late"
        assert ask(claude(desk, Answer.ok("x")), "chat") == "x"
    check_none(telemetry)


@pytest.mark.parametrize("where", SETTINGS)
def test_an_embedding_that_fails(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """And is asked for again: it is no question, and the answer that follows is no fallback."""
    index = indexed(desk, Answer.ok(), Answer.openai_rate_limit(), Answer.ok())
    engine = index.as_query_engine(llm=claude(desk, Answer.ok("The tide is late.")))

    def work() -> str:
        try:
            return str(engine.query(QUESTION))
        except Exception:  # noqa: BLE001 - as above
            return str(engine.query(QUESTION))

    with setting(telemetry, where, THEIRS):
        assert work() == "The tide is late."
    check_none(telemetry, calls=1)


@pytest.mark.parametrize("where", SETTINGS)
def test_a_router_whose_model_fails(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """A small model chooses the engine, and is asked another question for it; where it fails, the first engine is."""
    tools = installed("llama_index.core.tools")
    selectors = installed("llama_index.core.selectors")
    index = indexed(desk)
    helper = claude(desk, Answer.ok("The tide is late."))
    engine = index.as_query_engine(llm=helper)
    named = [
        tools.QueryEngineTool.from_defaults(engine, description=f"Useful for questions about {each}")
        for each in ("bells", "boats")
    ]
    selector = selectors.LLMSingleSelector.from_defaults(llm=gpt(desk, Answer.openai_server_error()))
    router = installed("llama_index.core.query_engine").RouterQueryEngine(selector, named, llm=helper)

    def work() -> str:
        try:
            return str(router.query(QUESTION))
        except Exception:  # noqa: BLE001 - as above
            return str(engine.query(QUESTION))

    with setting(telemetry, where, THEIRS):
        assert work() == "The tide is late."
    check_none(telemetry, calls=2)


@pytest.mark.parametrize("where", SETTINGS)
def test_an_agent_with_a_tool(telemetry: Telemetry, desk: Desk, where: str) -> None:
    """Its first step fails and is taken again by the same model; its tool asks another model another question."""
    helper = claude(desk, Answer.ok("late"))

    def tide(month: str) -> str:
        """Tell about the tide."""
        return str(helper.complete(f"{OTHER} In {month}?").text)

    model = gpt(desk, Answer.openai_rate_limit(), gpt_calls("tide", month="January"), Answer.ok("The tide is late."))
    agent_of = installed("llama_index.core.agent.workflow").FunctionAgent

    async def work() -> str:
        for _ in range(2):
            try:
                return str(await agent_of(tools=[tide], llm=model, streaming=False).run(QUESTION))
            except Exception:  # noqa: BLE001 - as above
                continue
        raise RuntimeError("nobody answers")

    with setting(telemetry, where, THEIRS):
        assert asyncio.run(work()) == "The tide is late."
    check_none(telemetry, calls=4)
