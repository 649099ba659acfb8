"""What another instrumentation's word for a provider is worth: by who says it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_failover._core.domain.asked import Asked
from otel_failover._core.domain.provider_labels import WORTH, provider_on, worth_of

ASKED = Asked("acme", "chat", "m-1", "https://llm.acme.example", is_default=False, provider="cohere")


def span(attributes: Any, scope: Any = "acme") -> object:
    return SimpleNamespace(attributes=attributes, instrumentation_scope=SimpleNamespace(name=scope))


def test_the_longest_scope_that_fits_decides() -> None:
    assert worth_of("opentelemetry.instrumentation.openai.v1") == WORTH["opentelemetry.instrumentation.openai"]
    assert worth_of("opentelemetry.instrumentation.openai_v2") == frozenset()
    assert worth_of("opentelemetry.instrumentation.cohere") == frozenset()
    assert worth_of("litellm.proxy") == worth_of("acme") == worth_of("litellmish") == worth_of("")


def test_the_word_of_the_sdk_says_no_more_than_the_sdk() -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "cohere"}
    assert provider_on(span(said), ASKED) == ""
    assert provider_on(span(said), ASKED._replace(provider="")) == "cohere"


@pytest.mark.parametrize(
    "odd",
    [None, object(), span(None), span([]), span({"gen_ai.operation.name": "chat"}), span({}, 7), SimpleNamespace()],
)
def test_a_span_that_says_nothing_names_nobody(odd: object) -> None:
    assert provider_on(odd, ASKED) == ""


def test_a_scope_that_is_no_text_is_ones_own() -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "groq"}
    assert provider_on(span(said, None), ASKED) == "groq"
    assert provider_on(SimpleNamespace(attributes=said), ASKED) == "groq"
