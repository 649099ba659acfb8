"""urllib3: what a program sends by its pools alone is evidence, counted once, and the host cannot tell."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import patience
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Telemetry

urllib3 = pytest.importorskip("urllib3")

ASKED = b'{"model": "m", "messages": [{"role": "user", "content": "Hello?"}], "stream": true}'
JSON = {"content-type": "application/json", "authorization": "Bearer sk-proj-Zq8vL2mN4xWc7RtYbH3k"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def _shown(response: Any) -> Any:
    return type(response), response.status, sorted(response.headers), response.closed


def _posted(url: str, wait: float) -> Any:
    with urllib3.PoolManager(timeout=wait, retries=False) as pool:
        response = pool.request("POST", url, body=ASKED, headers=JSON)
        return response.data != b"", _shown(response)


def _retried(url: str, wait: float) -> Any:
    retries = urllib3.Retry(1, status_forcelist=[429], backoff_factor=0.01, allowed_methods=None)
    with urllib3.PoolManager(timeout=wait, retries=retries) as pool:
        return _shown(pool.urlopen("POST", url, body=ASKED, headers=JSON))


def _streamed(url: str, wait: float) -> Any:
    with urllib3.PoolManager(timeout=wait, retries=False) as pool:
        response = pool.request("POST", url, body=ASKED, headers=JSON, preload_content=False)
        found = [type(piece) for piece in response.stream(32)] != [], _shown(response)
        response.release_conn()
        return found


def _in_pieces(url: str, wait: float) -> Any:
    with urllib3.PoolManager(timeout=wait, retries=False) as pool:
        response = pool.request("POST", url, body=ASKED, headers=JSON, preload_content=False)
        first = response.read(8)
        return len(first), response.read() != b"", response.read(), _shown(response)


def _by_line(url: str, wait: float) -> Any:
    with urllib3.PoolManager(timeout=wait, retries=False) as pool:
        response = pool.request("POST", url, body=ASKED, headers=JSON, preload_content=False)
        return [line[:5] for line in response], _shown(response)


def _left_unread(url: str, wait: float) -> Any:
    with urllib3.PoolManager(timeout=wait, retries=False) as pool:
        response = pool.request("POST", url, body=ASKED, headers=JSON, preload_content=False)
        response.close()
        return _shown(response)


ANSWERS = {
    "success": Answer.stream(2),
    "429": Answer.openai_quota(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "cut": Answer.stream(2, then="cut"),
    "gone elsewhere": Answer.raw(307, "", headers={"location": "/v1/models"}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    "way", [_posted, _retried, _streamed, _in_pieces, _by_line, _left_unread], ids=lambda way: way.__name__
)
def test_a_way_of_sending_gives_the_same(
    way: Callable[[str, float], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    same_everywhere(
        switch_on, lambda provider: way(provider.base_url + "/chat/completions", patience(provider)), "openai", answer
    )


def test_its_own_retries_are_one_request(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = stack.enter_context(LocalProvider("openai", Answer.openai_quota(), Answer.ok()))
    with failover_run("chat", chain=[Candidate("openai", "m", provider.endpoint)]):
        assert _retried(provider.base_url + "/chat/completions", 30)[1] == 200
    assert len(provider.log) == 2
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.wire.requests"]) == ("success", 1)


def test_what_requests_sends_by_it_is_counted_once(telemetry: Telemetry, stack: ExitStack) -> None:
    requests = pytest.importorskip("requests")
    provider = stack.enter_context(LocalProvider("openai", Answer.ok()))
    with failover_run("chat", chain=[Candidate("openai", "m", provider.endpoint)]):
        requests.post(provider.base_url + "/chat/completions", data=ASKED, headers=JSON, timeout=30)
    (span,) = telemetry.candidates
    assert (span["candidate.outcome"], span["failover.wire.requests"]) == ("success", 1)


def test_what_requests_sends_to_an_address_of_ipv6_is_counted_once(telemetry: Telemetry) -> None:
    """A pool keeps such an address without its brackets."""
    requests = pytest.importorskip("requests")
    with contextlib.suppress(requests.exceptions.ConnectionError):  # nobody is there
        requests.post("http://[::1]:9/v1/chat/completions", data=ASKED, headers=JSON, timeout=30)
    (span,) = telemetry.spans
    assert (span.name, span["candidate.provider"]) == ("chat m", "::1")


@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1"])
def test_a_pools_endpoint_is_whole(telemetry: Telemetry, host: str) -> None:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        urllib3.PoolManager(retries=False).request(
            "POST", f"http://{host}:9/v1/chat/completions", body=ASKED, headers=JSON
        )
    (span,) = telemetry.spans
    assert span["candidate.provider"] == host.strip("[]")


def test_other_traffic_is_left_alone(telemetry: Telemetry, stack: ExitStack) -> None:
    provider = stack.enter_context(LocalProvider("openai", Answer.ok()))
    with urllib3.PoolManager() as pool:
        pool.request("POST", provider.endpoint + "/index/_search", body=b'{"query": {}}', headers=JSON)
        pool.request("GET", provider.base_url + "/models")
    assert telemetry.spans == []
