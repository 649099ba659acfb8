"""Texts made comparable, told apart, and found in one another."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from otel_failover._core.text.matching import (
    KNOWN_WORDING,
    MINIMUM,
    STOCK,
    fingerprint,
    is_long_enough,
    normalise,
    quoted,
    remembered,
    says_enough,
)
from otel_failover._core.text.normal_form import units
from otel_failover.testing.answers import Answer

QUOTA: Final = str(Answer.openai_quota().message)

SPELLINGS: Final = [
    QUOTA,
    QUOTA.upper(),
    QUOTA.replace(" ", "  \n\t"),
    QUOTA.replace(" ", "\u00a0"),
    json.dumps(QUOTA),
    json.dumps(json.dumps(QUOTA)),
    repr(QUOTA),
    f"Error code: 429 - {{'error': {{'message': '{QUOTA}', 'type': 'insufficient_quota', 'param': None}}}}",
    f'{{"error":{{"message":"{QUOTA}"}}}}',
    f"openai.RateLimitError: {QUOTA} (request id req_8f3a)",
    f"“{QUOTA}”",
    f"\u2018{QUOTA}\u2019",
    f"[{QUOTA}]",
    f"failed,({QUOTA});then",
    QUOTA.replace("https", "HTTPS"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_message_in_every_spelling(spelling: str) -> None:
    assert quoted(normalise(QUOTA), normalise(spelling)) == normalise(QUOTA)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Limit 30000, used 29937 for org-8f3a1b", "Limit 40000, used 1 for org-99aa"),
        ("Please retry after 2026-11-20T10:00:00Z or later", "Please retry after 2027-01-01T23:59:59Z or later"),
        ("The model `gpt-5.5` does not exist or", "The model `gpt-4o` does not exist or"),
        ("You didn't provide an API key.", "You didn\u2019t provide an API key."),
        ('He said "no" to us', "He said “no” to us"),
        ("wait … then go", "wait ... then go"),
        ("key [REDACTED] is wrong", "key REDACTED is wrong"),
    ],
)
def test_what_differs_only_in_ids_digits_and_quotes_is_one_text(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert fingerprint(normalise(one)) == fingerprint(normalise(other))


def test_words_make_a_difference() -> None:
    assert normalise("quota of tokens") != normalise("quota of requests")
    assert fingerprint("a") != fingerprint("b")
    assert len(fingerprint("")) == 16


def test_a_fingerprint_takes_half_an_emoji() -> None:
    assert len(fingerprint("half \ud83d")) == 16


@pytest.mark.parametrize(
    "end", ["", "...", "…", " …", "'", '"', "”", '"}', "…)", "... (cut)", " [...]", '", "code": 1']
)
@pytest.mark.parametrize("length", [26, 31, 40, 57, 80, 130])
def test_a_cut_text_is_found(length: int, end: str) -> None:
    found = quoted(normalise(QUOTA), normalise(f"anthropic failed: {QUOTA[:length]}{end}"))
    assert found is not None
    assert len(found) >= MINIMUM
    assert normalise(QUOTA).startswith(found)


@pytest.mark.parametrize(
    "text", [QUOTA[:20] + "...", QUOTA[:23], "You exceeded your", QUOTA[10:60], QUOTA[:40] + " and so on, as they say"]
)
def test_what_is_too_short_or_goes_on_is_not_found(text: str) -> None:
    assert quoted(normalise(QUOTA), normalise(text)) is None


@pytest.mark.parametrize("stock", sorted(STOCK))
def test_a_stock_phrase_binds_nothing(stock: str) -> None:
    assert quoted(stock, f"anthropic failed: {stock}") is None


def test_stock_and_known_wording_are_disjoint() -> None:
    """No stock phrase that is long enough to bind overlaps a provider's sentence; shorter ones bind nothing anyhow."""
    for stock in STOCK:
        for known in KNOWN_WORDING:
            assert stock != known
            assert known not in stock
            assert len(stock) < MINIMUM or stock not in known


def test_no_stock_phrase_stands_in_a_providers_sentence() -> None:
    assert [(s, k) for s in STOCK for k in KNOWN_WORDING if s in k] == [("not found", "is not found for api version")]


@pytest.mark.parametrize(
    "answer",
    [Answer.openai_quota(), Answer.openai_rate_limit(), Answer.openai_bad_key(), Answer.openai_model_not_found(),
     Answer.openai_server_error(), Answer.openai_context_overflow(), Answer.anthropic_rate_limit(),
     Answer.anthropic_credit_too_low(), Answer.gemini_quota(), Answer.gemini_bad_key(), Answer.gemini_not_found(),
     Answer.gemini_overloaded()],
)  # fmt: skip
def test_a_providers_sentence_binds_and_is_known(answer: Answer) -> None:
    text = normalise(str(answer.message))
    assert quoted(text, text) == text
    assert any(phrase in text for phrase in KNOWN_WORDING)


# --- texts: properties ------------------------------------------------------------------------------------------------

_ANY = st.text(max_size=120)
_PRINTABLE = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"), exclude_characters="\\")
    | st.sampled_from(" \n\t"),
    max_size=120,
)
_LETTERS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäéß'-"), min_size=1, max_size=9)
_WORD = st.builds(str.__add__, _LETTERS, st.sampled_from(["", "", "", ",", ".", ":", "!", "?"]))
_NUMBER = st.integers(0, 99_999).map(str)
_MESSAGE = st.lists(_WORD | _WORD | _WORD | _NUMBER, min_size=6, max_size=30).map(" ".join)
_GLUE = st.sampled_from([" ", "\n", ": ", " - ", "; ", "('", '["', "{'message': '", " “", "\t"])
_END = st.sampled_from([" ", "\n", "; ", "')", '"]', "'}", "”", ", 'code': None}"])
_WRAP = st.sampled_from(
    [str, repr, lambda t: json.dumps(t, ensure_ascii=False), lambda t: str({"message": t}), str.upper]
)


@settings(max_examples=400, deadline=None)
@given(_ANY)
@example("\\\\n")
@example(".\\..")
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@settings(max_examples=400, deadline=None)
@given(_PRINTABLE)
def test_escaping_changes_nothing(text: str) -> None:
    bare = normalise(text).strip('" ')
    for escaped in (
        json.dumps(text, ensure_ascii=False),
        repr(text),
        json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False),
    ):
        assert normalise(escaped).strip('" ') == bare


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(_MESSAGE, st.text(max_size=60), st.text(max_size=60), _GLUE, _END, _WRAP)
def test_a_message_is_found_in_anything(message: str, before: str, after: str, glue: str, end: str, wrap: Any) -> None:
    known = normalise(message)
    assume(is_long_enough(known) and says_enough(known))
    assert quoted(known, normalise(f"{before}{glue}{wrap(message)}{end}{after}")) == known


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(
    _MESSAGE,
    st.integers(MINIMUM, 250),
    st.sampled_from(["", "...", "…", "'", '"', "...'}", "… (cut)"]),
    st.text(max_size=40),
)
def test_any_cut_of_a_message_is_found(message: str, length: int, end: str, before: str) -> None:
    known, cut = normalise(message), normalise(message[:length])
    assume(is_long_enough(known) and units(cut) > MINIMUM and says_enough(known, len(cut)))
    found = quoted(known, normalise(f"{before} {message[:length]}{end}"))
    assert found is not None
    assert known.startswith(found)


@pytest.mark.parametrize(
    "text", ["Das Guthaben ist aufgebraucht, bitte prüfen", "You didn\u2019t provide an API key at all"]
)
def test_escapes_beyond_ascii_change_nothing(text: str) -> None:
    assert normalise(json.dumps(text)).strip('" ') == normalise(text)


def test_the_repr_of_odd_spaces_changes_nothing() -> None:
    text = "You exceeded\u00a0your current\u00a0quota for good"
    assert normalise(repr(text)).strip('" ') == normalise(text)


@pytest.mark.parametrize("stump", ["Too many requests for the model gpt", "Too many requests for the model gpt..."])
def test_a_cut_within_an_id_is_found(stump: str) -> None:
    known = normalise("Too many requests for the model gpt4o in your organization")
    assert quoted(known, normalise(stump)) == "too many requests for the model"


@pytest.mark.parametrize("glue", ["429|{}", "<h1>{}", "\x1b[31m{}"])
def test_a_message_glued_to_a_digit_is_found(glue: str) -> None:
    assert quoted(normalise(QUOTA), normalise(glue.format(QUOTA))) == normalise(QUOTA)


@pytest.mark.parametrize(
    "piece",
    ["\\", "%25", "&amp;", " ", "<a ", "+a", "(", "…", "\\x", "余", "余1", "#", "a\n", "-\n", "please ", "try again ",
     "请稍后", "しばらく", "다시 ", "the ", "[+1 more", "'", "is "],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    """Each step is linear: a row of 16,384 signs that a pattern nearly takes costs well under a second, loaded or not."""
    text = (piece * 16_384)[:16_384]
    before = time.process_time()
    quoted(f"{text[:4_096]} but then it goes on", f"{text} z")
    assert list(remembered(text, lambda _: None)) == []
    assert time.process_time() - before < 2


def test_a_long_text_costs_no_more_than_its_first_part() -> None:
    assert len(normalise("word " * 100_000)) <= 16_384
