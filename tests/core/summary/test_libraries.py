"""Summaries of what real libraries raise, uninstrumented: from their exceptions alone, taken at their word."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pickle
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.core.summary.test_summary import DOWN, NO_MODEL, QUOTA, SILENCE, checked, lines
from tests.support.hosts import KEYS, LONG, hangs

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENAI: Any = "openai"
ANTHROPIC: Any = "anthropic"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def serve(stack: ExitStack, kind: Any, answer: Answer) -> str:
    """Return the address of a local provider."""
    return stack.enter_context(LocalProvider(kind, answer)).base_url


# --- pydantic-ai ------------------------------------------------------------------------------------------------------


def _patience(answer: Answer) -> float:
    return 0.2 if hangs(answer) else LONG


def openai_model(stack: ExitStack, model: str, answer: Answer) -> Any:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    address = serve(stack, OPENAI, answer)
    client = AsyncOpenAI(api_key=KEYS["openai"], base_url=address, max_retries=0, timeout=_patience(answer))
    return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))


def anthropic_model(stack: ExitStack, model: str, answer: Answer) -> Any:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    address = serve(stack, ANTHROPIC, answer)
    client = AsyncAnthropic(api_key=KEYS["anthropic"], base_url=address, max_retries=0, timeout=_patience(answer))
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


def failed_agent(*models: Any, **options: Any) -> BaseException:
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel

    async def run() -> None:
        try:
            await Agent(FallbackModel(*models, **options)).run("hello")
        finally:
            for client in filter(None, (getattr(each, "client", None) for each in models)):
                await client.close()

    with pytest.raises(Exception) as caught:  # noqa: PT011 - a group of the library's own
        asyncio.run(run())
    return caught.value


def test_pydantic_ais_group_tells_of_each_model(stack: ExitStack) -> None:
    """The page that said "All models from FallbackModel failed (2 sub-exceptions)"."""
    pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
    group = failed_agent(
        openai_model(stack, "gpt-5.5", Answer.openai_quota()),
        anthropic_model(stack, "claude-none", Answer.anthropic_not_found()),
    )
    found = checked(group, text=True)
    assert [(each.model_name, each.status_code, each.title) for each in found.candidates] == [
        ("gpt-5.5", 429, QUOTA),
        ("claude-none", 404, NO_MODEL),
    ]
    assert {each.text for each in found.candidates} == {None}
    if getattr(group, "attempts", ()):
        assert [each.provider for each in found.candidates] == ["openai", "anthropic"]
    try:
        pickled = pickle.loads(pickle.dumps(group))
    except TypeError:
        return  # pydantic-ai 1.0's own errors cannot be unpickled
    again = checked(pickled)
    assert [(each.model_name, each.title) for each in again.candidates] == [
        ("gpt-5.5", QUOTA),
        ("claude-none", NO_MODEL),
    ]


def test_pydantic_ais_timeouts_and_refusals_to_connect(stack: ExitStack) -> None:
    pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
    models = (
        openai_model(stack, "gpt-5.5", Answer.hang()),
        anthropic_model(stack, "claude-opus-4-7", Answer.reset()),
        anthropic_model(stack, "claude-haiku-4-5", Answer.anthropic_overloaded()),
    )
    found = checked(failed_agent(*models, fallback_on=(Exception,)))
    assert [(each.status_code, each.reason) for each in found.candidates] == [
        (None, "timeout"),
        (None, "connection"),
        (529, "overloaded"),
    ]


def test_pydantic_ais_rejected_answer_stays_in_its_place(stack: ExitStack) -> None:
    """The group puts rejections last; its attempts know better."""
    pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")

    from pydantic_ai.messages import ModelResponse

    def refuse(response: Any) -> bool:
        return bool(response.parts)

    refuse.__annotations__["response"] = ModelResponse  # how the library tells it from a handler of exceptions
    models = (
        openai_model(stack, "gpt-5.5", Answer.ok("nonsense")),
        anthropic_model(stack, "claude-none", Answer.anthropic_not_found()),
    )
    try:
        group = failed_agent(*models, fallback_on=[refuse, Exception])
    except pytest.fail.Exception:
        pytest.skip("this pydantic-ai has no response handlers")
    if not getattr(group, "attempts", ()):
        pytest.skip("this pydantic-ai lists no attempts")
    assert [(each.provider, each.outcome, each.reason) for each in checked(group).candidates] == [
        ("openai", "rejected", "response_rejected"),
        ("anthropic", "error", "model_not_found"),
    ]


def test_pydantic_ais_fallback_in_a_fallback_is_told_flat(stack: ExitStack) -> None:
    pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
    from pydantic_ai.models.fallback import FallbackModel

    inner = FallbackModel(
        openai_model(stack, "gpt-5.5", Answer.openai_quota()),
        openai_model(stack, "gpt-5.5-mini", Answer.openai_server_error()),
    )
    group = failed_agent(
        inner, anthropic_model(stack, "claude-none", Answer.anthropic_not_found()), fallback_on=(Exception,)
    )
    assert [(each.model_name, each.status_code) for each in checked(group).candidates] == [
        ("gpt-5.5", 429),
        ("gpt-5.5-mini", 500),
        ("claude-none", 404),
    ]


def test_pydantic_ais_function_model(stack: ExitStack) -> None:
    """A model that is a function of the application: its own error names no provider."""
    pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
    from pydantic_ai.exceptions import ModelHTTPError
    from pydantic_ai.models.function import FunctionModel

    def refuse(messages: Any, info: Any) -> Any:
        raise ModelHTTPError(503, "local-llama", {"error": {"message": "loading"}})

    group = failed_agent(
        FunctionModel(refuse), anthropic_model(stack, "claude-opus-4-7", Answer.anthropic_rate_limit())
    )
    first, second = checked(group).candidates
    assert (first.status_code, first.title) == (503, DOWN)
    assert (second.model_name, second.status_code, second.title) == ("claude-opus-4-7", 429, QUOTA)


# --- litellm ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = pytest.importorskip("litellm", reason="litellm is not installed")
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    logging.getLogger("LiteLLM Router").setLevel(logging.CRITICAL)
    return module


def deployment(name: str, model: str, address: str) -> dict[str, Any]:
    kind = model.partition("/")[0]
    base = address.removesuffix("/v1") if kind == "anthropic" else address
    params = {"model": model, "api_key": KEYS[kind], "api_base": base, "max_retries": 0, "timeout": 2}
    return {"model_name": name, "litellm_params": params}


def test_litellms_router_tells_of_the_first_group_only(litellm: Any, stack: ExitStack) -> None:
    """Its error is the first group's, with the others' texts added: those are not read."""
    router = litellm.Router(
        model_list=[
            deployment("primary", "openai/gpt-5.5", serve(stack, OPENAI, Answer.openai_rate_limit())),
            deployment("backup", "anthropic/claude-none", serve(stack, ANTHROPIC, Answer.anthropic_not_found())),
        ],
        fallbacks=[{"primary": ["backup"]}],
        num_retries=0,
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011 - one of litellm's
        asyncio.run(router.acompletion("primary", messages=[{"role": "user", "content": "hello"}]))
    (row,) = checked(caught.value, text=True).candidates
    assert (row.provider, row.model_name, row.status_code, row.reason) == ("openai", "gpt-5.5", 429, "rate_limit")


@pytest.mark.parametrize(
    ("model", "answer", "expected"),
    [
        ("openai/gpt-5.5", Answer.openai_context_overflow(), ("openai", "gpt-5.5", 400, "context_overflow")),
        ("anthropic/claude-none", Answer.anthropic_not_found(), ("anthropic", "claude-none", 404, "model_not_found")),
        ("openai/gpt-5.5", Answer.hang(), ("openai", "gpt-5.5", None, "timeout")),
        ("openai/gpt-5.5", Answer.openai_server_error(), ("openai", "gpt-5.5", 500, "server_error")),
    ],
)
def test_litellms_own_errors(litellm: Any, stack: ExitStack, model: str, answer: Answer, expected: Any) -> None:
    """A status that litellm makes up (408 for a timeout) is no provider's."""
    params = deployment("", model, serve(stack, model.partition("/")[0], answer))["litellm_params"]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - one of litellm's
        litellm.completion(**(params | {"timeout": 0.3}), messages=[{"role": "user", "content": "hello"}])
    (row,) = checked(caught.value).candidates
    assert (row.provider, row.model_name, row.status_code, row.reason) == expected


def test_litellms_connection_error_is_one_only_where_a_connection_failed(litellm: Any, stack: ExitStack) -> None:
    """`completion(fallbacks=)` makes up an APIConnectionError, status 500, out of Anthropic's 404."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - one of litellm's
        litellm.completion(
            "openai/gpt-5.5",
            messages=[{"role": "user", "content": "hello"}],
            api_key=KEYS["openai"],
            api_base=serve(stack, OPENAI, Answer.openai_rate_limit()),
            max_retries=0,
            fallbacks=[
                deployment("", "openai/gpt-none", serve(stack, OPENAI, Answer.error(404, "no")))["litellm_params"]
            ],
        )
    for row in checked(caught.value).candidates:
        assert (row.status_code, row.reason) == (None, "unknown")


def test_litellms_cooldown_is_a_skip(litellm: Any) -> None:
    """Nothing was asked: the 429 of newer releases is no provider's."""
    problem = importlib.import_module("litellm.types.router").RouterRateLimitError(
        model="primary", cooldown_time=5.0, enable_pre_call_checks=False, cooldown_list=[]
    )
    (row,) = checked(problem).candidates
    assert (row.outcome, row.status_code, row.reason, row.model_name) == ("skipped", None, "cooldown", "primary")


# --- langchain, haystack, Python's own --------------------------------------------------------------------------------


def test_langchains_first_error(stack: ExitStack) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")

    def model(name: str, answer: Answer) -> Any:
        address = serve(stack, OPENAI, answer)
        return langchain.ChatOpenAI(model=name, base_url=address, api_key=KEYS["openai"], max_retries=0)

    chain = model("gpt-5.5", Answer.openai_quota()).with_fallbacks([model("gpt-none", Answer.error(404, "no"))])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of the SDK
        chain.invoke("hello")
    (row,) = checked(caught.value).candidates
    assert (row.provider, row.status_code, row.reason) == (None, 429, "billing")


def test_haystacks_text_names_its_generators(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = pytest.importorskip("haystack.components.generators.chat", reason="haystack-ai is not installed")
    hello = importlib.import_module("haystack.dataclasses").ChatMessage.from_user("hello")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["openai"])
    generators = [
        chat.OpenAIChatGenerator(model=name, api_base_url=serve(stack, OPENAI, answer), max_retries=0)
        for name, answer in (("gpt-5.5", Answer.openai_quota()), ("gpt-none", Answer.error(404, "no such model")))
    ]
    with pytest.raises(RuntimeError) as caught:
        chat.FallbackChatGenerator(chat_generators=generators).run(messages=[hello])
    assert [(each.provider, each.status_code, each.reason) for each in checked(caught.value).candidates] == [
        ("openai", None, "unknown"),
        ("openai", 404, "model_not_found"),
    ]


def test_pythons_own_group(stack: ExitStack) -> None:
    group_of = __builtins__.get("ExceptionGroup") if isinstance(__builtins__, dict) else None
    if group_of is None:
        group_of = pytest.importorskip("exceptiongroup", reason="Python 3.10, without its backport").ExceptionGroup
    from tests.support.hosts import LoopError

    first = LoopError("late", "mistral", 408)
    second = LoopError("no", "openai", 404, model="gpt-none")
    found = checked(group_of("All models failed (2 sub-exceptions)", [first, group_of("inner", [second, KeyError(1)])]))
    assert lines(found) == [("mistral_ai", 408, SILENCE), ("openai", 404, NO_MODEL)]
