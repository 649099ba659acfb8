"""What introspection says of a patched library is what it said before."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from otel_failover.testing.providers import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.spans import Telemetry


def _places() -> dict[str, Any]:
    from openai import _base_client, _streaming

    return {
        "request": _base_client.SyncAPIClient.request,
        "async request": _base_client.AsyncAPIClient.request,
        "stream": _streaming.Stream.__stream__,
        "async stream": _streaming.AsyncStream.__stream__,
        "close": _streaming.Stream.close,
        "async close": _streaming.AsyncStream.close,
        "send": httpx.Client.send,
        "async send": httpx.AsyncClient.send,
    }


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return type(problem)


def _facts(function: Any) -> dict[str, Any]:
    return {
        "signature": str(inspect.signature(function)),
        "coroutine": inspect.iscoroutinefunction(function),
        "generator": inspect.isgeneratorfunction(function),
        "async generator": inspect.isasyncgenfunction(function),
        "function": inspect.isfunction(function),
        "routine": inspect.isroutine(function),
        "name": function.__name__,
        "qualified": function.__qualname__,
        "module": function.__module__,
        "doc": function.__doc__,
        "annotations": function.__annotations__,
        "defaults": function.__kwdefaults__,
        "source": inspect.getsource(function),
        "callable": callable(function),
    }


def _bound_facts(client: Any) -> dict[str, Any]:
    return {
        "method": inspect.ismethod(client.request),
        "self": client.request.__self__ is client,
        "equal": client.request == client.request,
        "signature": str(inspect.signature(client.request)),
        "client pickles": _outcome(lambda: pickle.dumps(client)),
        "client is copied": _outcome(lambda: type(copy.copy(client))),
        "isinstance": isinstance(client, openai.OpenAI),
        "names": dir(client),
    }


def test_introspection_sees_no_difference(switch_on: Callable[[], Telemetry]) -> None:
    with openai.OpenAI(api_key="k") as client:
        before = {name: _facts(function) for name, function in _places().items()}, _bound_facts(client)
        switch_on()
        assert ({name: _facts(function) for name, function in _places().items()}, _bound_facts(client)) == before


def _copied(how: Callable[[Any], Any], function: Any) -> str:
    how(function)
    return "done"


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_patched_functions_copy_and_pickle_as_before(
    how: Callable[[Any], Any], switch_on: Callable[[], Telemetry]
) -> None:
    before = {name: _outcome(functools.partial(_copied, how, function)) for name, function in _places().items()}
    switch_on()
    after = {name: _outcome(functools.partial(_copied, how, function)) for name, function in _places().items()}
    assert after == before


def test_a_subclass_that_overrides_send_and_calls_super_works(telemetry: Telemetry) -> None:
    sent: list[Any] = []

    class Client(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            sent.append(request)
            return super().send(request, **options)

    with LocalProvider("openai") as provider, Client() as client:
        assert client.get(provider.base_url + "/models").status_code == 200
        assert httpx.Client.send(client, client.build_request("GET", provider.base_url + "/models")).status_code == 200
    assert len(sent) == 1
