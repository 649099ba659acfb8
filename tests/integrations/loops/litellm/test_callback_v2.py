"""litellm's second OpenTelemetry callback: a span for each attempt, whose model is the group's name. Honest, unless not."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("litellm")

from otel_failover.testing.providers import Answer
from tests.integrations.loops.litellm.bench import Bench, clear_clients, litellm, piece, read, run, until
from tests.support.hosts import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.spans import Exported, Telemetry

if importlib.util.find_spec("litellm.integrations.otel") is None:
    pytest.skip("this litellm has one callback only", allow_module_level=True)
loggers: Any = importlib.import_module("litellm.integrations.otel.logger")
OpenTelemetryV2: Any = loggers.OpenTelemetryV2
QUOTA = "You exceeded your current quota"
LISTS = ("input_callback", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback")
"""Where litellm keeps a callback that it has met, one of each class."""


class Thief(OpenTelemetryV2):  # type: ignore[misc]
    """The incident: what the first failure was is told of every later one too."""

    kept: Any = None

    async def async_log_failure_event(self, kwargs: Any, *args: Any, **named: Any) -> None:
        said = kwargs["standard_logging_object"]
        self.kept = self.kept or {key: said[key] for key in ("error_information", "error_str")}
        said.update(self.kept)
        await super().async_log_failure_event(kwargs, *args, **named)


@pytest.fixture
def bench() -> Iterator[Bench]:
    clear_clients()
    with ExitStack() as stack:
        yield Bench(stack)


def asked(
    telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch, callback: Any, *, stream: bool = False
) -> list[Exported]:
    """Ask with a callback registered; return its spans, in order, once all have been written."""
    monkeypatch.setenv("LITELLM_OTEL_V2", "true")
    for name in LISTS:
        monkeypatch.setattr(litellm, name, [])
    monkeypatch.setattr(litellm, "callbacks", [callback(tracer_provider=telemetry.provider)])
    router, said = bench.router(), []

    async def request() -> Any:
        with telemetry.tracer.start_as_current_span("request"):
            result = await router.acompletion("a", list(MESSAGES), stream=stream)
            said.append("".join([piece(chunk) async for chunk in result]) if stream else read(result))
        await until(lambda: len(its_own(telemetry)) == len(telemetry.candidates))

    run(request)
    assert said == ["fine"]
    return its_own(telemetry)


def its_own(telemetry: Telemetry) -> list[Exported]:
    return sorted((span for span in telemetry.spans if span.scope == "litellm"), key=lambda span: span.start)


@pytest.mark.parametrize("stream", [False, True])
def test_a_span_that_names_the_group_is_honest(
    telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    served = Answer.stream(["fi", "ne"]) if stream else Answer.ok("fine")
    bench.chain(Answer.openai_quota(), Answer.anthropic_not_found("model-b"), served)
    spans = asked(telemetry, bench, monkeypatch, OpenTelemetryV2, stream=stream)
    assert [span["gen_ai.request.model"] for span in spans[:2]] == ["a", "b"]
    assert [span["gen_ai.provider.name"] for span in spans] == ["openai", "anthropic", "openai"]
    assert [span["candidate.index"] for span in spans] == [0, 1, 2]
    assert [span.parent_id for span in spans] == [span.span_id for span in telemetry.candidates]
    assert [span.verdict for span in spans[:2]] == [("verified", None), ("verified", None)]
    assert spans[2].verdict[0] in (None, "verified")
    assert {span.verdict[0] for span in telemetry.candidates} == {"verified"}
    assert telemetry.markers == []


def test_one_that_carries_another_ones_error_is_a_mismatch(
    telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anthropic was silent; its span says that OpenAI's quota is used up."""
    bench.add("a", "openai", Answer.openai_quota(), model="model-a")
    bench.add("b", "anthropic", Answer.hang(), model="model-b", timeout=0.5)
    bench.add("c", "openai", Answer.ok("fine"), model="model-c")
    first, second, _ = asked(telemetry, bench, monkeypatch, Thief)
    assert first.verdict[0] == "verified"
    assert QUOTA in second["error.message"]
    assert second.verdict == ("mismatch", "stale_error")
    assert second["failover.attribution.expected.provider"] == "anthropic"
    assert second["failover.attribution.source.provider"] == "openai"
    assert second["failover.attribution.source.span_id"] == telemetry.candidates[0].span_id
    (marker,) = telemetry.markers
    assert marker.parent_id == second.span_id
    silent = telemetry.candidates[1]
    assert (silent["failover.reason.code"], silent["http.response.status_code"]) == ("timeout", None)
    assert silent.verdict[0] != "mismatch"


def test_one_without_errors_says_nothing(telemetry: Telemetry, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.chain(Answer.ok("fine"), Answer.ok("never"))
    (span,) = asked(telemetry, bench, monkeypatch, OpenTelemetryV2)
    assert span["candidate.provider"] == "openai"
    assert span.verdict[0] in (None, "verified")
    assert telemetry.markers == []
