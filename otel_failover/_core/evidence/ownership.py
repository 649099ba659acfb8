"""Whose a send is: the candidate's, another candidate's, or nobody's that the attempt is about.

Everything that is said of an attempt rests on this: only own sends settle it, and only what others were sent can be
somebody else's error. It is decided once, when the request goes out, from where it goes and which SDK call sends it;
what comes back changes it only where identity proves more (an exception that *is* a send's answer).

The rules, the first that fits; "the SDK's call" is the one in whose context the request is sent:

====  ==================================================================  =================
row   the send                                                            whose
====  ==================================================================  =================
1     the SDK's call is no inference (lists, files, moderation)           `UNRELATED`
2     the SDK's call is an embedding by another model than the            `UNRELATED`
      candidate's: a search beside the chat
3     goes to the candidate's endpoint, by a base URL that is another     `OTHER_CANDIDATE`
      member's there (a deployment of the same resource, a path of the
      same gateway)
4     goes to the candidate, by POST                                      `OWN`
5     goes to the candidate, by another method: a probe                   `UNRELATED`
6     goes to another member of the chain, or to a host that the table    `OTHER_CANDIDATE`
      gives to another provider
7     anything else: token refresh, image fetches, tools                  `UNRELATED`
====  ==================================================================  =================

A base URL is another member's (row 3) only where that is certain: `Siblings.asked_by` says when. A run inside an
attempt has a chain of its own, so what its attempts send is not held against the members of this one.

It goes to the candidate (rows 4 and 5), by the first of these that is known:

- the candidate declares an endpoint: the send goes there, to scheme, host and port;
- the table of providers has the host, and knows the candidate's provider: they are the same one;
- neither: it is the base URL of the SDK's call, and no other member of the chain declares it.

A host in `gateways` relays for many providers, so the table says nothing about it. A candidate without a provider (a
call that stands for itself) has no others (row 6).

Pure: no OpenTelemetry, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from otel_failover._core.domain import providers
from otel_failover._core.domain.endpoint import DEPLOYMENTS, deployment_in, host_of, names_of

if TYPE_CHECKING:
    from otel_failover._core.domain.asked import Asked
    from otel_failover._core.domain.chain import Siblings

    class Expected(Protocol):
        """The candidate that an attempt is about, as far as it shows in where requests go: a `Ledger` is one."""

        @property
        def provider(self) -> str | None:
            """As the loop declared it; None where nobody did."""

        @property
        def endpoint(self) -> str | None:
            """Scheme, host and port; None where only the provider is known."""

        @property
        def model(self) -> str:
            """As requested; empty where it is not known yet."""

        @property
        def neighbours(self) -> frozenset[str]:
            """Endpoints that other members of the chain declare."""

        @property
        def siblings(self) -> Siblings | None:
            """The other members of the chain at its own endpoint; None where there are none."""

        @property
        def gateways(self) -> frozenset[str]:
            """Hosts that relay for many providers."""

    class SendingCall(Protocol):
        """The SDK's call in whose context a request is sent, as far as it says whose the request is."""

        @property
        def asked(self) -> Asked:
            """What the SDK was asked."""

        @property
        def model(self) -> str:
            """As requested."""

        @property
        def endpoint(self) -> str:
            """Of the base URL that its client has."""

        @property
        def inference(self) -> bool:
            """Whether it asks a model."""


OWN: Final = "own"
OTHER_CANDIDATE: Final = "other_candidate"
"""A call to somebody else: it has a span and evidence of its own, and others may be held against it."""
UNRELATED: Final = "unrelated"
"""Kept so that an exception may be found to be its answer; settles nothing."""


def whose(candidate: Expected, endpoint: str, method: str, call: SendingCall | None, path: str = "") -> str:
    """Return whose a send is: `OWN`, `OTHER_CANDIDATE` or `UNRELATED`.

    Args:
        candidate: That the attempt is about.
        endpoint: Where the request goes.
        method: Of HTTP. A provider is asked by POST.
        call: The SDK's; None for a plain HTTP request.
        path: Of a plain HTTP request, where the candidate has siblings.
    """
    if call is not None:
        if not call.inference:
            return UNRELATED
        if call.asked.operation == "embeddings" and candidate.model not in _models_of(call):
            return UNRELATED
    if candidate.endpoint is not None:
        goes_to_it = endpoint == candidate.endpoint
    else:
        known = _provider_at(endpoint, candidate.gateways)
        if known is not None and candidate.provider in providers.PROVIDERS:
            goes_to_it = known == candidate.provider
        else:
            goes_to_it = call is not None and call.endpoint == endpoint and endpoint not in candidate.neighbours
    if goes_to_it:
        if candidate.siblings is not None:
            base, model = (path, "") if call is None else (call.asked.base, call.model)
            if sibling_at(candidate, endpoint, base, model) is not None:
                return OTHER_CANDIDATE
        return OWN if method == "POST" else UNRELATED
    return OTHER_CANDIDATE if goes_to_another(candidate, endpoint) else UNRELATED


def _models_of(call: SendingCall) -> tuple[str | None, ...]:
    """Return what a candidate's model may be called that a call asks; a deployment may be declared by its name."""
    return "", call.model, deployment_in(call.asked.base)


def sibling_at(candidate: Expected, endpoint: str, base: str, model: str) -> int | None:
    """Return the place of the member at a candidate's own endpoint that a base URL belongs to (row 3).

    Args:
        candidate: That the attempt is about.
        endpoint: Where the request goes.
        base: Path of the base URL; of the request's, where no SDK sends it.
        model: As the request asks for it; empty where that is not known.
    """
    siblings = candidate.siblings
    if siblings is None or not (siblings.has_base or DEPLOYMENTS in base):
        return None
    if candidate.endpoint is None:
        known = providers.provider_of_host(host_of(endpoint))
        elsewhere = known not in (None, candidate.provider)
    else:
        elsewhere = endpoint != candidate.endpoint
    return None if elsewhere else siblings.asked_by(base, model)


def goes_to_another(candidate: Expected, endpoint: str, base: str = "", model: str = "") -> bool:
    """Whether the chain or the table of providers gives a base URL to somebody else than a candidate (rows 3, 6).

    Args:
        candidate: That the attempt is about.
        endpoint: Where a request goes, or would go.
        base: Path of the base URL.
        model: As the request asks for it.
    """
    if candidate.siblings is not None and sibling_at(candidate, endpoint, base, model) is not None:
        return True
    if candidate.provider is None or endpoint == candidate.endpoint:
        return False
    if endpoint in candidate.neighbours:
        return True
    known = _provider_at(endpoint, candidate.gateways)
    return known is not None and known != candidate.provider and candidate.provider in providers.PROVIDERS


def _provider_at(endpoint: str, gateways: frozenset[str]) -> str | None:
    """Return whose an endpoint is by the table; a gateway is nobody's."""
    if gateways and not gateways.isdisjoint(names_of(endpoint)):
        return None
    return providers.provider_of_host(host_of(endpoint))
