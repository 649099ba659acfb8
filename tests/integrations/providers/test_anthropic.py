"""Every way of calling the Anthropic SDK gives what it gives without us."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.same import QUESTION, same_everywhere, shown

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED: Any = {"model": "m", "max_tokens": 5, "messages": QUESTION}


def _client(provider: LocalProvider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.base_url, api_key="local", max_retries=0, timeout=30)


def raw(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        reply = client.messages.with_raw_response.create(**ASKED)
        return type(reply), reply.status_code, sorted(reply.headers), shown(reply.parse())


def streaming_response(provider: LocalProvider) -> Any:
    with _client(provider) as client, client.messages.with_streaming_response.create(**ASKED) as reply:
        return type(reply), shown("".join(reply.iter_text())), reply.is_closed


def helper(provider: LocalProvider) -> Any:
    with _client(provider) as client, client.messages.stream(**ASKED) as stream:
        events = [(type(event), event.type) for event in stream]
        return type(stream), events, shown(stream.get_final_message())


def helper_text(provider: LocalProvider) -> Any:
    with _client(provider) as client, client.messages.stream(**ASKED) as stream:
        return list(stream.text_stream)


def helper_dropped(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        with client.messages.stream(**ASKED) as stream:
            first = type(next(iter(stream)))
        return first, stream.response.is_closed


def count(provider: LocalProvider) -> Any:
    with _client(provider) as client:
        return shown(client.messages.count_tokens(model="m", messages=QUESTION))


def asynchronous_helper(provider: LocalProvider) -> Any:
    async def ask() -> Any:
        async with (
            anthropic.AsyncAnthropic(base_url=provider.base_url, api_key="k", max_retries=0) as client,
            client.messages.stream(**ASKED) as stream,
        ):
            return [(type(event), event.type) async for event in stream], shown(await stream.get_final_message())

    return asyncio.run(ask())


WAYS = [raw, streaming_response, helper, helper_text, helper_dropped, count, asynchronous_helper]


@pytest.mark.parametrize("answer", [Answer.ok("Hello there"), Answer.anthropic_bad_key()], ids=lambda a: a.kind)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_of_calling_gives_the_same(
    way: Callable[[LocalProvider], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    without = same_everywhere(switch_on, way, "anthropic", answer)
    assert ("raised" in without) == (answer.kind == "error"), without.get("raised")
