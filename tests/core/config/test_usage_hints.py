"""What is said once, by the running service, of hosts that are nobody's and of threads without a context."""

from __future__ import annotations

import contextvars
import logging
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from otel_failover import FailoverInstrumentor, failover_run
from otel_failover._core.config import usage_hints
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.fresh import as_imported
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    as_imported(usage_hints, monkeypatch)
    caplog.set_level(logging.INFO, "otel_failover")


@pytest.fixture
def local() -> Iterator[LocalProvider]:
    with LocalProvider("openai", default=Answer.ok()) as served:
        yield served


def ask(local: LocalProvider) -> None:
    client = openai.OpenAI(base_url=local.base_url, api_key="sk-local-0123456789", max_retries=0)
    client.chat.completions.create(model="gpt-5.5", messages=MESSAGES)


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [line for line in caplog.messages if words in line]


# --- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_a_run", [False, True])
def test_a_host_that_is_nobodys_is_told_once(
    telemetry: Telemetry, local: LocalProvider, caplog: pytest.LogCaptureFixture, in_a_run: bool
) -> None:
    for _ in range(3):
        with failover_run("chat") if in_a_run else nullcontext():
            ask(local)
    (line,) = told(caplog, "nobody's that is known")
    name = local.endpoint.partition("//")[2]
    assert f"""OTEL_FAILOVER_PROVIDER_ALIASES='{{"{name}": "openai"}}'""" in line, "with the port, on this machine"
    assert line.endswith(f"OTEL_FAILOVER_GATEWAYS={name}")
    assert telemetry.spans


@pytest.mark.parametrize("with_port", [False, True])
@pytest.mark.parametrize("provider", ["openai", "acme", ""])
def test_a_host_that_is_somebodys_is_not_told(
    telemetry: Telemetry, local: LocalProvider, caplog: pytest.LogCaptureFixture, provider: str, with_port: bool
) -> None:
    name = local.endpoint.partition("//")[2] if with_port else "127.0.0.1"
    settings: dict[str, Any] = {"provider_aliases": {name: provider}} if provider else {"gateways": [name]}
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, **settings)
    ask(local)
    assert telemetry.spans
    assert not told(caplog, "nobody's that is known")


def test_two_servers_of_one_host_are_two_providers(telemetry: Telemetry, local: LocalProvider) -> None:
    """vLLM and Ollama on one machine: each with its name, asked by plain HTTP too, which only a named host is."""
    with LocalProvider("openai", default=Answer.ok()) as other:
        names = [each.endpoint.partition("//")[2] for each in (local, other)]
        FailoverInstrumentor().uninstrument()
        aliases = dict(zip(names, ("vllm", "ollama"), strict=True))
        FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, provider_aliases=aliases)
        for each in (local, other):
            ask(each)
            httpx.post(f"{each.base_url}/responses", json={"model": "m", "input": "hello"})
    found = [span["candidate.provider"] for span in telemetry.spans if span["candidate.provider"]]
    assert found == ["vllm", "vllm", "ollama", "ollama"]


# --- threads ----------------------------------------------------------------------------------------------------------


def in_a_thread(function: Any, *arguments: Any) -> None:
    thread = threading.Thread(target=function, args=arguments, name="acme-worker")
    thread.start()
    thread.join()


@pytest.mark.parametrize("how", ["attempt", "run"])
def test_a_call_in_a_thread_that_has_lost_its_run_is_told_once(
    telemetry: Telemetry, local: LocalProvider, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    for _ in range(2):
        with failover_run("chat", chain=["openai/gpt-5.5"]) as run:
            with run.attempt("openai/gpt-5.5") if how == "attempt" else nullcontext():
                in_a_thread(ask, local)
    (line,) = told(caplog, "started without a context")
    assert "in the thread acme-worker" in line
    assert "opentelemetry-instrumentation-threading" in line
    assert telemetry.spans


@pytest.mark.parametrize("how", ["carried", "no run", "the main thread", "before the run"])
def test_a_call_that_has_lost_nothing_is_not_told(
    telemetry: Telemetry, local: LocalProvider, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    if how == "no run":
        in_a_thread(ask, local)
    elif how == "the main thread":
        contextvars.Context().run(ask, local)
    elif how == "before the run":
        in_a_thread(ask, local)
        with failover_run("chat"):
            pass
    else:
        with failover_run("chat", chain=["openai/gpt-5.5"]):
            in_a_thread(contextvars.copy_context().run, ask, local)
    assert telemetry.spans
    assert not told(caplog, "started without a context")
