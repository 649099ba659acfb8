"""What is allowed in each setting, and what is logged of a value that is not.

Imported where something is set: most processes set nothing, and neither need this nor `Loop`. A check returns the value
as it is kept, or raises `ValueError` with what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from otel_failover._core.config.loop import Loop
from otel_failover._core.domain import endpoint, providers
from otel_failover._core.domain.verdicts import FINDINGS, FINDINGS_OFF, RULES
from otel_failover._core.failsafe import logger, text_of
from otel_failover._core.text.gate import clean

_QUOTED: Final = 60
_NEAR_ENOUGH: Final = 0.75
"""How alike a provider of the user's own and a known one are where it looks like a typing error; words may be own."""


def did_you_mean(word: str, known: Iterable[str], prefix: str = "", alike: float = 0.6) -> str:
    """Return the nearest of the known names as the end of a sentence, empty where none is near.

    Args:
        word: What was written.
        known: What could have been meant.
        prefix: What all of them begin with, left out of both.
        alike: How near a name has to be, up to 1.
    """
    import difflib

    near = difflib.get_close_matches(word, list(known), 1, alike)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def quoted(value: object) -> str:
    """Return what was given as a message shows it: plain values redacted and cut, of others only the type's name.

    Args:
        value: Anything.
    """
    try:
        if _is_plain(value) or (isinstance(value, (list, tuple)) and all(map(_is_plain, value))):
            return clean(repr(value), (), _QUOTED)
        if isinstance(value, dict) and all(map(_is_plain, (*value, *value.values()))):
            return clean(repr(value), (), _QUOTED)
    except Exception as problem:
        logger.debug("otel-failover: a value of a setting cannot be shown: %s", type(problem).__name__)
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def shortened(name: str) -> str:
    """Return a name that somebody wrote as a message shows it: redacted and cut."""
    return clean(name, (), _QUOTED)


def _is_plain(value: object) -> bool:
    return value is None or type(value) in (str, int, float, bool)


def _choice(*allowed: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        word = text_of(value).strip().lower()
        if word not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return word

    return check


def _switch(value: Any) -> Any:
    """Return `on` or `off`; YAML reads both as a truth value where they stand without quotes."""
    return _choice("on", "off")({True: "on", False: "off"}[value] if isinstance(value, bool) else value)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of names")
    return list(value)


def _disabled(value: Any) -> list[str]:
    words, known = _words(value), (*RULES, *FINDINGS)
    for word in words:
        if word not in known:
            raise ValueError(f"rules of {', '.join(known)}{did_you_mean(word, known)}")
    return words


def _enabled(value: Any) -> list[str]:
    words, off = _words(value), sorted(FINDINGS_OFF)
    for word in words:
        if word not in (*RULES, *FINDINGS):
            raise ValueError(f"findings that are off by default: {', '.join(off)}{did_you_mean(word, off)}")
    on = [word for word in words if word not in off]
    if on:
        logger.warning(
            "otel-failover: enabled_rules: %s on already; off by default, and so to be enabled, is %s",
            f"{', '.join(on)} {'is' if len(on) == 1 else 'are'}",
            ", ".join(off),
        )
    return [word for word in words if word in off]


def _count(value: Any) -> int:
    allowed = "a whole number, 0 or more"
    number = _number(value, allowed)
    if number != int(number):
        raise ValueError(allowed)
    return int(number)


def _hosts(value: Any) -> list[str]:
    """Return hosts, each with its port where one is given; of a URL, only these are taken."""
    words = _words(value)
    hosts = [_host(word) for word in words]
    if not all(hosts):
        raise ValueError("a list of names of hosts")
    return hosts


def _host(word: str) -> str:
    return endpoint.name_in(word) or ("" if "/" in word else word)


def _patterns(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else _words(value)
    for place, word in enumerate(words, 1):
        wrong = _wrong_in(word)
        if wrong is not None:
            raise ValueError(f"regular expressions (number {place} of {len(words)}: {wrong})")
    return words


def _wrong_in(pattern: str) -> str | None:
    """Say what is wrong with a regular expression, and where; what stands in it is not repeated."""
    try:
        re.compile(pattern)
    except re.error as problem:
        what = re.split(r"['\"\\?]", problem.msg)[0].strip()
        return f"{what} at position {problem.pos}"
    except (OverflowError, RecursionError) as problem:
        return type(problem).__name__
    return None


_PORT: Final = re.compile(r":\d+$")


def _aliases(value: Any) -> dict[str, str]:
    """Return words, or hosts, with their providers; a host may have a port, and of a URL both are taken.

    A provider that is not known but nearly so is logged, and kept.
    """
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise ValueError("a map of names to names")
    for word in value.values():
        near = did_you_mean(word, (*providers.PROVIDERS, *providers.SPELLINGS), alike=_NEAR_ENOUGH)
        if near and providers.canonical(word) not in providers.PROVIDERS:
            logger.warning(
                "otel-failover: provider_aliases: %s is no known provider%s; it is used as it is", quoted(word), near
            )
    result: dict[str, str] = {}
    for given, provider in value.items():
        word = (_host(given) or given) if "://" in given or _PORT.search(given) else given
        if providers.canonical(result.get(word, provider)) != providers.canonical(provider):
            logger.warning(
                "otel-failover: provider_aliases: the host %s is given to %s and to %s; the last counts",
                quoted(word), quoted(result[word]), quoted(provider),
            )  # fmt: skip
        result[word] = provider
    return result


def _seconds(value: Any) -> float:
    return _number(value, "seconds, 0 or more")


def _number(value: Any, allowed: str) -> float:
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(allowed)
    return number


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
    """Return the loops that can be read; each of the others is logged, and left out."""
    if isinstance(value, (Loop, Mapping)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"a list of Loop, or of maps of {_LOOP_NAMES}")  # noqa: TRY004 - as in all checks
    return [loop for place, each in enumerate(value) if (loop := _loop(each, place)) is not None]


def _loop(given: Any, place: int) -> Loop | None:
    if isinstance(given, Loop):
        return given
    if not isinstance(given, Mapping) or "run" not in given:
        wrong = "it has no 'run'" if isinstance(given, Mapping) else f"{quoted(given)} is given"
        logger.warning(
            "otel-failover: loops[%d] is not usable: %s; allowed is a Loop or a map of %s", place, wrong, _LOOP_NAMES
        )
        return None
    for name in map(text_of, given):
        if name not in _LOOP:
            logger.warning(
                "otel-failover: loops[%d] has an unknown %s%s; allowed are %s",
                place,
                shortened(name),
                did_you_mean(name, _LOOP),
                _LOOP_NAMES,
            )
    return Loop(**{name: given[name] for name in _LOOP if name in given})


CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "loops": _loops,
    "on_mismatch": _choice("annotate", "correct"),
    "call_spans": _choice("auto", "on", "off"),
    "disabled_libraries": _words,
    "disabled_rules": _disabled,
    "enabled_rules": _enabled,
    "ignore": _words,
    "infer_runs": _switch,
    "infer_within": _seconds,
    "provider_aliases": _aliases,
    "gateways": _hosts,
    "error_text": _choice("redacted", "none"),
    "redact": _patterns,
    "stale_after": _seconds,
    "max_requests": _count,
    "starved_below": _seconds,
    "log_interval": _seconds,
    "strict": _flag,
}
