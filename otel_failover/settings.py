"""Settings: one dataclass, three ways in.

The same names in `FailoverInstrumentor().instrument(...)`, as `OTEL_FAILOVER_*` in the environment (JSON, or `@file`,
where structured) and in declarative configuration. A bad value is answered with a WARNING that names the setting and
what is allowed, and the default is kept: a typing error in a variable never stops a service.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from otel_failover.attribution import RULES
from otel_failover.failsafe import logger, text_of
from otel_failover.loop import Loop

PREFIX: Final = "OTEL_FAILOVER_"
_NOT_OURS: Final = (
    "tracer_provider",
    "meter_provider",
    "logger_provider",
    "skip_dep_check",
    "raise_exception_on_conflict",
)
"""Keyword arguments that OpenTelemetry passes to every instrumentor."""


@dataclass(frozen=True)
class Settings:
    """What can be set.

    Args:
        loops: Loops that cannot be edited: `Loop`s, or maps with the same names. Not typed as such, since the converter
            of declarative configuration would refuse the whole file for one unknown name.
        on_mismatch: `annotate`: say so beside what was written; `correct`: also take out of our candidate spans the
            exception events that application code put there and that are somebody else's.
        call_spans: Spans of our own for SDK calls: `auto` (unless another GenAI instrumentation, or the SDK itself,
            makes them), `on`, `off`.
        disabled_libraries: Libraries that are not patched, by name: `httpx`, `openai`.
        disabled_rules: Rules of attribution, and findings, that are switched off, by name.
        enabled_rules: Findings that are off unless they are named here: `text_error`.
        ignore: Spans that are not judged: names of scopes or of spans.
        provider_aliases: Other words, or hosts, for a provider: `{"my-proxy": "openai"}`.
        gateways: Hosts that relay for many providers.
        error_text: `redacted`: the provider's own sentence, without secrets; `none`: no text of a provider at all.
        redact: Further regular expressions whose matches are masked.
        stale_after: Seconds after which a candidate that has not answered is hung.
        max_requests: Provider requests on one candidate in one run, above which retries are a storm; 0: only where
            there are more than the SDK's own retries explain.
        starved_below: Seconds; a candidate that had less and ran out of them was starved.
        log_interval: Seconds between two log lines for the same mismatch.
        strict: Raise our own errors instead of counting them; for our test suite and yours.
    """

    loops: list[Any] = field(default_factory=list)
    on_mismatch: str = "annotate"
    call_spans: str = "auto"
    disabled_libraries: list[str] = field(default_factory=list)
    disabled_rules: list[str] = field(default_factory=list)
    enabled_rules: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    provider_aliases: dict[str, str] = field(default_factory=dict)
    gateways: list[str] = field(default_factory=list)
    error_text: str = "redacted"
    redact: list[str] = field(default_factory=list)
    stale_after: float = 180.0
    max_requests: int = 0
    starved_below: float = 1.0
    log_interval: float = 60.0
    strict: bool = False


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the nearest of the known names as the end of a sentence, empty where none is near.

    Args:
        word: What was written.
        known: What could have been meant.
    """
    import difflib

    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _choice(*allowed: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        word = text_of(value).strip().lower()
        if word not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return word

    return check


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of names")
    return list(value)


def _rules(find: Callable[[], Iterable[str]]) -> Callable[[Any], list[str]]:
    def check(value: Any) -> list[str]:
        words, known = _words(value), tuple(find())
        for word in words:
            if word not in known:
                raise ValueError(f"rules of {', '.join(known)}{did_you_mean(word, known)}")
        return words

    return check


def _can_be_off() -> Iterable[str]:
    from otel_failover import findings

    return (*RULES, *findings.RULES)


def _can_be_on() -> Iterable[str]:
    from otel_failover import findings

    return sorted(findings.OFF)


def _count(value: Any) -> int:
    number = _seconds(value)
    if number != int(number):
        raise ValueError("a whole number, 0 or more")
    return int(number)


def _patterns(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else _words(value)
    try:
        [re.compile(word) for word in words]
    except re.error as problem:
        raise ValueError(f"regular expressions ({problem.pattern!r}: {problem})") from None
    return words


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise ValueError("a map of names to names")
    return dict(value)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError("seconds, 0 or more")
    return seconds


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = text_of(value).strip().lower()
    if word not in ("true", "false", "1", "0"):
        raise ValueError("true or false")
    return word in ("true", "1")


_LOOP: Final = tuple(each.name for each in fields(Loop))
_LOOP_NAMES: Final = ", ".join(_LOOP)


def _loops(value: Any) -> list[Loop]:
    """Return the loops that can be read; each of the others is told, and the rest kept."""
    if isinstance(value, (Loop, Mapping)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"a list of Loop, or of maps of {_LOOP_NAMES}")  # noqa: TRY004 - as in all checks
    return [loop for place, each in enumerate(value) if (loop := _loop(each, place)) is not None]


def _loop(given: Any, place: int) -> Loop | None:
    if isinstance(given, Loop):
        return given
    if not isinstance(given, Mapping) or "run" not in given:
        wrong = "it has no 'run'" if isinstance(given, Mapping) else f"it is a {type(given).__name__}"
        logger.warning(
            "otel-failover: loops[%d] is not usable: %s; allowed is a Loop or a map of %s", place, wrong, _LOOP_NAMES
        )
        return None
    for name in map(text_of, given):
        if name not in _LOOP:
            logger.warning(
                "otel-failover: loops[%d] has an unknown %s%s; allowed are %s",
                place,
                name[:80],
                did_you_mean(name, _LOOP),
                _LOOP_NAMES,
            )
    return Loop(**{name: given[name] for name in _LOOP if name in given})


_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "loops": _loops,
    "on_mismatch": _choice("annotate", "correct"),
    "call_spans": _choice("auto", "on", "off"),
    "disabled_libraries": _words,
    "disabled_rules": _rules(_can_be_off),
    "enabled_rules": _rules(_can_be_on),
    "ignore": _words,
    "provider_aliases": _mapping,
    "gateways": _words,
    "error_text": _choice("redacted", "none"),
    "redact": _patterns,
    "stale_after": _seconds,
    "max_requests": _count,
    "starved_below": _seconds,
    "log_interval": _seconds,
    "strict": _flag,
}


def load(given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: what is passed to `instrument`, over the environment, over the defaults.

    Args:
        given: Keyword arguments of `instrument`; None values and names that are not ours are left alone.
        environment: Where `OTEL_FAILOVER_*` is looked for; `os.environ` by default.

    Returns:
        Valid settings, whatever was passed.
    """
    environment = os.environ if environment is None else environment
    result = Settings()
    known = [each.name for each in fields(Settings)]
    _warn_of_unknown([name for name in given if name not in (*known, *_NOT_OURS)], known)
    _warn_of_unknown([name for name in environment if name.startswith(PREFIX)], [PREFIX + n.upper() for n in known])
    for name in known:
        variable = PREFIX + name.upper()
        if environment.get(variable, "").strip():
            result = _with(result, name, variable, lambda v=variable: _decoded(environment[v]))  # type: ignore[misc]
        if given.get(name) is not None:
            result = _with(result, name, name, lambda n=name: given[n])  # type: ignore[misc]
    return result


def _warn_of_unknown(names: list[str], known: list[str]) -> None:
    """Name what is not a setting: a typing error would otherwise be silence."""
    for name in names:
        if name not in known:
            logger.warning("otel-failover: there is no setting %s%s", name, did_you_mean(name, known))


def _with(settings: Settings, name: str, shown: str, value: Callable[[], Any]) -> Settings:
    try:
        return replace(settings, **{name: _CHECKS[name](value())})
    except Exception as problem:
        logger.warning(
            "otel-failover: %s is not usable: allowed is %s; kept %r", shown, problem, getattr(settings, name)
        )
        return settings


def _decoded(text: str) -> Any:
    """Return an environment variable's value: `@file` is read, JSON is decoded, anything else is a word or a list."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    stripped = text.strip()
    if stripped[:1] in ("[", "{", '"'):
        try:
            return json.loads(stripped)
        except ValueError as problem:
            raise ValueError(f"JSON ({problem})") from None
    return stripped
