"""A loop that cannot be edited: where it is, and where it keeps what a trace needs. One of the settings."""

# Without `from __future__ import annotations`: a dataclass would take the text of each annotation apart at import.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_failover._core.domain.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Loop:
    """A fallback loop in code that is not yours, named instead of edited.

        FailoverInstrumentor().instrument(
            loops=[
                Loop(
                    run="acme.router:Router.route",
                    attempt="acme.router:Router._ask",
                    provider="self.vendor",
                    model='kwargs["model"]',
                    error="result.error",
                )
            ]
        )

    Each call of `run` is a run; each call of `attempt` within it is an attempt. Both may be functions, methods,
    static or class methods, coroutine functions or generators, or return a coroutine, a generator, a task, a future
    or one of contextlib's managers. A `run` that calls itself with no attempt between is the same run going on;
    where `attempt` is the same function as `run`, each call of it is the next attempt. A `run` that `failover_run`
    decorates keeps that run, and takes its attempts from here. Several loops may share a `run` or an `attempt`; the
    same pair counts once. What runs in a thread that was started without its context is in no run.

    A path reads as the host's own expression would: it starts at a parameter of the attempt (`self` and `kwargs`
    too, as the function calls them; defaults count), or at `result`, what the attempt returned, and goes on with
    `.name`, `[0]` or `["key"]`. A text in quotes is that text: `"'openai'"`. Nothing is called. Each is read once
    per call, before it; `error`, and what starts at `result`, after it, and not where a generator is what returned.
    One that leads nowhere is logged once, and the trace does without: what is missing comes from the requests that
    were sent.

    Args:
        run: The function that is one pass of the loop, as `module:name` or `module:Class.name`.
        attempt: The function that tries one candidate. None: each provider call is an attempt.
        provider: Path of the candidate's provider.
        model: Path of its model.
        error: Path of the error that a returned result carries, for attempts that return errors instead of raising
            them; nothing where it is None or empty. What stands there is a claim: judged, never copied to `error.*`.
        chain: Path, from a parameter of `run`, of the list of candidates in order: texts like `openai/gpt-5.5`,
            `Candidate`s, or the host's own objects, which are read by the paths above where these start at a parameter
            that takes such an object, else by their `provider` and `model`. Or the list itself.
        endpoint: Path of the candidate's base URL; only scheme, host and port are kept.
        profile: Path of your label for the key or deployment; never of a key.
        operation: What is asked for, in a word; part of the span's name.
    """

    run: str
    attempt: str | None = None
    provider: str | None = None
    model: str | None = None
    error: str | None = None
    chain: str | Sequence[str | Candidate | Mapping[str, Any]] | None = None
    endpoint: str | None = None
    profile: str | None = None
    operation: str = "chat"
