"""Who a candidate is: provider, model, endpoint, profile.

The provider's name alone is no identity: a chain may hold the same provider twice, and the OpenAI SDK talks to dozens
of providers. Provider values are OpenTelemetry's (`gen_ai.provider.name`, semantic-conventions-genai as of 2026-11).
"""

# Without `from __future__ import annotations`: a dataclass would take the text of each annotation apart at import.

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from otel_failover._core.domain.endpoint import base_of, deployment_in, endpoint_of
from otel_failover._core.domain.providers import PROVIDERS, canonical
from otel_failover._core.failsafe import exportable, guarded, logger, read, text_of
from otel_failover._core.text import gate


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a chain.

    Args:
        provider: The provider, as OpenTelemetry spells it (`openai`, `anthropic`, `gcp.gemini`); common other spellings
            (`gemini`, `bedrock`) are understood. Any other word is kept on the span and counted as `other`.
        model: The model as requested.
        endpoint: Where it is reached, as a URL; only scheme, host and port are exported. Two that differ in the path
            only, deployments of one resource or providers behind one gateway, are told apart by it. None: the
            provider's own hosts.
        profile: Your label for the key or deployment; never a key itself.

    Attributes:
        base: What the URL has behind its host, to tell members of a chain apart in memory: no part of equality, since
            a loop may name one candidate with and without it. None where it has nothing.
    """

    provider: str
    model: str
    endpoint: str | None = None
    profile: str | None = None
    base: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Whatever the host passes becomes text that UTF-8 can carry: a member of a text enum becomes its value, and a
        # lone surrogate a question mark, since one such text would make an exporter drop its whole batch.
        for name in ("provider", "model"):
            value = getattr(self, name)
            if type(value) is not str:
                plain = getattr(value, "value", value) if isinstance(value, str) else value
                object.__setattr__(self, name, "" if value is None else text_of(plain))
        provider = canonical(exportable(self.provider))
        object.__setattr__(self, "provider", provider if provider in PROVIDERS else gate.named(provider))
        if not self.model.isascii():
            object.__setattr__(self, "model", exportable(self.model))
        if self.endpoint is not None:
            given = text_of(self.endpoint)
            found = endpoint_of(given)
            object.__setattr__(self, "endpoint", found)
            if found != given:
                object.__setattr__(self, "base", base_of(given) or None)
        if self.profile is not None and type(self.profile) is not str:
            object.__setattr__(self, "profile", text_of(self.profile))
        if self.profile is not None:
            object.__setattr__(self, "profile", exportable(self.profile))

    def __repr__(self) -> str:
        try:
            told = [repr(shown(each)) for each in (self.provider, self.model)]
            told += [f"endpoint={self.endpoint!r}"] if self.endpoint else []
            told += [f"profile={shown(self.profile)!r}"] if self.profile else []
            return f"Candidate({', '.join(told)})"
        except Exception:  # shown by a debugger while it is being made
            return "<Candidate>"

    def filled(self, other: "Candidate") -> "Candidate":
        """Return this candidate with what it leaves open taken from another.

        Args:
            other: What else is known.
        """
        found = Candidate(
            self.provider or other.provider,
            self.model or other.model,
            self.endpoint or other.endpoint,
            self.profile or other.profile,
        )
        base = self.base or (None if self.endpoint else other.base)
        if base:
            object.__setattr__(found, "base", base)
        return found

    def is_like(self, other: "Candidate") -> bool:
        """Whether another names the same provider and model, and neither an endpoint or a profile that differs.

        Args:
            other: Perhaps less fully known.
        """
        return (
            (self.provider, self.model) == (other.provider, other.model)
            and (self.endpoint == other.endpoint or not self.endpoint or not other.endpoint)
            and (self.profile == other.profile or not self.profile or not other.profile)
        )

    @property
    def identity(self) -> object:
        """What tells it from others where it has no place in a chain."""
        return self if self.base is None else (self, self.base)

    @property
    def label(self) -> str:
        """`provider/model`, as on `failover.chain`; the host's own label where neither is known beforehand."""
        if not self.provider and not self.model and self.profile:
            return shown(self.profile)
        return f"{gate.named(self.provider)}/{shown(self.model)}"[:255]


def asked_at(provider: str, model: str, endpoint: str | None, base: str) -> Candidate:
    """Return the candidate that a call asks, where nobody declared it: its label is the deployment in the URL.

    Args:
        provider: Whom the call asks.
        model: As requested.
        endpoint: Of the client's base URL.
        base: Path of that URL.
    """
    found = Candidate(provider, model, endpoint, deployment_in(base))
    object.__setattr__(found, "base", base)
    return found


shown: Final = gate.shown
"""A host's label as it is exported: short, and without a key that was put there by mistake."""


def parse(entry: object) -> Candidate:
    """Return a chain entry as a Candidate.

    Args:
        entry: A Candidate, or text: `openai/gpt-5.5`, `anthropic:claude-opus-4-7`, or a bare model. A pair of texts is
            provider and model.

    Returns:
        A Candidate. Anything else is logged once for its type, and becomes one that is open but for a label, the name
        of that type: the host goes on, and the trace has the provider and the model of the requests that were sent.
    """
    try:
        if isinstance(entry, Candidate):
            return entry
        text = entry if isinstance(entry, str) else None
    except Exception:  # a host's proxy, with nothing behind it
        text = None
    if text is not None:
        return _parse_text(text)
    kind = type(entry)
    if kind in (tuple, list) and _is_pair(entry):  # no subclass: the fields of a named tuple may mean anything
        return Candidate(*entry)  # type: ignore[misc]
    _log_unreadable(kind)
    return Candidate("", "", None, _name_of(kind).rpartition(".")[2])


def _is_pair(entry: Any) -> bool:
    """Whether two texts are a provider and a model; two entries of a chain are not."""
    return len(entry) == 2 and all(isinstance(each, str) for each in entry) and not {"/", ":"}.intersection(entry[0])


def _name_of(kind: type) -> str:
    return text_of(read(kind, "__qualname__") or "object")[:120]


@guarded(fallback=None)
def _log_unreadable(kind: type) -> None:
    """Log once for each type that its objects cannot be read as candidates."""
    name = f"{text_of(read(kind, '__module__'))}.{_name_of(kind)}".removeprefix("builtins.")
    if name not in _logged and len(_logged) < _MOST_LOGGED:
        _logged.add(name)
        logger.warning(
            "otel-failover: a candidate of type %s says neither provider nor model; allowed are a Candidate, a text "
            "like openai/gpt-5.5, or a pair of provider and model; its requests say who is asked",
            name,
        )


_logged: Final[set[str]] = set()
_MOST_LOGGED: Final = 64


@lru_cache(maxsize=512)
def _parse_text(entry: str) -> Candidate:
    at = min((entry.find(separator) for separator in "/:" if separator in entry), default=0)
    return Candidate(entry[:at], entry[at + 1 :]) if at > 0 else Candidate("", entry)
