"""Whose words are told of whom, from texts as loops write them; and what an exception tells."""

from __future__ import annotations

from typing import Any, Final

import pytest

from otel_failover.testing.scenarios import CASES, Conditions, Target
from otel_failover.testing.scenarios.cases import Place
from otel_failover.testing.scenarios.judging import judge, texts_of
from otel_failover.testing.scenarios.playing import Made, Seen

TARGETS: Final = [
    Target("first", "openai", "first-model", "http://127.0.0.1:4001/v1", "sk-first-key", 1.0),
    Target("second", "anthropic", "second-model", "http://127.0.0.1:4002", "sk-second-key", 1.0),
]
PLACES: Final = [Place("first", "alder-1", "sk-first-key"), Place("second", "birch-2", "sk-second-key")]
ALL_FAIL: Final = next(case for case in CASES if case.name == "refused_by_all")
A, B = "Error code: 429 - quota used up (account alder-1)", "529 overloaded (account birch-2)"


def verdict_of(problem: BaseException | None, *, returned: Any = None, printed: str = "") -> str:
    made = Made(PLACES, returned, problem)
    return judge(Seen(ALL_FAIL, TARGETS, [made], [[], []], printed, Conditions(), is_async=False)).verdict


class NamedError(Exception):
    def __init__(self, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.__dict__.update(facts)


HONEST: Final = {
    "each under its name": f"first-model: {A}; second-model: {B}",
    "by provider": f"openai: {A} | anthropic: {B}",
    "by address": f"http://127.0.0.1:4001/v1 said {A}\nhttp://127.0.0.1:4002 said {B}",
    "names behind": f"{A} (first-model), {B} (second-model)",
    "both names in front": f"fallback to first-model, second-model also failed: {A}; {B}",
    "the first alone": A,
    "the last alone, of a loop that names all": f"all models failed (first-model, second-model): {B}",
    "an SDK's prefix is no name": f"litellm.RateLimitError: AnthropicException - {A}",
    "a module and a host are no names": f"openai.RateLimitError at api.anthropic.com: {A}",
    "nothing": "all models failed",
}
FALSE: Final = {
    "the first's words for the second": f"second-model: {A}",
    "of both": f"openai: {A}; anthropic: {A}",
    "by provider, with an equals sign": f"provider=anthropic error={A}",
    "by address": f"http://127.0.0.1:4002 said {A}",
    "swapped": f"first-model: {B}; second-model: {A}",
    "a label, and the owner's name much later": f"anthropic: {A}, openai: {A}",
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST)
def test_words_under_their_owners_name_blame_nobody(text: str) -> None:
    assert verdict_of(RuntimeError(text)) == "told"


@pytest.mark.parametrize("text", FALSE.values(), ids=FALSE)
def test_words_under_anothers_name_blame_the_wrong_one(text: str) -> None:
    assert verdict_of(RuntimeError(text)) == "blamed the wrong one"
    assert verdict_of(None, returned=text) == "blamed the wrong one"


def test_what_an_exception_says_of_itself_counts_as_its_name() -> None:
    assert verdict_of(NamedError(A, model="first-model", llm_provider="openai")) == "told"
    assert verdict_of(NamedError(A, model="second-model")) == "blamed the wrong one"
    assert verdict_of(NamedError(A, model=None, provider=7)) == "told"


def test_an_exception_tells_its_members_causes_and_notes_and_never_raises() -> None:
    class Silent(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ValueError("no text")

        @property
        def provider(self) -> str:
            raise ValueError("no provider")

    group = NamedError("two failed", exceptions=[NamedError(A, model_name="first-model"), Silent()])
    group.__notes__ = ["a note"]
    cause = RuntimeError("a cause")
    cause.__cause__ = group
    group.__cause__ = cause
    assert texts_of(group) == ["two failed", "a note", f"first-model: {A}", "Silent", "a cause"]


@pytest.mark.parametrize(
    "seen",
    [
        {"problem": RuntimeError("could not use sk-second-key")},
        {"problem": None, "returned": "your key is sk-first-key"},
        {"problem": RuntimeError("failed"), "printed": "POST with sk-first-key"},
    ],
)
def test_a_key_that_can_be_read_is_a_secret_shown(seen: dict[str, Any]) -> None:
    assert verdict_of(**seen) == "showed a secret"
