"""What each contender has to have made: an instrumentation that does nothing is fast, and must not look it.

Held twice: the spans of one call, whole, before it is measured; and the number of all spans of each name and status
that were exported while it was. Failures of our own, which the guards keep from the host, end the benchmark.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core import failsafe
from otel_failover._core.domain import attributes as names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class Broken(AssertionError):  # noqa: N818 - it is what a benchmark is, then
    """A contender did not do what it is measured for."""


@dataclass(frozen=True)
class Made:
    """A span that has to be made.

    Args:
        name: Whole.
        status: Of the span.
        kept: Attributes that matter, with their values; a pattern where they differ each time.
    """

    name: str
    status: str = "UNSET"
    kept: Mapping[str, Any] = field(default_factory=dict)

    def problem(self, span: ReadableSpan) -> str:
        """Return what is wrong with a span, nothing where it is as it has to be."""
        if (span.name, span.status.status_code.name) != (self.name, self.status):
            return f"{span.name} ({span.status.status_code.name}) instead of {self.name} ({self.status})"
        for name, wanted in self.kept.items():
            found = (span.attributes or {}).get(name)
            fits = isinstance(wanted, re.Pattern) and isinstance(found, str) and wanted.fullmatch(found)
            if not fits and found != wanted:
                return f"{self.name}: {name} is {found!r}, not {wanted!r}"
        return ""


_ID: Final = re.compile(r"chatcmpl-\d{28}")
_REQUEST: Final = re.compile(r"req_[0-9a-f]{32}")
_ANSWERED: Final = {names.GEN_AI_RESPONSE_ID: _ID}
_LIMITED: Final = {names.ERROR_TYPE: "openai.RateLimitError"}
_CALL: Final = "chat gpt-4o-mini"


def _ours(index: int | None, *, refused: bool, where: str = "openai") -> tuple[Made, Made]:
    """Return a call and its candidate."""
    ours: dict[str, Any] = {
        names.CANDIDATE_OUTCOME: "error" if refused else "success",
        names.VERDICT: "verified",
        names.EVIDENCE: "complete",
        names.HTTP_STATUS: 429 if refused else 200,
        names.WIRE_REQUEST_ID: _REQUEST,
    }
    if refused:
        ours |= {names.REASON_CODE: "rate_limit", names.ERROR_TYPE: "rate_limit"}
    model = "gemini-2.5-flash" if where == "gcp.gemini" else "gpt-4o-mini"
    status = "ERROR" if refused else "UNSET"
    call = {**_LIMITED, names.HTTP_STATUS: 429, names.VERDICT: "verified"} if refused else _ANSWERED
    shown = where if index is None else f"{where} #{index}"
    return Made(f"chat {model}", status, call), Made(f"candidate {shown}", status, ours)


def _run(outcome: str, attempts: int) -> Made:
    kept: dict[str, Any] = {names.OUTCOME: outcome, names.ATTEMPT_COUNT: attempts}
    return Made("failover chat", "ERROR" if outcome == "exhausted" else "UNSET", kept)


_RUN: Final[dict[str, tuple[Made, ...]]] = {
    "success": (*_ours(None, refused=False), _run("primary", 1)),
    "429": (*_ours(None, refused=True), _run("exhausted", 1)),
    "stream": (*_ours(None, refused=False), _run("primary", 1)),
}
_OUTSIDE_OK: Final = Made(_CALL, "UNSET", {**_ANSWERED, names.HTTP_STATUS: 200, names.VERDICT: "verified"})
_OUTSIDE_REFUSED: Final = _ours(None, refused=True)[0]
_REFUSED: Final = Made(_CALL, "ERROR", _LIMITED)
_ONE: Final[dict[str, tuple[Made, ...]]] = {
    "success": (Made(_CALL, "UNSET", _ANSWERED),),
    "429": (_REFUSED,),
    "stream": (Made(_CALL, "UNSET", _ANSWERED),),
}
_AGENT_REFUSED: Final = Made("model request attempt gpt-4o-mini", "ERROR")
_AGENT_ANSWERED: Final = (Made(_CALL, "UNSET", _ANSWERED), Made("invoke_agent agent"))
_LOGFIRE: Final = "Chat Completion with {request_data[model]!r}"

EXPECTED: Final[dict[str, dict[str, tuple[Made, ...]]]] = {
    "nothing": dict.fromkeys(("success", "429", "stream", "by wire", "in turn"), ()),
    "one_span": {
        "success": _ONE["success"],
        "429": (Made(_CALL, "ERROR", {names.HTTP_STATUS: 429}),),
        "stream": (Made(_CALL),),
        "by wire": _ONE["success"],
    },
    "by_hand": _RUN,
    "genai_openai": {**_ONE, "in turn": (_REFUSED, Made("chat gemini-2.5-flash", "UNSET", _ANSWERED))},
    "ours": _RUN,
    "ours_bare": _RUN,
    "ours_outside": {
        "success": (_OUTSIDE_OK,),
        "429": (_OUTSIDE_REFUSED,),
        "stream": (_OUTSIDE_OK,),
        "by wire": (_OUTSIDE_OK,),
        "in turn": (
            _OUTSIDE_REFUSED,
            *_ours(None, refused=False, where="gcp.gemini"),
            _run("fallback", 2),
        ),
    },
    "openinference": {
        "success": (Made("ChatCompletion", "OK", {"llm.model_name": "gpt-4o-mini-2024-07-18"}),),
        "429": (Made("ChatCompletion", "ERROR"),),
        "stream": (Made("ChatCompletion", "OK"),),
    },
    "openllmetry": {
        "success": (Made("openai.chat", "UNSET", _ANSWERED),),
        "429": (Made("openai.chat", "ERROR"),),
        "stream": (Made("openai.chat", "OK"),),
    },
    "logfire": {
        "success": (Made(_LOGFIRE, "UNSET", _ANSWERED),),
        "429": (Made(_LOGFIRE, "ERROR"),),
        "stream": (Made(_LOGFIRE), Made("streaming response from {request_data[model]!r} took {duration:.2f}s")),
    },
    "langfuse": {
        "success": (Made("OpenAI-generation"),),
        "429": (Made("OpenAI-generation", "ERROR", {"langfuse.observation.level": "ERROR"}),),
        "stream": (Made("OpenAI-generation"),),
    },
    "agent": dict.fromkeys(("agent: answered", "agent: two refused"), ()),
    "agent_own": {
        "agent: answered": _AGENT_ANSWERED,
        "agent: two refused": (_AGENT_REFUSED, _AGENT_REFUSED, *_AGENT_ANSWERED),
    },
    "agent_ours": {
        "agent: answered": (*_ours(0, refused=False), _run("primary", 1)),
        "agent: two refused": (
            *_ours(0, refused=True),
            *_ours(1, refused=True),
            *_ours(2, refused=False),
            _run("fallback", 3),
        ),
    },
}
"""By contender and case, the spans of one call, as they end."""

COUNTS: Final = {
    "by_hand": names.METRIC_ATTEMPTS,
    "genai_openai": "gen_ai.client.operation.duration",
    "ours": names.METRIC_ATTEMPTS,
    "ours_bare": names.METRIC_ATTEMPTS,
    "ours_outside": names.METRIC_ATTEMPTS,
    "agent_ours": names.METRIC_ATTEMPTS,
}
"""A metric that has to count, by contender: also where every span is sampled out."""


def compare(who: str, spans: Sequence[ReadableSpan], wanted: Sequence[Made]) -> None:
    """Hold spans against those that have to be there.

    Args:
        who: Whose, in words.
        spans: As they ended.
        wanted: In the same order.

    Raises:
        Broken: Says what is wrong.
    """
    if len(spans) != len(wanted):
        raise Broken(f"{who}: {len(spans)} spans instead of {len(wanted)}: {[span.name for span in spans]}")
    for span, each in zip(spans, wanted, strict=True):
        if problem := each.problem(span):
            raise Broken(f"{who}: {problem}")


def counts(name: str, case: str, times: int) -> Counter[tuple[str, str]]:
    """Return how many spans of each name and status so many calls have to make.

    Args:
        name: The contender's.
        case: The case's.
        times: Calls.
    """
    found: Counter[tuple[str, str]] = Counter()
    for each in EXPECTED[name][case]:
        found[each.name, each.status] += times
    return found


def assert_no_failures(who: str) -> None:
    """Fail where anything of ours has failed in this process, though no host has noticed.

    Args:
        who: Whom it happened to.

    Raises:
        Broken: Names the sites, as `failover.internal.errors` does.
    """
    if failsafe.failures:
        raise Broken(f"{who}: {names.METRIC_INTERNAL_ERRORS} has counted {dict(failsafe.failures)}")
