"""Base URLs of one host that differ in the path only are two candidates: deployments, and providers behind a gateway."""

# ruff: noqa: SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anthropic
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover._core.config import usage_hints
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.fresh import as_imported
from tests.support.hosts import KEYS, LONG, MESSAGES, LoopError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from otel_failover.testing.providers import Kind
    from tests.support.spans import Exported, Telemetry

MODEL: Final = "gpt-5.5"
KEY: Final = KEYS["openai"]
VERSION: Final = "2024-10-21"
LIMIT: Final = "Requests have exceeded the token rate limit of your current pricing tier in Sweden Central."
LIMITED: Final = Answer.error(429, LIMIT, code="429")


class Way(NamedTuple):
    """How one SDK is told of a path, and asked there.

    Args:
        kind: Whose wire format it speaks.
        path: Of the base URL; `{}` is what two of them differ in.
        ask: Asks at an endpoint and a path, with a timeout in seconds.
        aask: The same, in async code.
    """

    kind: Kind
    path: str
    ask: Callable[[str, str, float], object]
    aask: Callable[[str, str, float], Awaitable[object]] | None = None


def of_openai(url: str, timeout: float) -> dict[str, Any]:
    return {"base_url": url, "api_key": KEY, "max_retries": 0, "timeout": timeout}


def of_azure(endpoint: str, path: str, timeout: float) -> dict[str, Any]:
    return {
        "azure_endpoint": endpoint, "azure_deployment": path.rpartition("/")[2], "api_key": KEY, "api_version": VERSION,
        "max_retries": 0, "timeout": timeout,
    }  # fmt: skip


def openai_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    return openai.OpenAI(**of_openai(endpoint + path, timeout)).chat.completions.create(model=MODEL, messages=MESSAGES)


async def aopenai_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = openai.AsyncOpenAI(**of_openai(endpoint + path, timeout))
    return await client.chat.completions.create(model=MODEL, messages=MESSAGES)


def openai_stream_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = openai.OpenAI(**of_openai(endpoint + path, timeout))
    return list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


def azure_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = openai.AzureOpenAI(**of_azure(endpoint, path, timeout))
    return client.chat.completions.create(model=MODEL, messages=MESSAGES)


async def aazure_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = openai.AsyncAzureOpenAI(**of_azure(endpoint, path, timeout))
    return await client.chat.completions.create(model=MODEL, messages=MESSAGES)


def anthropic_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = anthropic.Anthropic(**of_openai(endpoint + path, timeout))
    return client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=9)


async def aanthropic_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = anthropic.AsyncAnthropic(**of_openai(endpoint + path, timeout))
    return await client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=9)


def gemini_client(endpoint: str, path: str, timeout: float) -> Any:
    genai = pytest.importorskip("google.genai")
    options = genai.types.HttpOptions(base_url=endpoint + path, timeout=int(timeout * 1000))
    return genai.Client(api_key=KEYS["gcp.gemini"], http_options=options)


def gemini_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = gemini_client(endpoint, path, timeout)  # closed as soon as nobody holds it
    return client.models.generate_content(model=MODEL, contents="hello")


async def agemini_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    client = gemini_client(endpoint, path, timeout)
    return await client.aio.models.generate_content(model=MODEL, contents="hello")


def bedrock_at(endpoint: str, path: str, timeout: float = LONG) -> object:
    session = pytest.importorskip("botocore.session").Session()
    config = pytest.importorskip("botocore.config").Config(
        retries={"total_max_attempts": 1}, read_timeout=timeout, connect_timeout=timeout
    )
    session.set_credentials("AKIAZ7QW3ERT5YUI9OPA", "wJq8vL2mN4xWc7RtYbH3kPs6dFg9hJ1zXcVbNm0Q")
    client = session.create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=endpoint + path, config=config
    )
    return client.converse(modelId=MODEL, messages=[{"role": "user", "content": [{"text": "hello"}]}])


WAYS: Final = {
    "openai": Way("openai", "/v1/acct/gw/{}/v1", openai_at, aopenai_at),
    "openai, streamed": Way("openai", "/v1/acct/gw/{}/v1", openai_stream_at),
    "azure": Way("openai", "/openai/deployments/{}", azure_at, aazure_at),
    "anthropic": Way("anthropic", "/v1/acct/gw/{}", anthropic_at, aanthropic_at),
    "google-genai": Way("gemini", "/v1/acct/gw/{}", gemini_at, agemini_at),
    "bedrock": Way("bedrock", "/v1/acct/gw/{}/bedrock-runtime", bedrock_at),
}
ASYNC: Final = [name for name, way in WAYS.items() if way.aask is not None]
PATHS: Final = ("/gw/groq/v1", "/gw/cerebras/v1")


def refused(way: Way) -> Answer:
    """A 429 as that provider words it, but for what it says."""
    return Answer.error(429, LIMIT, code="ThrottlingException" if way.kind == "bedrock" else "429")


def places(spans: Sequence[Exported]) -> list[tuple[int, int, str]]:
    return [(span["candidate.index"], span["candidate.attempt"], span["candidate.outcome"]) for span in spans]


def asked_in_turn(way: Way, server: LocalProvider, names: Sequence[str]) -> None:
    with failover_run("chat"):
        for name in names:
            with suppress(Exception):
                way.ask(server.endpoint, way.path.format(name), LONG)
                return


# --- bare calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_two_base_urls_of_one_host_are_two_candidates(telemetry: Telemetry, name: str) -> None:
    way = WAYS[name]
    with LocalProvider(way.kind, refused(way), Answer.ok()) as server:
        asked_in_turn(way, server, ["blue", "green"])
    assert places(telemetry.candidates) == [(0, 1, "error"), (1, 1, "success")]
    assert telemetry.run["failover.outcome"] == "fallback"
    assert all(span.verdict == ("verified", None) for span in telemetry.candidates)
    labels = ["blue", "green"] if name == "azure" else [None, None]
    assert [span["candidate.profile"] for span in telemetry.candidates] == labels


@pytest.mark.parametrize("name", WAYS)
def test_one_base_url_asked_twice_is_one_candidate(telemetry: Telemetry, name: str) -> None:
    """Twin: a new client each time, as frameworks make one."""
    way = WAYS[name]
    with LocalProvider(way.kind, refused(way), Answer.ok()) as server:
        asked_in_turn(way, server, ["blue", "blue"])
    assert places(telemetry.candidates) == [(0, 1, "error"), (0, 2, "success")]
    assert telemetry.run["failover.outcome"] == "primary"


@pytest.mark.parametrize("name", ASYNC)
def test_in_async_code_too(telemetry: Telemetry, name: str) -> None:
    way = WAYS[name]
    assert way.aask is not None

    async def main(server: LocalProvider) -> None:
        assert way.aask is not None
        with failover_run("chat"):
            with pytest.raises(Exception, match="429"):
                await way.aask(server.endpoint, way.path.format("blue"), LONG)
            await way.aask(server.endpoint, way.path.format("green"), LONG)

    with LocalProvider(way.kind, refused(way), Answer.ok()) as server:
        asyncio.run(main(server))
    assert places(telemetry.candidates) == [(0, 1, "error"), (1, 1, "success")]


def test_what_only_repeats_the_model_is_no_base_url(telemetry: Telemetry) -> None:
    """A client of Azure's without a deployment puts the model there, by each request: one client, three models."""
    with LocalProvider("openai", LIMITED, LIMITED, Answer.ok()) as server:
        client = openai.AzureOpenAI(
            azure_endpoint=server.endpoint, api_key=KEY, api_version=VERSION, max_retries=0, timeout=LONG
        )
        with failover_run("chat"):
            for model in ("prod-a", "prod-a"):
                with pytest.raises(openai.RateLimitError):
                    client.chat.completions.create(model=model, messages=MESSAGES)
            client.chat.completions.create(model="prod-b", messages=MESSAGES)
        assert [each.path for each in server.log] == [
            f"/openai/deployments/{model}/chat/completions" for model in ("prod-a", "prod-a", "prod-b")
        ]
    assert places(telemetry.candidates) == [(0, 1, "error"), (0, 2, "error"), (1, 1, "success")]
    assert [span["candidate.profile"] for span in telemetry.candidates] == [None] * 3


def test_a_slash_at_the_end_says_nothing(telemetry: Telemetry) -> None:
    with LocalProvider("openai", LIMITED, Answer.ok()) as server, failover_run("chat"):
        with pytest.raises(openai.RateLimitError):
            openai_at(server.endpoint, "/v1")
        openai_at(server.endpoint, "/v1/")
    assert places(telemetry.candidates) == [(0, 1, "error"), (0, 2, "success")]


# --- bare calls of a chain --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("prod-a", "prod-b"), ("prod-b", "prod-a")])
@pytest.mark.parametrize("declared", ["model", "profile", "url", "nothing"])
def test_a_chain_of_deployments(telemetry: Telemetry, declared: str, order: tuple[str, str]) -> None:
    """By whatever the chain calls them; where it does not, they take its places as they come."""
    with LocalProvider("openai", LIMITED, Answer.ok()) as server:
        members = {
            "model": [Candidate("azure", name, server.endpoint) for name in ("prod-a", "prod-b")],
            "profile": [Candidate("azure", MODEL, server.endpoint, name) for name in ("prod-a", "prod-b")],
            "url": [
                Candidate("azure", MODEL, f"{server.endpoint}/openai/deployments/{name}")
                for name in ("prod-a", "prod-b")
            ],
            "nothing": [Candidate("azure", MODEL, server.endpoint) for _ in range(2)],
        }
        with failover_run("chat", chain=members[declared]):
            for name in order:
                with suppress(openai.RateLimitError):
                    azure_at(server.endpoint, f"/{name}")
    expected = [0, 1] if declared == "nothing" else [("prod-a", "prod-b").index(name) for name in order]
    assert [span["candidate.index"] for span in telemetry.candidates] == expected
    assert [span["candidate.attempt"] for span in telemetry.candidates] == [1, 1]
    assert [span["candidate.profile"] for span in telemetry.candidates] == list(order)
    assert telemetry.run["failover.untried"] is None


def test_a_chain_of_paths_behind_one_gateway(telemetry: Telemetry) -> None:
    """The second member is asked first; the provider is the member's, though another declares the same host."""
    with LocalProvider("openai", LIMITED, Answer.ok()) as server:
        chain = [Candidate(who, MODEL, server.endpoint + path) for who, path in zip(("groq", "cerebras"), PATHS)]  # noqa: B905
        with failover_run("chat", chain=chain):
            with pytest.raises(openai.RateLimitError):
                openai_at(server.endpoint, PATHS[1])
            openai_at(server.endpoint, PATHS[0])
    assert [(span["candidate.provider"], span["candidate.index"]) for span in telemetry.candidates] == [
        ("cerebras", 1), ("groq", 0),
    ]  # fmt: skip
    assert telemetry.run["failover.outcome"] == "primary"


def test_a_path_that_no_member_declares_is_off_the_chain(telemetry: Telemetry) -> None:
    with LocalProvider("openai", LIMITED, LIMITED, LIMITED) as server:
        with failover_run("chat", chain=[Candidate("groq", MODEL, server.endpoint + PATHS[0])]):
            for path in (PATHS[0], *PATHS):
                with pytest.raises(openai.RateLimitError):
                    openai_at(server.endpoint, path)
    assert places(telemetry.candidates) == [(0, 1, "error"), (0, 2, "error"), (-1, 1, "error")]


# --- whose error it is ------------------------------------------------------------------------------------------------


def chain_at(server: LocalProvider) -> list[Candidate]:
    """Two candidates behind one gateway that differ in nothing but the path of their URL."""
    return [Candidate("llama", MODEL, server.endpoint + path) for path in PATHS]


@pytest.mark.parametrize("declared", [True, False], ids=["chain", "no chain"])
def test_an_error_of_the_one_is_not_the_others(telemetry: Telemetry, declared: bool) -> None:  # noqa: FBT001
    with LocalProvider("openai", LIMITED, Answer.hang()) as server:
        first, second = chain_at(server)
        with failover_run("chat", chain=[first, second] if declared else None) as run:
            with pytest.raises(openai.RateLimitError), run.attempt(first):
                openai_at(server.endpoint, PATHS[0])
            with pytest.raises(LoopError), run.attempt(second):
                try:
                    openai_at(server.endpoint, PATHS[1], 0.2)
                except openai.APITimeoutError:
                    raise LoopError(f"429: {LIMIT}") from None
    own, lied = telemetry.candidates
    assert [own["candidate.index"], lied["candidate.index"]] == [0, 1]
    assert own.verdict == ("verified", None)
    assert lied.verdict == ("mismatch", "stale_error")
    assert lied["failover.attribution.source.index"] == 0
    assert len(telemetry.markers) == 1


@pytest.mark.parametrize("declared", [True, False], ids=["chain", "no chain"])
def test_an_error_of_its_own_is_its_own(telemetry: Telemetry, declared: bool) -> None:  # noqa: FBT001
    """Twin: both are limited in the same words, each says so."""
    with LocalProvider("openai", LIMITED, LIMITED) as server:
        pair = chain_at(server)
        with failover_run("chat", chain=pair if declared else None) as run:
            for candidate, path in zip(pair, PATHS, strict=True):
                with pytest.raises(LoopError), run.attempt(candidate):
                    try:
                        openai_at(server.endpoint, path)
                    except openai.RateLimitError:
                        raise LoopError(f"429: {LIMIT}") from None
    assert [span.verdict for span in telemetry.candidates] == [("verified", None)] * 2
    assert not telemetry.markers


@pytest.mark.parametrize("how", ["azure", "openai"])
def test_an_error_of_a_bare_call_is_not_the_others(telemetry: Telemetry, how: str) -> None:
    """Nobody has declared anything: what the first call heard is told in an attempt at the second."""
    way = WAYS[how]
    first, second = (way.path.format(name) for name in ("blue", "green"))
    with LocalProvider("openai", LIMITED, Answer.hang()) as server:
        with failover_run("chat") as run:
            with pytest.raises(openai.RateLimitError):
                way.ask(server.endpoint, first, LONG)
            with pytest.raises(LoopError), run.attempt(Candidate("azure", MODEL, server.endpoint + second)):
                with suppress(openai.APITimeoutError):
                    way.ask(server.endpoint, second, 0.2)
                raise _kept(run)
    assert telemetry.candidates[1].verdict == ("mismatch", "stale_error")


def _kept(run: Any) -> LoopError:
    """Return a loop's error with the words of the first failure, as one keeps them in its session."""
    return LoopError(f"429: {run.errors[0].message}")


def test_side_by_side_they_are_two_as_well(telemetry: Telemetry) -> None:
    """Both are under way when the first fails; the second is left by the first one's exception."""

    async def main(server: LocalProvider) -> None:
        pair, started, failed = chain_at(server), asyncio.Event(), asyncio.Event()
        kept: list[BaseException] = []

        async def first() -> None:
            started.set()
            try:
                with run.attempt(pair[0]):
                    await aopenai_at(server.endpoint, PATHS[0])
            except openai.RateLimitError as problem:
                kept.append(problem)
                failed.set()

        async def second() -> None:
            with run.attempt(pair[1]):
                asking = asyncio.ensure_future(aopenai_at(server.endpoint, PATHS[1], 0.5))
                await failed.wait()
                with suppress(openai.APITimeoutError):
                    await asking
                raise kept[0]

        with failover_run("chat", chain=pair) as run:
            tasks = [asyncio.create_task(first())]
            await started.wait()
            tasks.append(asyncio.create_task(second()))
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[1], openai.RateLimitError)

    with LocalProvider("openai", Answer.delayed(LIMITED, 0.2), Answer.hang()) as server:
        asyncio.run(main(server))
    own, lied = telemetry.candidates
    assert own.verdict == ("verified", None)
    assert lied.verdict in (("mismatch", "stale_error"), ("mismatch", "foreign_error"))
    assert lied["failover.attribution.source.index"] == 0


def test_an_earlier_runs_error_is_not_the_others(telemetry: Telemetry) -> None:
    with LocalProvider("openai", LIMITED, Answer.hang(), Answer.hang()) as server:
        endpoint = server.endpoint
        with failover_run("chat"), pytest.raises(openai.RateLimitError):
            openai_at(endpoint, PATHS[0])
        telemetry.clear()
        for path in (PATHS[1], PATHS[0]):
            with failover_run("chat") as run, pytest.raises(LoopError):
                with run.attempt(Candidate("127.0.0.1", MODEL, endpoint)):
                    try:
                        openai_at(endpoint, path, 0.2)
                    except openai.APITimeoutError:
                        raise LoopError(LIMIT) from None
    other, same = telemetry.candidates
    assert other.verdict == ("mismatch", "stale_error")
    assert same["failover.error.replayed"] is True


# --- an attempt that asks another's ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "verdict", "index"),
    [(PATHS[1], ("mismatch", "wrong_endpoint"), 1), (PATHS[0], ("verified", None), None)],
    ids=["another's", "its own"],
)
def test_an_attempt_that_asks_at_anothers_path(
    telemetry: Telemetry, path: str, verdict: tuple[str, str | None], index: int | None
) -> None:
    """A loop that takes the wrong client: what came back is the other member's, not this one's."""
    with LocalProvider("openai", LIMITED) as server:
        chain = chain_at(server)
        with failover_run("chat", chain=chain) as run:
            with pytest.raises(openai.RateLimitError), run.attempt(chain[0]):
                openai_at(server.endpoint, path)
    (span,) = telemetry.candidates
    assert span.verdict == verdict
    assert span["failover.attribution.source.index"] == index
    assert span["failover.wire.requests"] == (0 if index else 1)


def test_a_loop_inside_an_attempt_asks_at_all_paths(telemetry: Telemetry) -> None:
    """The gateway is one candidate of the outer chain; which of its paths answers is the inner loop's business."""
    with LocalProvider("openai", LIMITED, LIMITED, Answer.ok()) as server:
        inner = chain_at(server)
        outer = [Candidate("gateway", MODEL, server.endpoint), Candidate("gateway", MODEL, server.endpoint + "/spare")]
        with failover_run("outer", chain=outer) as around:
            with pytest.raises(LoopError), around.attempt(outer[0]):
                with failover_run("inner", chain=inner) as run:
                    for candidate, path in zip(inner, PATHS, strict=True):
                        with suppress(openai.RateLimitError), run.attempt(candidate):
                            openai_at(server.endpoint, path)
                    raise _kept(run)
            with around.attempt(outer[1]):
                openai_at(server.endpoint, "/spare")
    gateway = next(
        span for span in telemetry.candidates if span.parent_id == telemetry.named("failover outer")[0].span_id
    )
    assert gateway["failover.wire.requests"] == 2
    assert gateway.verdict == ("verified", None)
    assert not telemetry.markers


# --- what leaves the process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_of_a_path_nothing_leaves_but_the_deployments_name(telemetry: Telemetry, name: str) -> None:
    way = WAYS[name]
    with LocalProvider(way.kind, refused(way), Answer.ok()) as server:
        asked_in_turn(way, server, ["acct-7f3kq9", "acct-2b8wz4"])
    seen = {name for raw in telemetry.exporter.raw for name in ("acct-7f3kq9", "acct-2b8wz4") if name.encode() in raw}
    assert len(seen) == (2 if name == "azure" else 0)
    assert all(span["candidate.endpoint"] == server.endpoint for span in telemetry.candidates)


def test_a_label_of_the_hosts_comes_before_the_deployments_name(telemetry: Telemetry) -> None:
    with LocalProvider("openai", Answer.ok(), Answer.ok()) as server:
        for profile in ("eu", None):
            with failover_run("chat") as run, run.attempt(Candidate("azure", MODEL, server.endpoint, profile)):
                azure_at(server.endpoint, "/prod-a")
    assert [span["candidate.profile"] for span in telemetry.candidates] == ["eu", "prod-a"]


def test_a_call_outside_any_run_has_the_deployments_name(telemetry: Telemetry) -> None:
    with LocalProvider("openai", Answer.ok()) as server:
        azure_at(server.endpoint, "/prod-a")
    (span,) = telemetry.named(f"chat {MODEL}")
    assert span["candidate.profile"] == "prod-a"


# --- what people should know ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("paths", "lines"), [(PATHS, 1), ((PATHS[0], PATHS[0]), 0)], ids=["two", "one"])
def test_a_loop_over_paths_that_nobody_declared_is_told(
    telemetry: Telemetry,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    paths: Sequence[str],
    lines: int,
) -> None:
    as_imported(usage_hints, monkeypatch)
    with LocalProvider("openai", default=LIMITED) as server, caplog.at_level(logging.INFO, "otel_failover"):
        for _ in range(usage_hints.TIMES):
            with telemetry.tracer.start_as_current_span("request"):
                for path in paths:
                    with suppress(openai.RateLimitError):
                        openai_at(server.endpoint, path)
    assert sum("nobody declared" in line for line in caplog.messages) == lines
