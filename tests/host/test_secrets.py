"""Credentials: in no byte that is exported, in no log line, on no metric, however they are spelled."""

# ruff: noqa: PT012, SIM117 - how run, attempt and call are nested is what is tested
from __future__ import annotations

import base64
import logging
from contextlib import ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anthropic
import openai
import pytest
from opentelemetry.trace import StatusCode, format_span_id, get_current_span

from otel_failover import Candidate, FailoverInstrumentor, failover_run
from otel_failover.testing.providers import Answer, LocalProvider
from tests.support import planted
from tests.support.hosts import KEYS, LONG, MESSAGES, LoopError, Stand, stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_failover import Attempt
    from tests.support.spans import Telemetry

ODD_KEY = "Zt9/Qm+4vRw8~Lk2_Hx7.Pd3"
OPENAI_KEY = KEYS["openai"]
ANTHROPIC_KEY = "sk-ant-api03-Tg5hJ9kLpQ2wXs8dFv6nBq4RzMy7cKe3"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(autouse=True)
def planted_keys(telemetry: Telemetry) -> None:
    """What this module plants is looked for at the end of each test, in every span, metric and log line."""
    telemetry.planted.update((ODD_KEY, OPENAI_KEY, ANTHROPIC_KEY))


def plain(key: str) -> str:
    return key


def percent(key: str) -> str:
    return quote(key, safe="")


def percent_every(key: str) -> str:
    return "".join(f"%{byte:02X}" for byte in key.encode())


def in_base64(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def basic(key: str) -> str:
    return base64.b64encode(f"user:{key}".encode()).decode()


def in_base64url(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def piece(key: str) -> str:
    return key[6:16]


def last_piece(key: str) -> str:
    return key[-8:]


def two_pieces(key: str) -> str:
    return f"{key[:9]}****{key[-9:]}"


SPELLINGS = [plain, percent, percent_every, in_base64, basic, in_base64url, piece, last_piece, two_pieces]


def leaves(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> str:
    """Everything that leaves the process, as text."""
    parts = [blob.decode("utf-8", "replace") for blob in telemetry.exporter.raw]
    parts += [f"{record.getMessage()} {record.exc_text or ''} {record.__dict__}" for record in caplog.records
              if record.name.startswith("otel_failover")]  # fmt: skip
    data: Any = telemetry.reader.get_metrics_data()
    parts.append(data.to_json() if data else "")
    return "\n".join(parts)


def is_kept(key: str, telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """No spelling of the key, and no piece of eight characters of it."""
    out = leaves(telemetry, caplog)
    for spell in SPELLINGS:
        if spell not in (two_pieces, basic):
            assert spell(key) not in out, spell.__name__
    for start in range(len(key) - 7):
        assert key[start : start + 8] not in out, key[start : start + 8]
    whole = base64.b64encode(key.encode()).decode().rstrip("=")
    for start in range(0, len(whole) - 12, 4):
        assert whole[start : start + 12] not in out


# --- in a base URL ----------------------------------------------------------------------------------------------------

OWN_KEY = "Wc7RtYbH3kZq8vL2mN4xJd6Gf1Ps"
IN_PATH = {
    "a gateway's path": f"/v1/{OPENAI_KEY}/openai/v1",
    "a gateway's path, the client's own": f"/v1/{OWN_KEY}/openai/v1",
    "a query": f"/v1?key={OPENAI_KEY}",
    "a deployment of a known format": f"/openai/deployments/{OPENAI_KEY}",
    "a deployment, the client's own": f"/openai/deployments/{OWN_KEY}",
    "before a deployment": f"/{OPENAI_KEY}/openai/deployments/prod-a",
}


@pytest.mark.parametrize("place", IN_PATH)
@pytest.mark.parametrize("how", ["bare", "attempt", "outside", "chain"])
def test_a_key_in_a_base_url_does_not_leave(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture, place: str, how: str
) -> None:
    telemetry.planted.add(OWN_KEY)
    with LocalProvider("openai", Answer.error(429, "Not so many at once, if you please"), Answer.hang()) as server:
        url = server.endpoint + IN_PATH[place]
        options: Any = {"api_key": OWN_KEY, "max_retries": 0}
        slow = openai.OpenAI(base_url=url, timeout=0.2, **options)
        member = Candidate("acme", "gpt-5.5", url)
        run: Any = (
            nullcontext() if how == "outside" else failover_run("chat", chain=[member] if how == "chain" else None)
        )
        with run as opened:
            for client in (openai.OpenAI(base_url=url, timeout=LONG, **options), slow):
                with (
                    suppress(openai.APIError, LoopError),
                    opened.attempt(member) if how == "attempt" else nullcontext(),
                ):
                    try:
                        client.chat.completions.create(model="gpt-5.5", messages=MESSAGES)
                    except openai.APITimeoutError:
                        raise LoopError("429: Not so many at once, if you please") from None
    labels = {span["candidate.profile"] for span in telemetry.spans}
    assert ("prod-a" in labels) == (place == "before a deployment")
    for key in (OPENAI_KEY, OWN_KEY):
        is_kept(key, telemetry, caplog)


# --- where it is planted ----------------------------------------------------------------------------------------------


def in_message(text: str) -> Answer:
    return Answer.error(401, f"Incorrect API key provided: {text}. You can find your key in the settings.")


def in_code(text: str) -> Answer:
    return Answer.error(401, "No such key in this organization, sorry", code=text[:120], type=text[:120])


def in_html(text: str) -> Answer:
    return Answer.raw(502, f"<html><p>upstream refused authorization {text}</p></html>")


def in_headers(text: str) -> Answer:
    headers = {"x-request-id": f"req-{text}", "x-debug": text}
    return Answer.error(403, "You may not do this from where you are", headers=headers)


def in_stream(text: str) -> Answer:
    return Answer.stream(["a", "b"], then="error", message=f"worker lost its session for {text}", code=text[:100])


@pytest.mark.parametrize("key", [OPENAI_KEY, ODD_KEY], ids=["known format", "any format"])
@pytest.mark.parametrize("plant", [in_message, in_code, in_html, in_headers, in_stream])
@pytest.mark.parametrize("spell", SPELLINGS)
def test_what_a_provider_says_of_the_key_does_not_leave(
    telemetry: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    key: str,
    plant: Callable[[str], Answer],
    spell: Callable[[str], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    each = stack.enter_context(stand("openai", plant(spell(key)), key=key))
    with failover_run("chat", chain=[each.candidate]) as run:
        with pytest.raises(openai.APIError), run.attempt(each.candidate) as attempt:
            asked = each.ask(stream=plant is in_stream)
            list(asked)
    is_kept(key, telemetry, caplog)
    assert attempt.error is not None
    assert key not in attempt.error.message
    (span,) = telemetry.candidates
    assert span.status == "ERROR"
    if plant is in_message:
        assert "Incorrect API key provided" in span.description


def in_hex(key: str) -> str:
    return key.encode().hex()


def request_id_in_base64(key: str) -> str:
    return f"req_{in_base64url(key)}"


@pytest.mark.parametrize("spell", [in_hex, request_id_in_base64])
def test_a_code_that_spells_the_key_otherwise_does_not_leave(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, spell: Callable[[str], str]
) -> None:
    each = stack.enter_context(stand("openai", Answer.error(401, "No such key", code=spell(ODD_KEY)), key=ODD_KEY))
    with failover_run("chat", chain=[each.candidate]) as run:
        with pytest.raises(openai.APIError), run.attempt(each.candidate):
            each.ask()
    out = leaves(telemetry, caplog)
    assert spell(ODD_KEY) not in out


def test_another_key_of_small_letters_does_not_leave_as_a_code(telemetry: Telemetry, stack: ExitStack) -> None:
    small = "sk-" + "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    each = stack.enter_context(stand("openai", Answer.error(401, "No such key", code=small)))
    with failover_run("chat", chain=[each.candidate]) as run:
        with pytest.raises(openai.APIError), run.attempt(each.candidate):
            each.ask()
    assert telemetry.candidates[0]["failover.error.code"] != small


def by_text(attempt: Attempt, text: str) -> None:
    raise LoopError(f"could not ask with {text}")


def by_word(attempt: Attempt, text: str) -> None:
    attempt.fail(f"bad:{text}"[:48])


def by_fields(attempt: Attempt, text: str) -> None:
    attempt.fail({"reason": text, "code": text, "request_id": text, "message": f"failed with {text}", "type": text})


def by_rejection(attempt: Attempt, text: str) -> None:
    attempt.reject(f"no use of {text}")


def by_cause(attempt: Attempt, text: str) -> None:
    raise LoopError("could not ask") from ValueError(text)


def by_span(attempt: Attempt, text: str) -> None:
    span = get_current_span()
    span.set_attribute("error.message", f"failed with {text}")
    span.set_status(StatusCode.ERROR, text)


SAYINGS = [by_text, by_word, by_fields, by_rejection, by_cause, by_span]


@pytest.mark.parametrize(
    "answer", [Answer.openai_rate_limit(), Answer.ok(), Answer.reset()], ids=["429", "ok", "reset"]
)
@pytest.mark.parametrize("say", SAYINGS)
@pytest.mark.parametrize("spell", [plain, percent, in_base64, piece])
def test_what_the_loop_says_of_the_key_does_not_leave(
    telemetry: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    say: Callable[[Attempt, str], None],
    spell: Callable[[str], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    each = stack.enter_context(stand("openai", answer, key=ODD_KEY))
    with failover_run("chat", chain=[each.candidate]) as run:
        try:
            with run.attempt(each.candidate) as attempt:
                try:
                    each.ask()
                except openai.APIError:
                    say(attempt, spell(ODD_KEY))
                    raise
                say(attempt, spell(ODD_KEY))
        except (LoopError, openai.APIError):
            run.stop(f"gave up with {plain(OPENAI_KEY)}")
    is_kept(ODD_KEY, telemetry, caplog)
    assert OPENAI_KEY not in leaves(telemetry, caplog)


@pytest.mark.parametrize("where", ["profile", "model", "endpoint"])
def test_a_key_put_where_a_label_belongs_does_not_leave(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """A label is the host's; a key in it is a mistake that we do not hand on."""
    each = stack.enter_context(stand("openai", Answer.openai_rate_limit(), key=OPENAI_KEY))
    port = each.server.endpoint
    candidate = {
        "profile": Candidate("openai", "gpt-5.5", port, f"key {OPENAI_KEY}"),
        "model": Candidate("openai", f"gpt-5.5?key={OPENAI_KEY}", port),
        "endpoint": Candidate("openai", "gpt-5.5", port.replace("://", f"://user:{OPENAI_KEY}@") + f"/?k={OPENAI_KEY}"),
    }[where]
    with failover_run("chat", chain=[candidate]) as run:
        with pytest.raises(openai.RateLimitError), run.attempt(candidate):
            each.ask()
    out = leaves(telemetry, caplog)
    assert OPENAI_KEY not in out


# --- keys of others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["exception", "text", "fail", "application span"])
def test_a_key_stolen_along_with_its_text_does_not_leave(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, says: str
) -> None:
    """It is not this attempt's, so its format tells it."""
    first = stack.enter_context(stand("openai", in_message(OPENAI_KEY), key=OPENAI_KEY))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1, key=ANTHROPIC_KEY))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.AuthenticationError) as caught, run.attempt(first.candidate):
            first.ask()
        try:
            with run.attempt(second.candidate) as attempt:
                with pytest.raises(anthropic.APITimeoutError):
                    second.ask()
                steal(telemetry, attempt, says, caught.value)
        except (LoopError, openai.APIError):
            pass
    assert len(telemetry.markers) == 1
    assert telemetry.markers[0]["failover.attribution.claimed.message"]
    if says != "application span":
        is_kept(OPENAI_KEY, telemetry, caplog)
    for marker in telemetry.markers:
        assert OPENAI_KEY.encode() not in marker.raw
    is_kept(ANTHROPIC_KEY, telemetry, caplog)


def steal(telemetry: Telemetry, attempt: Attempt, says: str, stale: Exception) -> None:
    if says == "exception":
        raise stale
    if says == "text":
        raise LoopError(str(stale))
    if says == "fail":
        attempt.fail({"status": 401, "message": str(stale)})
        return
    with telemetry.tracer.start_as_current_span("ask") as span:
        span.set_status(StatusCode.ERROR, str(stale))
        telemetry.disclosed.add(format_span_id(span.get_span_context().span_id))


def test_the_key_of_an_attempt_is_found_in_another_spans_claim(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of no known format, stolen along with its text: the other attempt knew it."""
    first = stack.enter_context(stand("openai", in_message(ODD_KEY), key=ODD_KEY))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.AuthenticationError) as caught, run.attempt(first.candidate):
            first.ask()
        with pytest.raises(LoopError), run.attempt(second.candidate):
            with pytest.raises(anthropic.APITimeoutError):
                second.ask()
            raise LoopError(str(caught.value))
    assert len(telemetry.markers) == 1
    is_kept(ODD_KEY, telemetry, caplog)


# --- no text at all ---------------------------------------------------------------------------------------------------

WORDS = "Quota of the seventh ledger is spent until the tide returns"


@pytest.fixture
def silent(telemetry: Telemetry) -> Telemetry:
    FailoverInstrumentor().uninstrument()
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider, error_text="none")
    return telemetry


def no_words(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    out = leaves(telemetry, caplog)
    for words in (WORDS, "seventh ledger", "tide returns"):
        assert words not in out


def asked_twice(first: Stand, second: Stand, say: Callable[[Attempt, Exception], None], stream: bool = False) -> None:
    with failover_run("chat", chain=[first.candidate, second.candidate]) as run:
        with pytest.raises(openai.APIError) as caught, run.attempt(first.candidate):
            list(first.ask(stream=stream))
        try:
            with run.attempt(second.candidate) as attempt:
                with pytest.raises(anthropic.APITimeoutError):
                    second.ask()
                say(attempt, caught.value)
        except (LoopError, openai.APIError):
            pass


def raised(attempt: Attempt, stale: Exception) -> None:
    raise LoopError(str(stale))


def again(attempt: Attempt, stale: Exception) -> None:
    raise stale


def failed(attempt: Attempt, stale: Exception) -> None:
    attempt.fail(str(stale))


def given(attempt: Attempt, stale: Exception) -> None:
    attempt.fail({"status": 429, "reason": str(stale), "message": str(stale)})


def refused(attempt: Attempt, stale: Exception) -> None:
    attempt.reject(str(stale))


def written(attempt: Attempt, stale: Exception) -> None:
    get_current_span().set_status(StatusCode.ERROR, str(stale))
    get_current_span().set_attribute("error.message", str(stale))


@pytest.mark.parametrize("answer", [Answer.error(429, WORDS), Answer.stream(["a"], then="error", message=WORDS)])
@pytest.mark.parametrize("say", [raised, again, failed, given, refused, written])
def test_no_text_means_no_text(
    silent: Telemetry,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
    say: Callable[[Attempt, Exception], None],
    answer: Answer,
) -> None:
    first = stack.enter_context(stand("openai", answer))
    second = stack.enter_context(stand("anthropic", Answer.hang(), timeout=0.1))
    asked_twice(first, second, say, stream=answer.kind == "stream")
    no_words(silent, caplog)
    span = silent.candidates[1]
    if say is not refused:
        assert span.verdict == ("mismatch", "stale_error")
        assert silent.markers[0]["failover.attribution.claimed.message"] is None
    assert silent.candidates[0].status == "ERROR"


def test_no_text_of_an_honest_claim_either(
    silent: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    first = stack.enter_context(stand("openai", Answer.error(429, WORDS)))
    with failover_run("chat", chain=[first.candidate]) as run, run.attempt(first.candidate) as attempt:
        with pytest.raises(openai.RateLimitError) as caught:
            first.ask()
        attempt.fail(str(caught.value))
        attempt.fail({"reason": WORDS})
    no_words(silent, caplog)
    assert silent.candidates[0].description == "429 rate_limit from openai"


# --- the net under the whole suite ------------------------------------------------------------------------------------


def test_every_test_looks_for_the_keys_of_the_table() -> None:
    assert planted.keys() >= set(KEYS.values())


@pytest.mark.parametrize("spell", [*SPELLINGS, in_hex, str.upper, str.lower, lambda key: key[::-1]])
@pytest.mark.parametrize("key", [ODD_KEY, OPENAI_KEY], ids=["any format", "known format"])
def test_the_net_finds_every_spelling(key: str, spell: Callable[[str], str]) -> None:
    assert planted.left_of(key, f"before {spell(key)} after".encode()) is not None


def test_the_net_finds_a_key_in_a_span_and_in_a_log_line(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("ask") as span:
        span.set_attribute("what", f"with {in_base64(ODD_KEY)}")
    with pytest.raises(AssertionError, match="span ask: base64"):
        planted.check(telemetry, [])
    telemetry.clear()
    with pytest.raises(AssertionError, match="log: plain"):
        planted.check(telemetry, [f"WARNING {ODD_KEY}"])
    planted.check(telemetry, ["WARNING nothing"])


def test_a_key_in_the_name_of_a_run_does_not_leave(telemetry: Telemetry) -> None:
    key = "sk-proj-Qw3eRt5yUi7oPa9sDf2gHj4kL6zX8cV1bN0m"
    with failover_run(f"chat with {key}", name=f"route {key}"):
        pass
    assert telemetry.run.name.startswith("failover chat with ")
    assert not any(key.encode() in raw for raw in telemetry.exporter.raw)
    assert key not in str(telemetry.metric("failover.runs"))


# --- whatever comes from outside --------------------------------------------------------------------------------------

FOREIGN = "gsk_" + "n7Xk2Lm9Pz4Rt8Vw3Yb6Qd1Hs5Jf0Gc"
OWN = "Vb6Nm2Xc8Zl4Kj7Hg1Fd9Sa3Qp5"
"""Of no known format."""

SAID_IN = {
    "the answer's id": lambda text: Answer.ok(response_id=f"chatcmpl-{text}"),
    "the answer's model": lambda text: Answer.ok(model=f"gpt-{text}"),
    "the code": lambda text: Answer.error(429, "Not so many", code=text),
    "the type": lambda text: Answer.error(429, "Not so many", type=text),
    "the request id": lambda text: Answer.error(429, "Not so many", request_id=f"req_{text}"),
}


@pytest.mark.parametrize("key", [FOREIGN, OWN], ids=["foreign", "own"])
@pytest.mark.parametrize("place", SAID_IN)
@pytest.mark.parametrize("how", ["attempt", "bare", "outside"])
def test_a_key_does_not_leave_as_any_fact_of_an_answer(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, key: str, place: str, how: str
) -> None:
    caplog.set_level(logging.DEBUG)
    telemetry.planted.update((FOREIGN, OWN))
    each = stack.enter_context(stand("openai", SAID_IN[place](key), key=OWN))
    run: Any = nullcontext() if how == "outside" else failover_run("chat", chain=[each.candidate])
    with suppress(openai.APIError), run as opened:
        with opened.attempt(each.candidate) if how == "attempt" else nullcontext():
            each.ask()
    is_kept(key, telemetry, caplog)


NAMED_BY_THE_HOST = {
    "a chain's provider": lambda text: failover_run("chat", chain=[f"{text}/gpt-4o", "openai/gpt-5.5"]),
    "a chain's model": lambda text: failover_run("chat", chain=[f"openai/{text}", "openai/gpt-5.5"]),
    "a chain that cannot be read": lambda text: failover_run("chat", chain=_Unreadable(text)),
    "the name": lambda text: failover_run("chat", name=text),
}


class _Unreadable:
    def __init__(self, text: str) -> None:
        self.text = text

    def __iter__(self) -> Iterator[object]:
        raise ValueError(f"no chain for api_key={self.text}")


@pytest.mark.parametrize("place", NAMED_BY_THE_HOST)
def test_a_key_does_not_leave_as_what_the_host_named(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.DEBUG)
    telemetry.planted.add(FOREIGN)
    each = stack.enter_context(stand("openai", Answer.openai_rate_limit(), key=OWN))
    with suppress(openai.APIError), NAMED_BY_THE_HOST[place](FOREIGN) as run:
        run.skip(f"openai/{FOREIGN}", reason=f"cooling: {FOREIGN}", cause=ValueError(FOREIGN))
        with run.attempt(f"{FOREIGN}/gpt-4o"):
            each.ask()
    is_kept(FOREIGN, telemetry, caplog)


def test_the_own_key_is_known_to_the_next_who_says_it(
    telemetry: Telemetry, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no known format, and stands where nothing says that it is one: in a label, a stop, another's answer."""
    telemetry.planted.add(OWN)
    first = stack.enter_context(stand("openai", Answer.openai_rate_limit(), key=OWN))
    second = stack.enter_context(stand("anthropic", Answer.error(400, f"relayed for {OWN[::-1]}")))
    with suppress(anthropic.APIError), failover_run("chat") as run:
        with suppress(openai.APIError), run.attempt(first.candidate):
            first.ask()
        run.skip(f"openai/{OWN}", reason=" ".join(OWN))
        run.stop(f"no more of {OWN}")
        with run.attempt(second.candidate):
            second.ask()
    is_kept(OWN, telemetry, caplog)
    assert " ".join(OWN[:8]) not in leaves(telemetry, caplog)
    assert OWN[::-1][:8] not in leaves(telemetry, caplog)
