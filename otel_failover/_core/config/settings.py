"""Settings: one dataclass, three ways in.

The same names in `FailoverInstrumentor().instrument(...)`, as `OTEL_FAILOVER_*` in the environment (JSON, or `@file`,
where structured) and in declarative configuration. A bad value is answered with a WARNING that names the setting, what
was given and what is allowed, and the default is kept: a typing error in a variable never stops a service.
"""

# Without `from __future__ import annotations`: a dataclass would take the text of each annotation apart at import.

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from otel_failover._core.failsafe import logger

PREFIX: Final = "OTEL_FAILOVER_"
_NOT_OURS: Final = (
    "tracer_provider",
    "meter_provider",
    "logger_provider",
    "skip_dep_check",
    "raise_exception_on_conflict",
)
"""Keyword arguments that OpenTelemetry passes to every instrumentor."""
_SECRET: Final = frozenset({"redact"})
"""What is never quoted: a text that must not leave may stand there as it is."""


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
        infer_runs: `on`: calls outside any run that ask one question of several candidates, after a failure, are a run;
            `off`: they stay calls.
        infer_within: Seconds after a failure within which another candidate has to be asked the same.
        provider_aliases: Other words, or hosts, for a provider: `{"my-proxy": "openai"}`. One with a port is that
            server only, and goes first: `{"127.0.0.1:8000": "vllm"}`.
        gateways: Hosts that relay for many providers, with or without a port.
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
    infer_runs: str = "on"
    infer_within: float = 30.0
    provider_aliases: dict[str, str] = field(default_factory=dict)
    gateways: list[str] = field(default_factory=list)
    error_text: str = "redacted"
    redact: list[str] = field(default_factory=list)
    stale_after: float = 180.0
    max_requests: int = 0
    starved_below: float = 1.0
    log_interval: float = 60.0
    strict: bool = False


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
    _warn_of_unknown([name for name in given if name not in _NOT_OURS], known)
    _warn_of_unknown([name for name in environment if name.startswith(PREFIX)], [n.upper() for n in known], PREFIX)
    for name in known:
        variable = PREFIX + name.upper()
        if environment.get(variable, "").strip():
            result = _with(result, name, variable, environment[variable], _decoded)
        if given.get(name) is not None:
            result = _with(result, name, name, given[name], lambda value: value)
    return result


def _warn_of_unknown(names: list[str], known: list[str], prefix: str = "") -> None:
    """Name what is not a setting: a typing error would otherwise be silence."""
    for name in names:
        word = name.removeprefix(prefix)
        if word not in known:
            from otel_failover._core.config.checks import did_you_mean, shortened  # see there

            near = did_you_mean(word, known, prefix)
            there = near or f"; there are {f'{prefix}* with ' if prefix else ''}{', '.join(known)}"
            logger.warning("otel-failover: there is no setting %s%s", shortened(name), there)


class _FileError(Exception):
    """A file that cannot be read."""


def _with(settings: Settings, name: str, shown: str, given: Any, decode: Callable[[Any], Any]) -> Settings:
    """Return the settings with one of them changed, or as they were where the value is not usable.

    Args:
        settings: As they are.
        name: Of the setting.
        shown: What it is called where it was given: the same, or a variable of the environment.
        given: Its value.
        decode: Makes a value of what stands in the environment.
    """
    from otel_failover._core.config.checks import CHECKS, quoted  # see there

    try:
        return replace(settings, **{name: CHECKS[name](decode(given))})
    except _FileError as problem:
        what = f"{'its file' if name in _SECRET else f'the file {quoted(given[1:])}'} cannot be read ({problem})"
    except ValueError as problem:
        what = f"{'' if name in _SECRET else f'{quoted(given)} is given, '}allowed is {problem}"
    except Exception as problem:
        what = f"reading it raised {type(problem).__name__}"
    kept = getattr(settings, name)
    logger.warning(
        "otel-failover: %s is not usable: %s; kept %s",
        shown,
        what,
        f"the {len(kept)} set before" if kept and name in _SECRET else quoted(kept),
    )
    return settings


def _decoded(text: str) -> Any:
    """Return an environment variable's value: `@file` is read, JSON is decoded, anything else is a word or a list."""
    if text.startswith("@"):
        text = _read(text[1:])
    stripped = text.strip()
    if stripped[:1] in ("[", "{", '"'):
        try:
            return json.loads(stripped)
        except ValueError as problem:
            raise ValueError(f"JSON ({problem})") from None
    return stripped


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _FileError("it is no text in UTF-8") from None
    except OSError as problem:
        raise _FileError(problem.strerror or type(problem).__name__) from None
    except ValueError:
        raise _FileError("that is no path") from None
