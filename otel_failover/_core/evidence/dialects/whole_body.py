"""What an answer says of itself that came whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from otel_failover._core.evidence.dialects import documents
from otel_failover._core.evidence.dialects.answer import Answer
from otel_failover._core.evidence.dialects.large_body import top_of
from otel_failover._core.failsafe import guarded

_WHOLE: Final = 262_144
"""Bytes of an answer that are parsed: an answer with pictures in it is longer, and says at its ends what it is."""
_KEPT: Final = 65_536
_MESSAGE: Final = 4_096


def answer_in(dialect: str, content: bytes) -> Answer:
    """Return what a whole body says of itself; never raises.

    Args:
        dialect: Of the request, as `inference_in` names it; an answer is read by what stands in it.
        content: The body, decoded.
    """
    del dialect
    answer = Answer()
    _read(answer, content)
    return answer


@guarded(fallback=None)
def _read(answer: Answer, content: bytes) -> None:
    if len(content) > _WHOLE:
        documents.note(answer, top_of(content))
        return
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return
    read_whole(answer, found)
    if answer.error is not None:
        text = content[:_KEPT].decode("utf-8", "replace")
        answer.error = answer.error._replace(text=text, message=answer.error.message or text[:_MESSAGE].strip())


def read_whole(answer: Answer, found: object) -> None:
    """Take note of a whole answer.

    Args:
        answer: To be filled.
        found: As it was decoded: an object; of Gemini a list of all its events; of TGI a list of its one answer.
    """
    events = [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, Mapping)]
    for each in events:
        if documents.judge(answer, each, is_whole=len(events) == 1):
            documents.note(answer, each)
    if len(events) > 1 and answer.error is None and any(documents.has_output(each) for each in events):
        answer.empty = False
