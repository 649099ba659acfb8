"""A stream that is parsed from a raw response, as litellm does it, is heard as any other."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from otel_failover import failover_run
from otel_failover.testing.providers import Answer
from tests.support.hosts import MESSAGES, stand

if TYPE_CHECKING:
    from tests.support.spans import Telemetry


def test_a_parsed_stream_is_heard(telemetry: Telemetry) -> None:
    with stand("openai", Answer.stream(["fi", "ne"])) as one, failover_run(chain=[one.candidate]):
        raw = one.client.chat.completions.with_raw_response.create(model="gpt-5.5", messages=MESSAGES, stream=True)
        texts = [chunk.choices[0].delta.content or "" for chunk in raw.parse()]
    assert "".join(texts) == "fine"
    (candidate,) = telemetry.candidates
    assert (candidate["failover.evidence"], candidate.verdict[0]) == ("complete", "verified")


def test_one_that_nobody_parses_is_not_seen(telemetry: Telemetry) -> None:
    with stand("openai", Answer.stream(["fi", "ne"])) as one, failover_run(chain=[one.candidate]):
        raw = one.client.chat.completions.with_raw_response.create(model="gpt-5.5", messages=MESSAGES, stream=True)
        raw.http_response.close()
        del raw
        gc.collect()
    (candidate,) = telemetry.candidates
    assert (candidate["failover.evidence"], candidate["failover.evidence_gap"]) == ("partial", "stream_not_seen")
