"""httpx and httpx2 give what they give without us, in every way of sending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import patience
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


def _shown(response: Any) -> Any:
    return (
        type(response),
        response.status_code,
        sorted(response.headers),
        response.is_closed,
        response.num_bytes_downloaded,
    )


def posted(http: Any, url: str, wait: float) -> Any:
    with http.Client(timeout=wait) as client:
        return _shown(client.post(url, json=ASKED))


def streamed(http: Any, url: str, wait: float) -> Any:
    with http.Client(timeout=wait) as client, client.stream("POST", url, json={**ASKED, "stream": True}) as response:
        before = response.is_stream_consumed, response.is_closed
        lines = sum(1 for _ in response.iter_lines())
        return before, lines, _shown(response)


def left_unread(http: Any, url: str, wait: float) -> Any:
    with http.Client(timeout=wait) as client:
        with client.stream("POST", url, json=ASKED) as response:
            pass
        return response.is_stream_consumed, _shown(response)


def redirected(http: Any, url: str, wait: float) -> Any:
    with http.Client(timeout=wait, follow_redirects=True) as client:
        response = client.post(url, json=ASKED)
        return len(response.history), _shown(response)


def from_a_generator(http: Any, url: str, wait: float) -> Any:
    """A body that can be read once is read by the transport only."""
    with http.Client(timeout=wait) as client:
        return _shown(client.post(url, content=iter([b'{"model": ', b'"m"}'])))


def raising(http: Any, url: str, wait: float) -> Any:
    with http.Client(timeout=wait) as client:
        return client.post(url, json=ASKED).raise_for_status().status_code


def asynchronous(http: Any, url: str, wait: float) -> Any:
    async def ask() -> Any:
        async with http.AsyncClient(timeout=wait) as client:
            return _shown(await client.post(url, json=ASKED))

    return asyncio.run(ask())


ANSWERS = {
    "success": Answer.ok(),
    "429": Answer.openai_quota(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "gone elsewhere": Answer.raw(307, "", headers={"location": "/v1/models"}),
    "cut": Answer.stream(2, then="cut"),
}
WAYS = [posted, streamed, left_unread, redirected, from_a_generator, raising, asynchronous]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_a_way_of_sending_gives_the_same(
    name: str, way: Callable[[Any, str, float], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    http = pytest.importorskip(name)

    def send(provider: LocalProvider) -> Any:
        return way(http, provider.base_url + "/chat/completions", patience(provider, 0.3))

    same_everywhere(switch_on, send, "openai", answer)
