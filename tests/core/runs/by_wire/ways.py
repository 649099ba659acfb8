"""Ways of asking a model without an SDK: each HTTP library, sync and async, whole and streamed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from otel_failover.testing.providers import LocalProvider

READ: Final = "read"
STOP: Final = "stop"
LEAVE: Final = "leave"
DROP: Final = "drop"

Ask = Callable[..., tuple[int, bytes]]
"""Asks `(url, body, *, act, seconds)`; returns the status and what was read."""


class Dialect(NamedTuple):
    """How one provider is asked.

    Args:
        kind: Of the local provider.
        path: Behind its endpoint.
        streamed: The same, for a stream.
        body: That asks.
    """

    kind: Any
    path: str
    streamed: str
    body: dict[str, Any]


TURNS: Final = [{"role": "user", "content": "Hello?"}]
DIALECTS: Final = {
    "chat": Dialect("openai", "/v1/chat/completions", "", {"model": "m", "messages": TURNS}),
    "responses": Dialect("openai", "/v1/responses", "", {"model": "m", "input": "Hello?"}),
    "messages": Dialect("anthropic", "/v1/messages", "", {"model": "m", "messages": TURNS, "max_tokens": 16}),
    "gemini": Dialect(
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "Hello?"}]}]},
    ),
}


def asked(provider: LocalProvider, dialect: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Return the URL and the body by which a provider is asked."""
    found = DIALECTS[dialect]
    if stream and found.streamed:
        return provider.endpoint + found.streamed, found.body
    return provider.endpoint + found.path, {**found.body, "stream": True} if stream else found.body


# --- httpx and httpx2 -------------------------------------------------------------------------------------------------


def httpx_whole(name: str) -> Ask:
    def ask(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
        http = pytest.importorskip(name)
        with http.Client(timeout=seconds) as client:
            response = client.post(url, json=body)
            return response.status_code, response.content

    return ask


def httpx_streamed(name: str) -> Ask:
    def ask(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
        http = pytest.importorskip(name)
        client = http.Client(timeout=seconds)
        if act == DROP:
            response = client.send(client.build_request("POST", url, json=body), stream=True)
            return response.status_code, next(response.iter_bytes())
        with client, client.stream("POST", url, json=body) as response:
            return response.status_code, _taken(response.iter_bytes(), act)

    return ask


def httpx_awhole(name: str) -> Ask:
    async def main(url: str, body: Any, seconds: float) -> tuple[int, bytes]:
        http = pytest.importorskip(name)
        async with http.AsyncClient(timeout=seconds) as client:
            response = await client.post(url, json=body)
            return response.status_code, response.content

    def ask(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
        return asyncio.run(main(url, body, seconds))

    return ask


def httpx_astreamed(name: str) -> Ask:
    async def main(url: str, body: Any, act: str, seconds: float) -> tuple[int, bytes]:
        http = pytest.importorskip(name)
        async with http.AsyncClient(timeout=seconds) as client, client.stream("POST", url, json=body) as response:
            return response.status_code, await _ataken(response.aiter_bytes(), act)

    def ask(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
        return asyncio.run(main(url, body, act, seconds))

    return ask


def _taken(pieces: Any, act: str) -> bytes:
    if act == LEAVE:
        return b""
    return next(pieces) if act == STOP else b"".join(pieces)


async def _ataken(pieces: Any, act: str) -> bytes:
    if act == LEAVE:
        return b""
    found = b""
    async for piece in pieces:
        found += piece
        if act == STOP:
            break
    return found


# --- aiohttp ----------------------------------------------------------------------------------------------------------


def aiohttp_whole(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    return asyncio.run(_aiohttp(url, body, seconds, lambda response: response.read()))


def aiohttp_streamed(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    return asyncio.run(_aiohttp(url, body, seconds, lambda response: _ataken(response.content.iter_any(), act)))


def aiohttp_lines(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    return asyncio.run(_aiohttp(url, body, seconds, lambda response: _ataken(response.content, act)))


async def _aiohttp(url: str, body: Any, seconds: float, take: Callable[[Any], Any]) -> tuple[int, bytes]:
    aiohttp = pytest.importorskip("aiohttp")
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body) as response:
        return response.status, await take(response)


# --- requests and urllib3 ---------------------------------------------------------------------------------------------


def requests_whole(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    response = pytest.importorskip("requests").post(url, json=body, timeout=seconds)
    return response.status_code, response.content


def requests_streamed(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    requests = pytest.importorskip("requests")
    if act == DROP:
        response = requests.post(url, json=body, timeout=seconds, stream=True)
        return response.status_code, next(response.iter_content(None))
    with requests.post(url, json=body, timeout=seconds, stream=True) as response:
        return response.status_code, _taken(response.iter_content(None), act)


def urllib3_whole(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    urllib3 = pytest.importorskip("urllib3")
    with urllib3.PoolManager(retries=False, timeout=seconds) as pool:
        response = pool.request("POST", url, body=_encoded(body), headers={"content-type": "application/json"})
        return response.status, response.data


def urllib3_streamed(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    urllib3 = pytest.importorskip("urllib3")
    pool = urllib3.PoolManager(retries=False, timeout=seconds)
    headers = {"content-type": "application/json"}
    response = pool.request("POST", url, body=_encoded(body), headers=headers, preload_content=False)
    if act == DROP:
        return response.status, next(response.stream(64))
    with contextlib.closing(response):
        return response.status, _taken(response.stream(64), act)


def urllib3_read(url: str, body: Any, *, act: str = READ, seconds: float = 30) -> tuple[int, bytes]:
    """Read it as a file."""
    urllib3 = pytest.importorskip("urllib3")
    pool = urllib3.PoolManager(retries=False, timeout=seconds)
    headers = {"content-type": "application/json"}
    response = pool.request("POST", url, body=_encoded(body), headers=headers, preload_content=False)
    with contextlib.closing(response):
        found = b"" if act == LEAVE else response.read(16)
        if act == READ:
            while piece := response.read(64):
                found += piece
        return response.status, found


def _encoded(body: Any) -> bytes:
    import json

    return json.dumps(body).encode()


WHOLE: Final[dict[str, Ask]] = {
    "httpx": httpx_whole("httpx"),
    "httpx async": httpx_awhole("httpx"),
    "httpx2": httpx_whole("httpx2"),
    "httpx2 async": httpx_awhole("httpx2"),
    "aiohttp": aiohttp_whole,
    "requests": requests_whole,
    "urllib3": urllib3_whole,
}
STREAMED: Final[dict[str, Ask]] = {
    "httpx": httpx_streamed("httpx"),
    "httpx async": httpx_astreamed("httpx"),
    "httpx2": httpx_streamed("httpx2"),
    "httpx2 async": httpx_astreamed("httpx2"),
    "aiohttp": aiohttp_streamed,
    "aiohttp lines": aiohttp_lines,
    "requests": requests_streamed,
    "urllib3": urllib3_streamed,
    "urllib3 read": urllib3_read,
}
