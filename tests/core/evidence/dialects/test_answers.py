"""What an answer says of itself, whole or streamed, however its bytes are cut; and what is an error instead."""

from __future__ import annotations

import gc
import gzip
import json
import random
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_failover._core.evidence.dialects.stream import AnswerStream
from otel_failover._core.evidence.dialects.whole_body import answer_in
from otel_failover._core.failsafe import read
from tests.core.evidence.dialects.answers import AWS, ERRORS, JSON, SSE, STREAMS, WHOLE, chunk, event, said, sse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_failover._core.evidence.dialects.answer import Answer
    from tests.core.evidence.dialects.answers import Streamed

DIALECTS: Final = sorted({whole.dialect for whole in WHOLE.values()} | {each.dialect for each in STREAMS.values()})


def facts(answer: Answer) -> tuple[Any, ...]:
    """What an answer says of itself."""
    return answer.id, answer.model, answer.finish, (answer.usage.input_tokens, answer.usage.output_tokens)


def heard(streamed: Streamed, pieces: Iterable[bytes], encoding: str = "") -> AnswerStream:
    """A stream that has been read from pieces."""
    stream = AnswerStream(streamed.dialect, streamed.content_type, encoding)
    for piece in pieces:
        stream.feed(piece)
    return stream


def seen(stream: AnswerStream) -> tuple[Any, ...]:
    """All that a stream tells."""
    answer = stream.answer
    return (
        *facts(answer), answer.empty, answer.refused, answer.error, stream.has_output, stream.has_ended, stream.gave_up,
    )  # fmt: skip


# --- whole ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_says_who_it_is_and_what_it_holds(name: str) -> None:
    whole = WHOLE[name]
    answer = answer_in(whole.dialect, json.dumps(whole.body).encode())
    assert facts(answer) == (whole.id, whole.model, whole.finish, whole.tokens)
    assert (answer.empty, answer.refused, answer.error) == (whole.empty, whole.refused, None)
    assert read(answer, "id") == whole.id
    assert read(read(answer, "usage"), "input_tokens") == whole.tokens[0]


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[", b'"x"', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_answer_says_nothing(content: bytes) -> None:
    answer = answer_in("chat_completions", content)
    assert facts(answer) == (None, None, None, (None, None))
    assert (answer.empty, answer.refused, answer.error) == (None, False, None)


@pytest.mark.parametrize(
    "name", [name for name, each in ERRORS.items() if each.event[:1] == b"{" or b"data:" in each.event]
)
def test_an_error_under_a_200_is_an_error(name: str) -> None:
    error = ERRORS[name]
    body = error.event.partition(b"data:")[2].strip() or error.event
    if name in ("M", "K"):  # whose sign is the event's type
        return
    answer = answer_in(error.dialect, body)
    assert answer.error is not None
    assert answer.error.reason(200) == error.reason
    assert (answer.error.code, answer.error.message) == (error.code, error.message)
    assert answer.error.text == body.decode()
    assert answer.empty is True


def test_a_very_long_answer_is_read_at_its_ends() -> None:
    body = {**said(content="x" * 1_000_000), "system_fingerprint": None}
    answer = answer_in("chat_completions", json.dumps(body).encode())
    assert (answer.id, answer.model) == ("c-1", "m-1x")


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_a_streamed_answer_says_who_it_is_what_it_holds_and_that_it_has_ended(name: str) -> None:
    streamed = STREAMS[name]
    stream = heard(streamed, streamed.events)
    assert facts(stream.answer) == (streamed.id, streamed.model, streamed.finish, streamed.tokens)
    assert stream.has_output
    assert stream.has_ended is streamed.ends
    assert (stream.error, stream.gave_up, stream.answer.empty, stream.answer.refused) == (None, False, False, False)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_has_not_ended(name: str) -> None:
    """Wherever it is cut before the mark of its end; where a dialect has none, that is not known."""
    streamed = STREAMS[name]
    whole = b"".join(streamed.events)
    last = len(streamed.events[-1]) + (len(streamed.events[-2]) if "[DONE]" in str(streamed.events[-1]) else 0)
    last += len(streamed.events[-3]) if len(streamed.events) > 3 and '"choices": []' in str(streamed.events[-2]) else 0
    last += len(streamed.events[-2]) if streamed.dialect in ("converse", "messages") else 0
    if name == "E, a list":
        last = 600
    for length in {0, 1, len(whole) // 2, max(0, len(whole) - last - 1)}:
        stream = heard(streamed, [whole[:length]])
        assert stream.has_ended in (False, None), length
        if stream.has_ended is None:
            assert streamed.dialect in ("gemini", "interactions", "replicate")


@pytest.mark.parametrize("name", STREAMS)
def test_before_its_first_word_a_stream_has_no_output(name: str) -> None:
    streamed = STREAMS[name]
    stream = AnswerStream(streamed.dialect, streamed.content_type, "")
    stream.feed(streamed.events[0])
    starts = ("role", "response.created", "message_start", "interaction.start", "messageStart", "message-start",
              "stream-start", "PROCESSING", "conversation.response.started", "reasoning_content")  # fmt: skip
    is_start = any(sign in str(streamed.events[0]) for sign in starts) and '"content": "Hi"' not in str(
        streamed.events[0]
    )
    if streamed.dialect in ("gemini", "ollama") or name.startswith(("F2", "a whole")):
        return
    assert stream.has_output is not is_start


@given(st.sampled_from(sorted(STREAMS)), st.data())
@settings(max_examples=120, deadline=None)
def test_however_its_bytes_are_cut_a_stream_tells_the_same(name: str, data: st.DataObject) -> None:
    streamed = STREAMS[name]
    whole = b"".join(streamed.events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    if data.draw(st.booleans()):
        cuts = sorted({*cuts, *range(0, len(whole), data.draw(st.integers(1, 400)))})
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert seen(heard(streamed, pieces)) == seen(heard(streamed, streamed.events))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_tells_the_same_byte_by_byte_and_at_once(name: str) -> None:
    streamed = STREAMS[name]
    whole = b"".join(streamed.events)
    expected = seen(heard(streamed, streamed.events))
    assert seen(heard(streamed, [whole])) == expected
    assert seen(heard(streamed, [whole[at : at + 1] for at in range(len(whole))])) == expected
    without_end = whole.rstrip(b"\r\n")
    if streamed.content_type != AWS:
        assert seen(heard(streamed, [without_end])) == expected


@pytest.mark.parametrize("when", ["first", "in the midst"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_a_stream_is_known_at_once(name: str, when: str) -> None:
    error = ERRORS[name]
    before = next((each for each in STREAMS.values() if each[:2] == error[:2]), None)
    events = () if when == "first" or before is None else before.events[:100][:-1]
    whole = b"".join((*events, error.event))
    for size in (1, 7, len(whole)):
        stream = AnswerStream(error.dialect, error.content_type, "")
        for at in range(0, len(whole), size):
            stream.feed(whole[at : at + size])
        assert stream.error is not None
        assert stream.error.reason(200) == error.reason
        assert (stream.error.code, stream.error.message) == (error.code, error.message)
        assert stream.has_output is bool(events)


ODD: Final = {
    "a text that speaks of errors": chunk(
        {"content": 'it said {"error": {"message": "no", "code": "x"}} event: error'}
    ),
    "a tool call that does": chunk({"tool_calls": [{"function": {"arguments": '{"error": {"message": "no"}}'}}]}),
    "a filter that did not run": chunk(
        {"content": "x"}, content_filter_results={"error": {"code": "x", "message": "no"}}
    ),
    "no error": chunk({"content": "x"}, error=None),
    "an empty one": chunk({"content": "x"}, error={}),
}


@pytest.mark.parametrize("name", ODD)
def test_what_only_looks_like_an_error_is_none(name: str) -> None:
    streamed = STREAMS["A"]
    stream = heard(streamed, [*streamed.events[:5], sse(ODD[name]), *streamed.events[5:]])
    assert stream.error is None
    assert stream.answer.error is None
    assert stream.has_ended is True


@pytest.mark.parametrize(
    ("dialect", "content_type", "last"),
    [
        ("chat_completions", SSE, sse(chunk({}, "content_filter"))),
        ("messages", SSE, sse({"type": "message_delta", "delta": {"stop_reason": "refusal"}}, "message_delta")),
        ("gemini", SSE, sse({"promptFeedback": {"blockReason": "SAFETY"}})),
        ("gemini", SSE, sse({"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]})),
        ("converse", AWS, event("messageStop", {"stopReason": "guardrail_intervened"})),
        ("cohere", SSE, sse({"type": "message-end", "delta": {"finish_reason": "ERROR_TOXIC"}}, "message-end")),
    ],
)
def test_an_answer_that_is_withheld_says_so_at_its_end(dialect: str, content_type: str, last: bytes) -> None:
    stream = AnswerStream(dialect, content_type, "")
    stream.feed(last)
    assert (stream.answer.refused, stream.answer.empty, stream.error) == (True, True, None)


# --- compressed, foreign, endless -------------------------------------------------------------------------------------


def _deflated(content: bytes) -> bytes:
    return zlib.compress(content)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("GZIP ", gzip.compress), ("deflate", _deflated)]
)
@pytest.mark.parametrize("name", ["A", "F", "H", "E, a list"])
def test_a_compressed_stream_tells_the_same(name: str, encoding: str, pack: Any) -> None:
    streamed = STREAMS[name]
    content = pack(b"".join(streamed.events))
    for size in (1, 100, len(content)):
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        assert seen(heard(streamed, pieces, encoding)) == seen(heard(streamed, streamed.events))


def test_a_body_of_several_members_is_one() -> None:
    streamed = STREAMS["A"]
    pieces = [gzip.compress(each) for each in streamed.events]
    assert seen(heard(streamed, [b"".join(pieces)], "gzip")) == seen(heard(streamed, streamed.events))


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "whatever"])
def test_what_cannot_be_decoded_is_given_up_honestly(encoding: str) -> None:
    stream = AnswerStream("chat_completions", SSE, encoding)
    assert (stream.gave_up, stream.has_output, stream.has_ended) == (True, False, None)
    stream.feed(b"\x8b\x01\x80")
    assert (stream.gave_up, stream.has_output, stream.has_ended) == (True, True, None)
    assert facts(stream.answer) == (None, None, None, (None, None))


@pytest.mark.parametrize(
    ("encoding", "content_type", "content"),
    [
        ("gzip", SSE, b"data: {}\n\n"),
        ("", AWS, b"data: {}\n\n" * 9),
        ("gzip", SSE, gzip.compress(b"x" * 90)[:-20] + b"\0" * 40),
    ],
)
def test_what_is_not_what_it_says_is_given_up(encoding: str, content_type: str, content: bytes) -> None:
    stream = AnswerStream("converse", content_type, encoding)
    stream.feed(content)
    stream.feed(content)
    assert (stream.gave_up, stream.has_ended) == (True, None)


@given(
    st.sampled_from(DIALECTS),
    st.sampled_from([SSE, JSON, AWS, "application/x-ndjson", "", "text/html"]),
    st.sampled_from(["", "gzip", "deflate", "br"]),
    st.lists(st.binary(max_size=300), max_size=6),
)
@settings(deadline=None)
def test_nothing_that_comes_can_break_it(dialect: str, content_type: str, encoding: str, pieces: list[bytes]) -> None:
    stream = AnswerStream(dialect, content_type, encoding)
    for piece in pieces:
        stream.feed(piece)
    assert seen(stream) == seen(stream)
    answer_in(dialect, b"".join(pieces))


JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["choices", "message", "delta", "usage", "error", "content", "candidates", "output", "results", "response", "type",
         "finish_reason", "bytes", "code", "tokens", "result", "outputs", "stop_reason", "base_resp", "parts"]), inner, max_size=4),
    max_leaves=16,
)  # fmt: skip


@given(st.sampled_from(DIALECTS), st.lists(JUNK, max_size=4))
@settings(deadline=None)
def test_no_document_can_break_it(dialect: str, documents: list[Any]) -> None:
    for each in documents:
        answer_in(dialect, json.dumps(each).encode())
    for content_type, content in (
        (SSE, b"".join(map(sse, documents))),
        (JSON, json.dumps(documents).encode()),
        (AWS, b"".join(event("chunk", each) for each in documents if isinstance(each, dict))),
    ):
        stream = AnswerStream(dialect, content_type, "")
        stream.feed(content)
        assert seen(stream)


@pytest.mark.parametrize(
    ("content_type", "piece"),
    [(SSE, b"data: " + b"x" * 60_000), (JSON, b'{"a": "' + b"x" * 60_000), (SSE, sse(chunk({"content": "word " * 200}))),
     (AWS, event("contentBlockDelta", {"delta": {"text": "word " * 9000}}))],
)  # fmt: skip
def test_what_is_kept_is_bounded(content_type: str, piece: bytes) -> None:
    stream = AnswerStream("chat_completions", content_type, "")
    stream.feed(piece)
    gc.collect()
    tracemalloc.start()
    for _ in range(200):
        stream.feed(bytes(bytearray(piece)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 400_000


def test_an_event_that_is_too_long_is_passed_over_and_those_after_it_are_not() -> None:
    streamed = STREAMS["A"]
    long = sse(chunk({"content": "x" * 300_000}))
    for size in (1_000, 1_000_000):
        whole = b"".join((*streamed.events[:3], long, *streamed.events[3:]))
        stream = heard(streamed, [whole[at : at + size] for at in range(0, len(whole), size)])
        assert facts(stream.answer) == (streamed.id, streamed.model, streamed.finish, streamed.tokens)
        assert stream.has_ended is True
    frames = STREAMS["F"]
    picture = event("contentBlockDelta", {"delta": {"text": "x" * 300_000}})
    whole = b"".join((*frames.events[:3], picture, *frames.events[3:]))
    for size in (999, 100_000, len(whole)):
        stream = heard(frames, [whole[at : at + size] for at in range(0, len(whole), size)])
        assert (facts(stream.answer)[2:], stream.has_ended) == ((frames.finish, frames.tokens), True)


def test_nothing_of_an_answers_text_is_kept_once_it_has_passed() -> None:
    secret = "s3cr3t-" + "".join(random.Random(1).choices("abcdef", k=20))
    stream = heard(STREAMS["A"], [sse(chunk({"content": secret})), *STREAMS["A"].events * 2])
    stream.finish()
    held = repr([getattr(stream, name) for name in AnswerStream.__slots__ if hasattr(stream, name)])
    assert secret not in held
    answer = answer_in("chat_completions", json.dumps(said(content=secret)).encode())
    assert secret not in repr([getattr(answer, name) for name in type(answer).__slots__])


def test_a_chunk_costs_little_and_one_of_hundreds_of_events_hardly_more() -> None:
    """Against decoding each event, which is what the host's SDK does besides; in windows so short that some are quiet."""
    events = [sse(chunk({"content": f" word{place}"})) for place in range(200)]
    texts = [each[6:] for each in events]

    def seconds(pieces: list[bytes]) -> float:
        stream = heard(STREAMS["A"], STREAMS["A"].events[:9])
        started = time.perf_counter()
        for piece in pieces:
            stream.feed(piece)
        return time.perf_counter() - started

    def decoded() -> float:
        started = time.perf_counter()
        for each in texts:
            json.loads(each)
        return time.perf_counter() - started

    floor = min(decoded() for _ in range(60))
    assert min(seconds(events) for _ in range(60)) < 1.5 * floor
    assert min(seconds([b"".join(events)]) for _ in range(60)) < 0.3 * floor
