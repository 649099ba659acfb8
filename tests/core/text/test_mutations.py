"""No key is left however it is written, and what only looks as if it were written so stays as it is."""

from __future__ import annotations

import base64
import json
import random
import time

import pytest

from otel_failover._core.text.redaction import redact
from tests.core.text.mutations import BARE, FORMATS, NAMED, NAMELESS, OWN_ONLY, WRITTEN, Mutation, key, mutation, tried

SEEDS = ["one that stands", time.time_ns()]
COUNT = 1_500


@pytest.mark.parametrize("seed", SEEDS, ids=["fixed", "drawn"])
def test_nothing_is_left_of_the_own_key(seed: int | str) -> None:
    leaks = tried(COUNT, seed, own=True)
    assert not leaks, (seed, leaks[:3])


@pytest.mark.parametrize("seed", SEEDS, ids=["fixed", "drawn"])
def test_next_to_nothing_is_left_of_somebody_elses(seed: int | str) -> None:
    leaks = tried(COUNT, seed, own=False)
    assert len(leaks) <= COUNT * 0.005, (seed, leaks[:3])


@pytest.mark.parametrize("own", [True, False])
def test_each_format_way_and_carrier_takes_part(own: bool) -> None:
    choose = random.Random(1)
    drawn = [mutation(choose, own=own) for _ in range(4_000)]
    assert {each.key.kind for each in drawn} == {*FORMATS, *NAMELESS}
    assert {each.written for each in drawn} == ({*WRITTEN, *OWN_ONLY} if own else {*WRITTEN})
    assert {each.carrier for each in drawn} == {*NAMED, *BARE}


def test_the_measure_sees_what_is_left() -> None:
    """Whatever is masked of nothing is found again, but for what is written in a way that shows no row of the key."""
    choose = random.Random(2)
    for _ in range(500):
        each: Mutation = mutation(choose, own=True)
        assert each.left_in(each.text) is not None, each


@pytest.mark.parametrize("width", [10, 17, 30])
def test_the_line_behind_a_broken_key_stays(width: int) -> None:
    drawn = key(random.Random(width))
    lines = "\n".join(drawn.text[at : at + width] for at in range(0, len(drawn.text), width))
    masked = redact(f"refused: api_key={lines}\nYou can find it in your settings", (drawn.text,))
    assert masked.endswith("You can find it in your settings")


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + random.Random(3).randbytes(120)).decode()
HARMLESS = {
    "a port and a path": "http://localhost:8080/users/bob@example.com answered 500",
    "a scope": "GET https://registry.example:443/@scope/pkg failed",
    "a UUID's place": "https://gw.example/keys/550e8400-e29b-41d4-a716-446655440000 is gone",
    "a key's id": "https://api.openai.com/v1/organization/api_keys/key_abc123DEF456ghi",
    "an id's place": "https://api.replicate.com/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu",
    "a model's place": "POST /v1/tokens/count for gpt-4o-2024-08-06",
    "a hook's name": "see /hooks/pre-commit-2.1 for it",
    "a picture": f"data:image/png;base64,{PNG} is too large",
    "a hash": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "a text in base64": f"details: {base64.b64encode(b'the model is overloaded, come back').decode()[:11]}",
    "a text in hex": f"seen {b'the model is overloaded'.hex()}",
    "numbers": "latencies in ms: 115, 207, 45, 12, 114, 161, 106, 45, 90, 113, 51, 18, 240, 31, 115, 98",
    "lines": "The model gpt-4o-2024-08-06\nis overloaded.\nRequest id: req_011CSHoEeqs5C35K2UUqR7Fy\n  at 2026-11-30T16:23:20Z",
    "entities": "Can&#39;t reach &lt;gpt-4o&gt; &#8212; try again &amp; again",
    "unicode escapes": json.dumps("Modell überlastet — später versuchen"),
    "signs of no width": "a family: \U0001f468\u200d\U0001f469\u200d\U0001f467, and a word\u00adbreak",
    "quoted lines": 'message: "the model "\n    "is overloaded"',
    "fullwidth": "".join(chr(ord(each) + 0xFEE0) for each in "overloaded"),
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_looks_as_if_it_were_written_so_stays(text: str) -> None:
    own = key(random.Random("own")).text
    assert redact(text, (own,)) == text


@pytest.mark.parametrize(
    "placeholder", ["ollama", "lm-studio", "EMPTY", "dummy", "test", "not-needed", "sk-no-key-required"]
)
def test_what_stands_in_a_keys_place_where_none_is_needed_is_no_key(placeholder: str) -> None:
    from otel_failover._core.text.redaction import own_secrets

    held = own_secrets([("authorization", f"Bearer {placeholder}")])
    said = f"{placeholder} answered: the latest model of {placeholder} is empty, and this is a test"
    assert redact(said, held) == said


@pytest.mark.parametrize(
    "filler", ["the model is overloaded, come back later. ", "req_011CSHoEeqs5C35K2UUqR7Fy\n", "{'a': [1, 2]}, "]
)
def test_a_megabyte_takes_no_second(filler: str) -> None:
    text = filler * (1_000_000 // len(filler))
    started = time.thread_time()
    assert redact(text, (key(random.Random("own")).text,)) == text
    assert time.thread_time() - started < 8
