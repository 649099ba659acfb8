"""requests: what it sends is evidence like httpx's, counted once, and the host cannot tell."""

# ruff: noqa: SIM117 - how run, attempt and session are nested is what is tested
from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support.hosts import LoopError, by_name, patience, stand, under_way
from tests.support.same import same_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.spans import Exported, Telemetry

requests = pytest.importorskip("requests")

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
KEY = "sk-proj-Zq8vL2mN4xWc7RtYbH3k"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def provider_of(stack: ExitStack, *answers: Answer, kind: Any = "openai") -> LocalProvider:
    return stack.enter_context(LocalProvider(kind, *answers))


def attempted(provider: LocalProvider, ask: Callable[[str], Any]) -> Any:
    """Ask by hand inside a declared attempt; return what came, or what was raised."""
    candidate = Candidate("openai", "m", provider.endpoint)
    try:
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            return ask(provider.base_url + "/chat/completions")
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        return problem


def only(telemetry: Telemetry) -> Exported:
    (span,) = telemetry.candidates
    return span


# --- the host cannot tell ---------------------------------------------------------------------------------------------


def _shown(response: Any) -> Any:
    return (
        type(response),
        response.status_code,
        sorted(response.headers),
        len(response.history),
        response.request.method,
    )


def _posted(url: str, wait: float) -> Any:
    response = requests.post(url, json=ASKED, timeout=wait)
    return len(response.content), _shown(response)


def _in_a_session(url: str, wait: float) -> Any:
    with requests.Session() as session:
        response = session.request("POST", url, data=b'{"model": "m"}', params={"a": "b"}, timeout=(30, wait))
        return response.text != "", _shown(response)


def _prepared(url: str, wait: float) -> Any:
    with requests.Session() as session:
        response = session.send(
            request=session.prepare_request(requests.Request("POST", url, json=ASKED)), timeout=wait
        )
        return len(response.content), _shown(response)


def _raising(url: str, wait: float) -> Any:
    response = requests.post(url, json=ASKED, timeout=wait)
    response.raise_for_status()
    return _shown(response)


def _lines(url: str, wait: float) -> Any:
    with requests.post(url, json={**ASKED, "stream": True}, stream=True, timeout=wait) as response:
        return [len(line) > 1 for line in response.iter_lines()], _shown(response)


def _unread(url: str, wait: float) -> Any:
    with requests.post(url, json=ASKED, stream=True, timeout=wait) as response:
        return response._content, _shown(response)


def _not_prepared(url: str, _: float) -> Any:
    with requests.Session() as session:
        return session.send(requests.Request("POST", url))


def _wrong(_: str, wait: float) -> Any:
    return requests.post("no-url-at-all", json=ASKED, timeout=wait)


ANSWERS = {
    "success": Answer.ok(),
    "429": Answer.openai_quota(),
    "hang": Answer.hang(1),
    "reset": Answer.reset(),
    "gone elsewhere": Answer.raw(307, "", headers={"location": "/v1/models"}),
    "cut": Answer.stream(2, then="cut"),
}
WAYS = [_posted, _in_a_session, _prepared, _raising, _lines, _unread, _not_prepared, _wrong]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_way_of_sending_gives_the_same(
    way: Callable[[str, float], Any], answer: Answer, switch_on: Callable[[], Any]
) -> None:
    same_everywhere(
        switch_on, lambda provider: way(provider.base_url + "/chat/completions", patience(provider)), "openai", answer
    )


# --- evidence ---------------------------------------------------------------------------------------------------------


def post(url: str, **options: Any) -> Any:
    return requests.post(url, json=ASKED, **{"timeout": 5, **options})


def raise_if_bad(url: str) -> None:
    response = post(url)
    if response.status_code >= 400:
        raise LoopError(response.text, status_code=response.status_code, response=response)


def test_an_error_is_evidence(telemetry: Telemetry, stack: ExitStack) -> None:
    quota = Answer.error(429, "You exceeded your current quota", code="insufficient_quota", request_id="req_7")
    attempted(provider_of(stack, quota), raise_if_bad)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("billing", "response")
    assert (span["http.response.status_code"], span["failover.error.code"]) == (429, "insufficient_quota")
    assert (span["failover.wire.request_id"], span["failover.evidence"]) == ("req_7", "complete")
    assert span.description == "You exceeded your current quota"
    assert span.verdict == ("verified", None)


def test_its_own_exception_is_bound_by_its_response(telemetry: Telemetry, stack: ExitStack) -> None:
    problem = attempted(provider_of(stack, Answer.openai_rate_limit()), lambda url: post(url).raise_for_status())
    assert isinstance(problem, requests.HTTPError)
    span = only(telemetry)
    assert (span["http.response.status_code"], span["failover.reason.code"]) == (429, "rate_limit")
    assert span.verdict[0] != "mismatch"


def test_a_body_that_the_host_did_not_read_is_not_read_by_us(telemetry: Telemetry, stack: ExitStack) -> None:
    seen: list[Any] = []

    def look(url: str) -> None:
        response = post(url, stream=True)
        seen.append(response)
        raise LoopError("no", status_code=response.status_code)

    attempted(provider_of(stack, Answer.openai_quota()), look)
    span = only(telemetry)
    assert seen[0]._content_consumed is False
    assert span["http.response.status_code"] == 429
    assert (span["failover.evidence"], span["failover.evidence_gap"]) == ("partial", "body_not_seen")
    assert span.verdict[0] != "mismatch"


def test_a_streamed_success_is_not_read_by_us(telemetry: Telemetry, stack: ExitStack) -> None:
    """A claim is looked for in what was answered; a body that is still to come is left to the host."""

    def ask(url: str) -> Any:
        response = post(url, stream=True)
        with pytest.raises(LoopError), failover_run("chat"):
            raise LoopError("You exceeded your current quota")
        return b"".join(response.iter_content(None))

    assert b"Hello" in attempted(provider_of(stack, Answer.ok("Hello")), ask)
    assert only(telemetry)["candidate.outcome"] == "success"


@pytest.mark.parametrize(("timeout", "seconds"), [(0.1, 0.1), ((5, 0.2), 0.2)], ids=["one number", "a pair"])
def test_a_timeout_has_its_kind_and_its_seconds(
    telemetry: Telemetry, stack: ExitStack, timeout: Any, seconds: float
) -> None:
    problem = attempted(provider_of(stack, Answer.hang()), lambda url: post(url, timeout=timeout))
    assert isinstance(problem, requests.ReadTimeout)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("timeout", "transport")
    assert (span["failover.timeout.kind"], span["failover.timeout.configured"]) == ("read", seconds)
    assert span["http.response.status_code"] is None
    assert span.verdict == ("verified", None)


def test_urllib3s_timeout_is_understood(telemetry: Telemetry, stack: ExitStack) -> None:
    from urllib3 import Timeout

    attempted(provider_of(stack, Answer.hang()), lambda url: post(url, timeout=Timeout(connect=3, read=0.2)))
    assert only(telemetry)["failover.timeout.configured"] == 0.2


@pytest.mark.parametrize("how", ["reset", "refused"])
def test_what_gets_no_answer_is_a_connection_error(telemetry: Telemetry, stack: ExitStack, how: str) -> None:
    provider = provider_of(stack, Answer.reset())
    if how == "refused":
        provider.close()
    assert isinstance(attempted(provider, post), requests.ConnectionError)
    span = only(telemetry)
    assert (span["failover.reason.code"], span["failover.error.origin"]) == ("connection", "transport")
    assert span["failover.wire.statuses"] == ["-"]
    assert span.verdict == ("verified", None)


def test_a_request_that_cannot_be_sent_is_this_processs(telemetry: Telemetry, stack: ExitStack) -> None:
    """In requests, what is wrong with a URL is an OSError too."""

    def ask(url: str) -> None:
        with requests.Session() as session:
            session.adapters.clear()
            session.post(url, json=ASKED)

    provider = provider_of(stack)
    assert isinstance(attempted(provider, ask), requests.exceptions.InvalidSchema)
    span = only(telemetry)
    assert (span["failover.error.origin"], span["failover.reason.code"]) == ("client", "client_error")
    assert provider.log == []


def test_a_redirect_to_the_same_host_is_one_request(telemetry: Telemetry, stack: ExitStack) -> None:
    moved = Answer.raw(307, "", headers={"location": "/v1/chat/completions"})
    assert attempted(provider_of(stack, moved, Answer.ok()), post).status_code == 200
    assert only(telemetry)["failover.wire.statuses"] == ["200"]


def test_another_candidates_response_gives_a_theft_away(telemetry: Telemetry, stack: ExitStack) -> None:
    """OpenAI's 429, asked by hand, re-reported for a candidate that timed out: by object, by response, by text."""
    first, second = provider_of(stack, Answer.openai_quota()), provider_of(stack, Answer.hang(), kind="anthropic")
    chain = [Candidate("openai", "m", first.endpoint), Candidate("anthropic", "c", second.endpoint)]

    def loop(steal: Callable[[Any], Exception]) -> None:
        with failover_run("chat", chain=chain) as run:
            with pytest.raises(LoopError) as stale, run.attempt(chain[0]):
                raise_if_bad(first.base_url + "/chat/completions")
            with pytest.raises(LoopError), run.attempt(chain[1]):
                try:
                    post(second.base_url + "/v1/messages", timeout=0.15)
                except requests.Timeout:
                    raise steal(stale.value) from None

    for steal, bound_by in (
        (lambda stale: stale, "object"),
        (lambda stale: LoopError("failed", response=stale.response), "response"),
        (lambda stale: LoopError(str(stale)), "text"),
    ):
        telemetry.clear()
        loop(steal)
        honest, stolen = telemetry.candidates
        assert honest.verdict == ("verified", None)
        assert stolen.verdict == ("mismatch", "stale_error")
        assert stolen["failover.attribution.bound_by"] == bound_by
        assert stolen["failover.reason.code"] == "timeout"


def test_a_provider_that_quotes_the_prompt_is_no_thief(telemetry: Telemetry, stack: ExitStack) -> None:
    """What stands in the own request may come back: the prompt holds another provider's text."""
    first, second = provider_of(stack, Answer.openai_quota()), provider_of(stack, Answer.hang())
    chain = [Candidate("openai", "m", first.endpoint), Candidate("groq", "c", second.endpoint)]
    said = Answer.openai_quota().message
    with failover_run("chat", chain=chain) as run:
        with pytest.raises(LoopError), run.attempt(chain[0]):
            raise_if_bad(first.base_url + "/chat/completions")
        with pytest.raises(LoopError), run.attempt(chain[1]):
            try:
                requests.post(second.base_url + "/chat/completions", json={"prompt": said}, timeout=0.15)
            except requests.Timeout:
                raise LoopError(f"timed out on: {said}") from None
    assert telemetry.candidates[1].verdict[0] != "mismatch"


# --- asides and others' traffic ---------------------------------------------------------------------------------------


def test_other_traffic_inside_an_attempt_is_an_aside(telemetry: Telemetry, stack: ExitStack) -> None:
    """A token refreshed and an image fetched before the call: they settle nothing."""
    tokens, images = provider_of(stack, Answer.raw(500, "no")), provider_of(stack, Answer.raw(404, "no image"))

    def ask(url: str) -> Any:
        requests.post(tokens.endpoint + "/token", data={"a": "b"}, timeout=5)
        requests.get(images.endpoint + "/image.png", timeout=5)
        return post(url)

    assert attempted(provider_of(stack, Answer.ok()), ask).status_code == 200
    span = only(telemetry)
    assert (span["candidate.outcome"], span["failover.wire.statuses"]) == ("success", ["200"])
    assert span.verdict == ("verified", None)


def test_other_traffic_outside_attempts_leaves_nothing_behind(telemetry: Telemetry, stack: ExitStack) -> None:
    """What goes to a host that no candidate has is nobody's, even where it is under way when one is first tried there."""
    provider = provider_of(stack, Answer.hang(1), Answer.ok())
    url = by_name(provider.base_url) + "/chat/completions"
    candidate = Candidate("openai", "m", url)
    with under_way(provider, lambda: requests.post(url, json={"text": "hello"}, timeout=30)):
        assert telemetry.spans == []
        with failover_run("chat", chain=[candidate]) as run, run.attempt(candidate):
            post(url, timeout=30)
    span = only(telemetry)
    assert (span["failover.evidence"], span["failover.wire.requests"]) == ("complete", 1)


def test_a_response_is_let_go_when_its_attempt_has_ended(telemetry: Telemetry, stack: ExitStack) -> None:
    gone: list[Any] = []

    def ask(url: str) -> None:
        gone.append(weakref.ref(post(url)))

    attempted(provider_of(stack, Answer.openai_quota()), ask)
    assert gone[0]() is None


def test_keys_never_leave(telemetry: Telemetry, stack: ExitStack) -> None:
    """In a header, in the query, in basic authentication: not even where the provider repeats them."""
    password = "Pw5nB8vC1xZ6aSdF3gHj"
    asked = "AIzaQw3eRt5yUi7oPa9sDf2g"
    provider = provider_of(stack, Answer.error(401, f"no use of {KEY} nor {password} nor {asked}"))

    def ask(url: str) -> None:
        headers = {"x-goog-api-key": KEY.encode()}
        response = post(url, headers=headers, auth=("me", password), params={"key": asked})
        raise LoopError(response.text, status_code=response.status_code)

    attempted(provider, ask)
    assert only(telemetry)["failover.reason.code"] == "auth"
    for secret in (KEY, password, asked):
        assert not any(secret.encode() in raw for raw in telemetry.exporter.raw)


# --- under httpx ------------------------------------------------------------------------------------------------------


class OverRequests(httpx.BaseTransport):
    """httpx on top, requests below."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            response = requests.request(
                request.method, str(request.url), headers=headers, data=request.read(), timeout=seconds
            )
        except requests.Timeout as problem:
            raise httpx.ReadTimeout("timed out", request=request) from problem
        except requests.RequestException as problem:
            raise httpx.ConnectError("connection failed", request=request) from problem
        return httpx.Response(response.status_code, headers=dict(response.headers), content=response.content)


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
    http: Any = stack.enter_context(httpx.Client(transport=OverRequests(), timeout=patience(each.server)))
    client = openai.OpenAI(api_key=KEY, base_url=each.server.base_url, max_retries=0, http_client=http)
    try:
        with failover_run("chat", chain=[each.candidate]) as run, run.attempt(each.candidate):
            client.chat.completions.create(model=each.candidate.model, messages=[])
    except openai.APIError:
        assert reason is not None
    span = only(telemetry)
    assert len(each.server.log) == span["failover.wire.requests"] == 1
    assert span["failover.wire.statuses"] == statuses
    assert (span["failover.reason.code"], span["failover.evidence"]) == (reason, "complete")
    assert span.verdict == ("verified", None)


def test_what_is_sent_beside_httpx_is_counted(telemetry: Telemetry, stack: ExitStack) -> None:
    """Two requests in one attempt, one by each library, are two."""

    def ask(url: str) -> Any:
        httpx.post(url, json=ASKED)
        return post(url)

    attempted(provider_of(stack, Answer.ok()), ask)
    assert only(telemetry)["failover.wire.requests"] == 2
