"""What a host can see of a call, and whether it is the same without us and with us."""

from __future__ import annotations

import functools
import os
import re
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wrapt

import otel_failover
import tests
from otel_failover import Candidate, failover_run
from otel_failover.testing.providers import Answer, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable


QUESTION: Any = [{"role": "user", "content": "Hello?"}]
CHAIN = [Candidate("openai", "m"), Candidate("anthropic", "m")]

_OURS = tuple(str(Path(str(package.__file__)).parent) + os.sep for package in (otel_failover, wrapt, tests))
_FRESH = re.compile(
    r"cancel scope \w+|\b(chatcmpl|resp|msg|req|gen)[-_][\w-]+|0x[0-9a-f]+|\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4,12}){4}"
    r"|\d{4}-\d\d-\d\dT[\d:.]+|127\.0\.0\.1:\d+|port=\d+|\d{10}"
)


def masked(text: object) -> str:
    """Return a text without ids, addresses and times, which are new with every request."""
    return _FRESH.sub("*", str(text))


def frames(problem: BaseException) -> list[tuple[str, str]]:
    """Return file and function of each frame of a traceback, the test's and ours left out."""
    found = [(frame.filename, frame.name) for frame in traceback.extract_tb(problem.__traceback__)]
    return [(path, name) for path, name in found if not path.startswith(_OURS)]


def seen(problem: BaseException | None, depth: int = 0) -> Any:
    """Return everything a handler could look at in an exception, causes and contexts included."""
    if problem is None or depth > 5:
        return None
    return {
        "type": type(problem),
        "args": masked(problem.args),
        "text": masked(problem),
        "keys": sorted(vars(problem)),
        "notes": getattr(problem, "__notes__", None),
        "suppressed": problem.__suppress_context__,
        "cause": seen(problem.__cause__, depth + 1),
        "context": seen(problem.__context__, depth + 1),
        "frames": frames(problem),
    }


def shown(result: Any) -> Any:
    """Return a result as a host would look at it."""
    if hasattr(result, "model_dump"):
        return type(result), masked(result.model_dump())
    return type(result), masked(result)


def requests(provider: LocalProvider) -> list[tuple[str, str, dict[str, str], bytes, int | None]]:
    """Return what reached a provider, field by field."""
    return [(each.method, each.path, each.headers, each.body, each.status) for each in provider.log]


def wait_until_heard(provider: LocalProvider) -> None:
    """Wait until a provider has heard who has given up: on a busy machine it may not yet."""
    until = time.monotonic() + 2
    while not provider.log and time.monotonic() < until:
        time.sleep(0.001)


def observe(call: Callable[[], Any], provider: LocalProvider, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """Run a call against a freshly programmed provider; return all that can be observed from outside."""
    provider.program(*answers)
    provider.clear()
    outcome: dict[str, Any] = {}
    try:
        outcome["result"] = call()
    except Exception as problem:  # noqa: BLE001 - what was raised is what is looked at
        outcome["raised"] = seen(problem)
        wait_until_heard(provider)
    outcome["requests"] = requests(provider)
    return outcome


def _bare(call: Callable[[], Any]) -> Any:
    return call()


def _in_run(call: Callable[[], Any]) -> Any:
    with failover_run("chat"):
        return call()


def _in_attempt(call: Callable[[], Any]) -> Any:
    with failover_run("chat", chain=CHAIN) as run, run.attempt(CHAIN[0]):
        return call()


PLACES = {"bare call": _bare, "in a run": _in_run, "in an attempt": _in_attempt}


def same_everywhere(
    telemetry: Callable[[], Any], call: Callable[[LocalProvider], Any], kind: Any, *answers: Answer
) -> Any:
    """Compare a call without us with the same call with us: bare, in a run, in an attempt."""
    with LocalProvider(kind) as provider:
        without = observe(lambda: call(provider), provider, answers)
        telemetry()
        for place, inside in PLACES.items():
            with_us = observe(functools.partial(inside, lambda: call(provider)), provider, answers)
            assert with_us == without, place
    for _, _, headers, _, _ in without["requests"]:
        assert not {"traceparent", "tracestate", "baggage"} & set(headers)
    return without
