"""What a request asks, and what an answer says of itself, by the dialect that it is written in.

Chat completions, responses, messages, Gemini, Converse, Cohere, Ollama and some more: known by the path and the body of
a request, whoever sends it. Imported late, with the first request that may be one. Pure: no OpenTelemetry, no clock, no
input or output; nothing here raises, and no text of a request or an answer is kept.
"""

from __future__ import annotations

from otel_failover._core.evidence.dialects.answer import Answer, Usage
from otel_failover._core.evidence.dialects.inference import Inference, inference_in
from otel_failover._core.evidence.dialects.paths import is_inference_path
from otel_failover._core.evidence.dialects.stream import AnswerStream
from otel_failover._core.evidence.dialects.whole_body import answer_in

__all__ = ["Answer", "AnswerStream", "Inference", "Usage", "answer_in", "inference_in", "is_inference_path"]
