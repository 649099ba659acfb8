"""Every way of calling the OpenAI SDK gives what it gives without us."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai
import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.same import QUESTION, same_everywhere, shown

if TYPE_CHECKING:
    from collections.abc import Callable


def _client(provider: LocalProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.base_url, api_key="sk-local", max_retries=0, timeout=30)


def raw(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        reply = client.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
        return type(reply), reply.status_code, sorted(reply.headers), shown(reply.parse())


def raw_stream(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        reply = client.chat.completions.with_raw_response.create(model="m", messages=QUESTION, stream=True)
        stream = reply.parse()
        return type(reply), type(stream), [shown(chunk) for chunk in stream]


def streaming_response(provider: LocalProvider) -> Any:
    with (
        _client(provider) as client,
        client.chat.completions.with_streaming_response.create(model="m", messages=QUESTION) as reply,
    ):
        return type(reply), reply.is_closed, shown("".join(reply.iter_text())), reply.is_closed


def streaming_response_of_a_stream(provider: LocalProvider) -> Any:
    with (
        _client(provider) as client,
        client.chat.completions.with_streaming_response.create(model="m", messages=QUESTION, stream=True) as reply,
    ):
        return type(reply), [shown(line) for line in reply.iter_lines()]


def responses(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        return shown(client.responses.create(model="m", input="Hello?"))


def responses_stream(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        return [shown(event) for event in client.responses.create(model="m", input="Hello?", stream=True)]


def embeddings(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        return shown(client.embeddings.create(model="m", input="Hello?"))


def models(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        page = client.models.list()
        return type(page), shown(list(page))


def helper(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        chat: Any = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
        with chat(model="m", messages=QUESTION) as stream:
            events = [(type(event), event.type) for event in stream]
            return type(stream), events, shown(stream.get_final_completion())


def closed_early(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        stream = client.chat.completions.create(model="m", messages=QUESTION, stream=True)
        first = shown(next(stream))
        stream.close()
        return first, stream.response.is_closed


def entered(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        with client.chat.completions.create(model="m", messages=QUESTION, stream=True) as stream:
            found = [shown(chunk) for chunk in stream]
        return found, stream.response.is_closed, next(iter(stream), "end")


def copied_client(provider: LocalProvider) -> Any:
    with _client(provider) as client, client.with_options(timeout=20, max_retries=0) as other:
        return shown(other.chat.completions.create(model="m", messages=QUESTION))


def asynchronous_helper(provider: LocalProvider) -> Any:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
            chat: Any = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
            async with chat(model="m", messages=QUESTION) as stream:
                return [(type(event), event.type) async for event in stream]

    return asyncio.run(ask())


WAYS = [
    raw, raw_stream, streaming_response, streaming_response_of_a_stream, responses, responses_stream, embeddings,
    models, helper, closed_early, entered, copied_client, asynchronous_helper,
]  # fmt: skip


@pytest.mark.parametrize("answer", [Answer.ok("Hello there"), Answer.openai_bad_key()], ids=lambda a: a.kind)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_of_calling_gives_the_same(
    way: Callable[[LocalProvider], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    without = same_everywhere(switch_on, way, "openai", answer)
    assert ("raised" in without) == (answer.kind == "error"), without.get("raised")
