"""aiohttp: what it sends is evidence like httpx's, counted once, and the host cannot tell."""

# ruff: noqa: SIM117 - how run, attempt and session are nested is what is tested
from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.integrations.transports import aiohttp as transport
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import LoopError, by_name, patience, stand, under_way
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.spans import Exported, Telemetry

aiohttp = pytest.importorskip("aiohttp")

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
KEY = "sk-proj-Zq8vL2mN4xWc7RtYbH3k"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def provider_of(stack: ExitStack, *answers: Answer, kind: Any = "openai") -> LocalProvider:
    return stack.enter_context(LocalProvider(kind, *answers))


def attempted(provider: LocalProvider, ask: Callable[[Any, str], Awaitable[Any]], **options: Any) -> Any:
    """Ask by hand inside a declared attempt; return what came, or what was raised."""
    candidate = Candidate("openai", "m", provider.endpoint)

    async def main() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
                return await ask(session, provider.base_url + "/chat/completions")

    try:
        return asyncio.run(main())
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def only(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    return span


# --- the host cannot tell ---------------------------------------------------------------------------------------------


def _shown(response: Any) -> Any:
    return type(response), response.status, sorted(response.headers), response.closed, response.method


def _asks(ask: Callable[[Any, str], Awaitable[Any]], seconds: float) -> Callable[[str], Any]:
    async def main(url: str) -> Any:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
            return await ask(session, url)

    return lambda url: asyncio.run(main(url))


async def _posted(session: Any, url: str) -> Any:
    async with session.post(url, json=ASKED) as response:
        return len(await response.read()), _shown(response)


async def _awaited(session: Any, url: str) -> Any:
    response = await session.request("POST", url, data=b'{"model": "m"}', params={"a": "b"})
    return type(await response.json(content_type=None)), _shown(response)


async def _lines(session: Any, url: str) -> Any:
    async with session.post(url, json={**ASKED, "stream": True}) as response:
        return [len(line) > 1 async for line in response.content], _shown(response)


async def _unread(session: Any, url: str) -> Any:
    async with session.post(url, json=ASKED) as response:
        return _shown(response)


async def _raising(session: Any, url: str) -> Any:
    async with session.post(url, json=ASKED, raise_for_status=True) as response:
        return response.status


async def _raising_later(session: Any, url: str) -> Any:
    response = await session.post(url, json=ASKED)
    response.raise_for_status()
    return await response.text() != ""


async def _once(session: Any, url: str) -> Any:
    async with aiohttp.request("POST", url, json=ASKED, timeout=session.timeout) as response:
        return len(await response.read())


ANSWERS = {
    "success": Answer.ok(),
    "429": Answer.openai_quota(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "gone elsewhere": Answer.raw(307, "", headers={"location": "/v1/models"}),
    "cut": Answer.stream(2, then="cut"),
}
WAYS = [_posted, _awaited, _lines, _unread, _raising, _raising_later, _once]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_of_sending_gives_the_same(
    way: Callable[[Any, str], Awaitable[Any]], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    def send(provider: LocalProvider) -> Any:
        return _asks(way, patience(provider, 0.3))(provider.base_url + "/chat/completions")

    same_everywhere(switch_on, send, "openai", answer)


# --- evidence ---------------------------------------------------------------------------------------------------------


async def read(session: Any, url: str) -> Any:
    async with session.post(url, json=ASKED, headers={"Authorization": f"Bearer {KEY}"}) as response:
        await response.read()
        return response


async def _no_question(session: Any, url: str) -> Any:
    async with session.post(url, json={"text": "hello"}) as response:
        return await response.read()


async def raise_if_bad(session: Any, url: str) -> None:
    response = await session.post(url, json=ASKED)
    if response.status >= 400:
        text = await response.text()
        raise LoopError(text, status_code=response.status, response=response)


def test_an_error_is_evidence_once_the_host_has_read_it(telemetry: Telemetry, stack: ExitStack) -> None:
    quota = Answer.error(429, "You exceeded your current quota", code="insufficient_quota", request_id="req_7")
    provider = provider_of(stack, quota)
    attempted(provider, raise_if_bad)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("billing", "response")
    assert (span["http.response.status_code"], span["failover.error.code"]) == (429, "insufficient_quota")
    assert span["failover.wire.request_id"] == "req_7"
    assert span["failover.evidence"] == "complete"
    assert span.description == "You exceeded your current quota"
    assert span.verdict == ("verified", None)


def test_a_body_that_the_host_did_not_read_was_not_seen(telemetry: Telemetry, stack: ExitStack) -> None:
    async def look(session: Any, url: str) -> None:
        async with session.post(url, json=ASKED) as response:
            raise LoopError("no", status_code=response.status)

    attempted(provider_of(stack, Answer.openai_quota()), look)
    span = only(telemetry)
    assert span["http.response.status_code"] == 429
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "body_not_seen")
    assert span.verdict[0] != "mismatch"


def test_an_exception_of_aiohttps_own_is_bound_by_itself(telemetry: Telemetry, stack: ExitStack) -> None:
    """`ClientResponseError` carries neither response nor request."""

    async def ask(session: Any, url: str) -> None:
        await session.post(url, json=ASKED, raise_for_status=True)

    problem = attempted(provider_of(stack, Answer.openai_rate_limit()), ask)
    assert isinstance(problem, aiohttp.ClientResponseError)
    span = only(telemetry)
    assert (span["http.response.status_code"], span["failover.reason.code"]) == (429, "rate_limit")
    assert (span["failover.error.origin"], span["candidate.outcome"]) == ("response", "error")
    assert span["failover.wire.statuses"] == ["429"]
    assert span.verdict[0] in ("verified", "unverified")


def test_a_hook_of_the_session_that_raises_was_answered(telemetry: Telemetry, stack: ExitStack) -> None:
    async def check(response: Any) -> None:
        if response.status >= 400:
            raise LoopError(await response.text(), status_code=response.status)

    async def ask(session: Any, url: str) -> None:
        await session.post(url, json=ASKED)

    attempted(provider_of(stack, Answer.openai_quota()), ask, raise_for_status=check)
    span = only(telemetry)
    assert (span["http.response.status_code"], span["failover.reason.code"]) == (429, "billing")
    assert span["failover.evidence"] == "complete"
    assert span.verdict == ("verified", None)


@pytest.mark.parametrize(
    ("timeout", "kind"),
    [({"total": 0.1}, "total"), ({"sock_read": 0.1}, "read"), ({"total": 5, "sock_read": 0.1}, "read")],
    ids=str,
)
@pytest.mark.parametrize("place", ["session", "request"])
def test_a_timeout_has_its_kind_and_its_seconds(
    telemetry: Telemetry, stack: ExitStack, timeout: dict[str, float], kind: str, place: str
) -> None:
    given = aiohttp.ClientTimeout(**timeout)

    async def ask(session: Any, url: str) -> None:
        await session.post(url, json=ASKED, **({"timeout": given} if place == "request" else {}))

    provider = provider_of(stack, Answer.hang())
    problem = attempted(provider, ask, **({"timeout": given} if place == "session" else {}))
    assert isinstance(problem, asyncio.TimeoutError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("timeout", "transport")
    assert (span["failover.timeout.kind"], span["failover.timeout.configured"]) == (kind, 0.1)
    assert span["http.response.status_code"] is None
    assert span.verdict == ("verified", None)


def test_a_connection_that_takes_too_long_is_a_connect_timeout(telemetry: Telemetry, stack: ExitStack) -> None:
    """The name of the error says which clock ran out; of two that watch a connection, the shorter one is told."""
    candidate = Candidate("openai", "m", "http://127.0.0.1:9")

    class Waiting(aiohttp.TCPConnector):  # type: ignore[misc, name-defined]
        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            raise asyncio.TimeoutError

    async def main() -> None:
        timeout = aiohttp.ClientTimeout(total=9, sock_connect=4, connect=7)
        async with aiohttp.ClientSession(connector=Waiting(), timeout=timeout) as session:
            with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
                await session.post("http://127.0.0.1:9/v1/chat/completions", json=ASKED)

    with pytest.raises(aiohttp.ConnectionTimeoutError):
        asyncio.run(main())
    span = only(telemetry)
    assert (span["failover.timeout.kind"], span["failover.timeout.configured"]) == ("connect", 4.0)


@pytest.mark.parametrize("how", ["reset", "refused"])
def test_what_gets_no_answer_is_a_connection_error(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    provider = provider_of(stack, Answer.reset())
    if how == "refused":
        provider.close()
    problem = attempted(provider, read)
    assert isinstance(problem, aiohttp.ClientConnectionError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("connection", "transport")
    assert span["failover.wire.statuses"] == ["-"]
    assert span.verdict == ("verified", None)


def test_a_caller_that_waits_no_longer(telemetry: Telemetry, stack: ExitStack) -> None:
    async def ask(session: Any, url: str) -> None:
        await asyncio.wait_for(session.post(url, json=ASKED), 0.1)

    attempted(provider_of(stack, Answer.hang()), ask)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.timeout.kind"]) == ("timeout", "caller")


def test_another_candidates_response_gives_a_theft_away(telemetry: Telemetry, stack: ExitStack) -> None:
    """OpenAI's 429, asked by hand, re-reported for a candidate that timed out: by object, by response, by text."""
    first, second = provider_of(stack, Answer.openai_quota()), provider_of(stack, Answer.hang(), kind="anthropic")
    chain = [Candidate("openai", "m", first.endpoint), Candidate("anthropic", "c", second.endpoint)]

    async def main(steal: Callable[[Any], Exception]) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.15)) as session:
            with failover_run("chat", chain=chain) as run:
                with pytest.raises(LoopError) as stale, run.attempt(chain[0]):
                    await raise_if_bad(session, first.base_url + "/chat/completions")
                with pytest.raises(LoopError), run.attempt(chain[1]):
                    try:
                        await read(session, second.base_url + "/v1/messages")
                    except asyncio.TimeoutError:
                        raise steal(stale.value) from None

    for steal, bound_by in (
        (lambda stale: stale, "object"),
        (lambda stale: LoopError("failed", response=stale.response), "response"),
        (lambda stale: LoopError(str(stale)), "text"),
    ):
        telemetry.clear()
        asyncio.run(main(steal))
        honest, stolen = telemetry.candidates
        assert honest.verdict == ("verified", None)
        assert stolen.verdict == ("mismatch", "stale_error")
        assert stolen["failover.attribution.bound_by"] == bound_by
        assert stolen["failover.reason.code"] == "timeout"


# --- asides and others' traffic ---------------------------------------------------------------------------------------


def test_other_traffic_inside_an_attempt_is_an_aside(telemetry: Telemetry, stack: ExitStack) -> None:
    """An image fetched before the call, a trace exported after it: kept for identity, and they settle nothing."""
    images, collector = provider_of(stack, Answer.raw(404, "no image")), provider_of(stack, Answer.raw(503, "full"))

    async def ask(session: Any, url: str) -> Any:
        async with session.get(images.endpoint + "/image.png") as response:
            await response.read()
        found = await read(session, url)
        async with session.post(collector.endpoint + "/v1/traces", data=b"spans") as response:
            await response.read()
        return found

    response = attempted(provider_of(stack, Answer.ok()), ask)
    assert response.status == 200
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["200"])
    assert span.verdict == ("verified", None)


def test_a_relative_url_goes_where_the_sessions_base_url_says(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = provider_of(stack, Answer.openai_quota())

    async def ask(session: Any, _: str) -> None:
        await raise_if_bad(session, "/v1/chat/completions")

    attempted(provider, ask, base_url=provider.endpoint)
    assert only(telemetry)["failover.wire.statuses"] == ["429"]


def test_a_call_by_wire_is_known_below_a_base_url_with_a_path(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = provider_of(stack, Answer.ok())

    async def ask() -> None:
        async with aiohttp.ClientSession(base_url=f"{provider.base_url}/") as session:
            await read(session, "chat/completions")

    try:
        asyncio.run(ask())
    except (AssertionError, ValueError):
        pytest.skip("this aiohttp takes no base URL with a path")
    (span,) = telemetry.spans
    assert (span.name, span["candidate.outcome"]) == ("chat m", "success")


def test_a_long_body_is_encoded_by_the_session_alone(
    telemetry: Telemetry, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To encode ten megabytes once more stalls the event loop for as long again."""
    provider = provider_of(stack, Answer.ok())
    encoded: list[object] = []

    def dumps(document: object, **_: object) -> str:
        encoded.append(document)
        return "{}"

    monkeypatch.setattr(transport, "json", SimpleNamespace(dumps=dumps))

    async def ask() -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 100_000}]}
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{provider.base_url}/chat/completions", json=body) as response:
                await response.read()

    asyncio.run(ask())
    assert [span.name for span in telemetry.spans] == ["chat m"]
    assert encoded == []


def test_other_traffic_outside_attempts_leaves_nothing_behind(telemetry: Telemetry, stack: ExitStack) -> None:
    """What goes to a host that no candidate has is nobody's, even where it is under way when one is first tried there."""
    provider = provider_of(stack, Answer.hang(1), Answer.ok())
    url = by_name(provider.base_url) + "/chat/completions"
    asks, other = _asks(read, 30), _asks(_no_question, 30)
    candidate = Candidate("openai", "m", url)
    with under_way(provider, lambda: other(url)):
        assert telemetry.spans == []
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            asks(url)
    span = only(telemetry)
    assert (span["failover.evidence"], span["failover.wire.requests"]) == ("complete", 1)


def test_an_unread_response_is_not_kept_alive(telemetry: Telemetry, stack: ExitStack) -> None:
    """A response that its caller forgets gives its connection back: with one connection, the next request needs it."""
    provider = provider_of(stack, Answer.openai_quota(), Answer.ok())
    gone: list[Any] = []

    async def ask(session: Any, url: str) -> Any:
        response = await session.post(url, json=ASKED)
        gone.append(weakref.ref(response))
        del response
        gc.collect()
        return await read(session, url)

    async def main() -> Any:
        candidate = Candidate("openai", "m", provider.endpoint)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
                return await asyncio.wait_for(ask(session, provider.base_url + "/chat/completions"), 5)

    assert asyncio.run(main()).status == 200
    assert gone[0]() is None
    assert only(telemetry)["failover.wire.statuses"] == ["429", "200"]


def test_keys_never_leave(telemetry: Telemetry, stack: ExitStack) -> None:
    """In a header, in the query, in basic authentication: not even where the provider repeats them."""
    password = "Pw5nB8vC1xZ6aSdF3gHj"
    said = f"no use of {KEY} nor {password} nor AIzaQw3eRt5yUi7oPa9sDf2g"
    provider = provider_of(stack, Answer.error(401, said))

    async def ask(session: Any, url: str) -> None:
        auth = aiohttp.BasicAuth("me", password)
        headers = {"x-goog-api-key": KEY}
        query = {"key": "AIzaQw3eRt5yUi7oPa9sDf2g"}
        response = await session.post(url, json=ASKED, headers=headers, auth=auth, params=query)
        raise LoopError(await response.text(), status_code=response.status)

    attempted(provider, ask)
    assert only(telemetry)["failover.reason.code"] == "auth"
    for secret in (KEY, password, "AIzaQw3eRt5yUi7oPa9sDf2g"):
        assert not any(secret.encode() in raw for raw in telemetry.exporter.raw)


# --- under httpx ------------------------------------------------------------------------------------------------------


class OverAiohttp(httpx.AsyncBaseTransport):
    """A transport as litellm's: httpx on top, aiohttp below."""

    def __init__(self) -> None:
        self._session: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._session = self._session or aiohttp.ClientSession()
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        seconds = request.extensions.get("timeout", {}).get("read")
        timeout = aiohttp.ClientTimeout(sock_read=seconds)
        with _as_httpx_raises(request):
            sent = self._session.request(
                request.method, str(request.url), headers=headers, data=await request.aread(), timeout=timeout
            )
            response = await sent
            return httpx.Response(response.status, headers=response.headers, content=await response.read())

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


@contextmanager
def _as_httpx_raises(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except asyncio.TimeoutError as problem:
        raise httpx.ReadTimeout("timed out", request=request) from problem
    except aiohttp.ClientError as problem:
        raise httpx.ConnectError("connection failed", request=request) from problem


@pytest.mark.parametrize(
    ("answer", "statuses", "reason"),
    [
        (Answer.ok(), ["200"], None),
        (Answer.openai_quota(), ["429"], "billing"),
        (Answer.hang(), ["-"], "timeout"),
        (Answer.reset(), ["-"], "connection"),
    ],
    ids=["ok", "429", "hang", "reset"],
)
def test_what_lies_under_httpx_is_counted_once(
    telemetry: Telemetry, stack: ExitStack, answer: Answer, statuses: list[str], reason: str | None
) -> None:
    each = stack.enter_context(stand("openai", answer))

    async def main() -> None:
        http: Any = httpx.AsyncClient(transport=OverAiohttp(), timeout=patience(each.server))
        async with openai.AsyncOpenAI(
            api_key=KEY, base_url=each.server.base_url, max_retries=0, http_client=http
        ) as client:
            with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
                await client.chat.completions.create(model=each.candidate.model, messages=[])

    if reason is None:
        asyncio.run(main())
    else:
        with pytest.raises(openai.APIError):
            asyncio.run(main())
    span = only(telemetry)
    assert len(each.server.log) == span["failover.wire.requests"] == 1
    assert span["failover.wire.statuses"] == statuses
    assert (span["failover.reason.code"], span["failover.evidence"]) == (reason, "complete")
    assert span.verdict == ("verified", None)


def test_what_is_sent_beside_httpx_is_counted(telemetry: Telemetry, stack: ExitStack) -> None:
    """Two requests in one attempt, one by each library, are two."""
    provider = provider_of(stack, Answer.ok())

    async def ask(session: Any, url: str) -> Any:
        async with httpx.AsyncClient() as client:
            await client.post(url, json=ASKED)
        return await read(session, url)

    attempted(provider, ask)
    assert only(telemetry)["failover.wire.requests"] == 2
