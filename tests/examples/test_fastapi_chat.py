"""The example service: what a client gets over REST and WebSocket, and what a person sees in a browser."""

from __future__ import annotations

import importlib
import json
import threading
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="the example needs fastapi: pip install '.[demo]' --group examples")
pytest.importorskip("pydantic_ai", reason="the example needs pydantic-ai: pip install '.[demo]' --group examples")
pytest.importorskip("uvicorn", reason="the example needs uvicorn: pip install '.[demo]' --group examples")


import uvicorn
from fastapi.testclient import TestClient

from examples.fastapi_chat.app import create_app
from examples.fastapi_chat.stand_ins import GREETING, SITUATIONS, stand_ins
from tests.support.browser import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Telemetry

try:
    import jsonschema
except ImportError:
    jsonschema = None  # type: ignore[assignment]

SCHEMA = resources.files("otel_failover") / "summary.schema.json"
WRONG_NAME, SILENCE, LIMITS, SERVED, BROKEN = SITUATIONS


@pytest.fixture
def client(telemetry: Telemetry) -> Iterator[TestClient]:
    with stand_ins() as chains, TestClient(create_app(chains)) as asked:
        yield asked


def checked(problem: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    """Return model, status and title of each candidate; the body is as the schema says."""
    if jsonschema is not None:
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(problem)
    return [(each["model_name"], each["status_code"], each["title"]) for each in problem["candidates"]]


WRONG_NAME_TOLD = [
    ("gpt-5.5", 429, "quota/rate limit exhausted"),
    ("claude-opus-47", 404, "model not found / invalid model name"),
]


@pytest.mark.parametrize("path", ["/chat", "/chat/sync"])
def test_a_failure_is_a_problem_that_tells_of_each_model(client: TestClient, path: str) -> None:
    """From asynchronous and synchronous endpoints alike."""
    answer = client.post(path, json={"message": "Hello?", "chain": WRONG_NAME})
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == problem["status"] == 503
    assert (problem["type"], problem["title"], problem["outcome"]) == (
        "about:blank",
        "No model could answer",
        "exhausted",
    )
    assert checked(problem) == WRONG_NAME_TOLD
    assert [each["provider"] for each in problem["candidates"]] == ["openai", "anthropic"]
    assert "exceeded your current quota" not in answer.text


@pytest.mark.parametrize(("chain", "status"), [(SILENCE, 503), (LIMITS, 429)])
def test_the_status_is_the_suggested_one(client: TestClient, chain: str, status: int) -> None:
    assert client.post("/chat", json={"message": "Hello?", "chain": chain}).status_code == status


def test_silence_is_told_as_silence(client: TestClient) -> None:
    problem = client.post("/chat", json={"message": "Hello?", "chain": SILENCE}).json()
    assert checked(problem) == [
        ("gpt-5.5", 429, "quota/rate limit exhausted"),
        ("claude-opus-4-7", None, "no response in time"),
        ("claude-haiku-4-5", 529, "provider unavailable / overloaded"),
    ]


@pytest.mark.parametrize("path", ["/chat", "/chat/sync"])
def test_an_answer_is_an_answer(client: TestClient, path: str) -> None:
    answer = client.post(path, json={"message": "Hello?", "chain": SERVED})
    assert (answer.status_code, answer.json()) == (200, {"text": GREETING})


def events(client: TestClient, chain: str) -> list[dict[str, Any]]:
    with client.websocket_connect("/ws") as socket:
        socket.send_json({"message": "Hello?", "chain": chain})
        found = [socket.receive_json()]
        while found[-1]["type"] == "text":
            found.append(socket.receive_json())
        return found


def test_the_websocket_sends_the_same_account_as_an_event(client: TestClient) -> None:
    (event,) = events(client, WRONG_NAME)
    assert (event["type"], event["status"], event["outcome"]) == ("error", 503, "exhausted")
    assert checked(event) == WRONG_NAME_TOLD
    problem = client.post("/chat", json={"message": "Hello?", "chain": WRONG_NAME}).json()
    assert {key: event[key] for key in ("outcome", "candidates")} == {
        key: problem[key] for key in ("outcome", "candidates")
    }


def test_the_websocket_streams(client: TestClient) -> None:
    *texts, last = events(client, SERVED)
    assert "".join(each["text"] for each in texts) == GREETING
    assert last == {"type": "done"}


def test_a_stream_that_breaks_off_says_so_after_what_came(client: TestClient) -> None:
    *texts, last = events(client, BROKEN)
    assert "".join(each["text"] for each in texts).startswith("Hello! I was")
    assert (last["type"], last["title"], last["outcome"]) == ("error", "The answer broke off", "stopped")
    assert [(each["outcome"], each["title"]) for each in last["candidates"]] == [
        ("partial", "answer broke off"),
        ("untried", "not tried"),
    ]


def test_what_is_no_question_is_refused_and_the_socket_stays_open(client: TestClient) -> None:
    with client.websocket_connect("/ws") as socket:
        for text in ("{", '{"message": ""}'):
            socket.send_text(text)
            assert socket.receive_json()["status"] == 422
        socket.send_json({"message": "Hello?", "chain": LIMITS})
        assert socket.receive_json()["status"] == 429


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def address(telemetry: Telemetry) -> Iterator[str]:
    """The service on a port of its own."""
    pytest.importorskip("websockets", reason="uvicorn needs websockets for /ws")
    with stand_ins() as chains:
        server = uvicorn.Server(uvicorn.Config(create_app(chains), port=0, log_level="error"))
        started = threading.Event()
        begin = server.startup

        async def startup(*args: Any, **kwargs: Any) -> None:
            await begin(*args, **kwargs)
            started.set()

        server.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run)
        thread.start()
        assert started.wait(30)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def browser() -> Iterator[Any]:
    with opened() as found:
        yield found


def ask_in(browser: Any, address: str, chain: str, way: str) -> None:
    """Use the page as a person with a keyboard does, and wait until it has an answer."""
    keys = importlib.import_module("selenium.webdriver.common.keys").Keys
    wait = importlib.import_module("selenium.webdriver.support.ui").WebDriverWait(browser, 30)
    browser.get(address)
    wait.until(lambda page: page.find_elements("css selector", "#chain option"))
    browser.find_element("id", "chain").send_keys(chain)
    browser.find_element("css selector", f"input[value={way}]").send_keys(keys.SPACE)
    browser.find_element("id", "message").send_keys(keys.CONTROL, keys.ENTER)
    wait.until(lambda page: page.find_element("id", "progress").text == "")
    wait.until(lambda page: any(page.find_element("id", each).is_displayed() for each in ("failure", "answer-section")))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ws", "rest"])
def test_the_page_tells_a_wrong_model_name_from_a_used_up_quota(browser: Any, address: str, way: str) -> None:
    ask_in(browser, address, WRONG_NAME, way)
    rows = [each.text.splitlines() for each in browser.find_elements("css selector", "#candidates li")]
    assert [(row[0].split(" ")[0], row[1]) for row in rows] == [
        ("gpt-5.5", "Quota used up"),
        ("claude-opus-47", "Wrong model name"),
    ]
    spoken = browser.find_element("css selector", "[role=alert]").get_attribute("textContent")
    assert spoken == "No model could answer. gpt-5.5: Quota used up. claude-opus-47: Wrong model name"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ws", "rest"])
def test_the_page_shows_an_answer(browser: Any, address: str, way: str) -> None:
    ask_in(browser, address, SERVED, way)
    assert browser.find_element("id", "answer").text == GREETING
    assert not browser.find_element("id", "failure").is_displayed()


@pytest.mark.slow
def test_every_control_of_the_page_has_a_name(browser: Any, address: str) -> None:
    """As a screen reader would say it."""
    browser.get(address)
    controls = browser.find_elements("css selector", "select, textarea, input, button")
    assert len(controls) == 5
    assert all(each.accessible_name for each in controls)
