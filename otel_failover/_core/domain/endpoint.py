"""Endpoints: scheme, host and port of a URL, and nothing else of it; and what else of a base URL tells two apart.

A path may hold a key, an account, a customer's name: it is compared in memory, and nothing of it is exported but the
name of a deployment.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from otel_failover._core.text.escapes import compiled

DEPLOYMENTS: Final = "/deployments/"
"""What stands before a deployment's name in Azure's URLs, and in those of gateways that look like it."""
_NAME: Final = r"/deployments/([\w.-]{1,64})(?:[/?]|$)"
"""A deployment's name, as Azure allows it."""


@lru_cache(maxsize=1024)
def endpoint_of(url: str) -> str | None:
    """Return scheme, host and port of a URL, nothing else; None where it has no host.

    A default port is left out, so that `https://api.openai.com:443/v1` and `https://api.openai.com` are one endpoint.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    scheme = parts.scheme or "https"
    shown = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}.get(scheme)
    return f"{scheme}://{shown}" if port in (None, default) else f"{scheme}://{shown}:{port}"


@lru_cache(maxsize=1024)
def host_of(endpoint: str) -> str:
    """Return the host's name of an endpoint."""
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def address_of(endpoint: str) -> tuple[str, int]:
    """Return host and port of an endpoint, as `server.address` and `server.port`; an empty host where there is none."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return "", 0
    return parts.hostname or "", port


# --- what users call them ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def names_of(endpoint: str) -> tuple[str, str]:
    """Return what a user may call an endpoint, the more exact first: `127.0.0.1:8000`, `127.0.0.1`.

    Args:
        endpoint: Scheme, host and port.
    """
    host, port = address_of(endpoint)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", host


def name_in(given: str) -> str:
    """Return a host, with its port where that is no default one, from what a user gave: a URL, or a host; else empty.

    Args:
        given: By the user.
    """
    endpoint = endpoint_of(given) or ""
    host, shown = host_of(endpoint), endpoint.partition("//")[2]
    return host if shown in (host, f"[{host}]") else shown


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, where the port tells one server from another.

    Args:
        host: Its name.
    """
    return host in _LOOPBACK or host.startswith("127.")


_LOOPBACK: Final = ("localhost", "::1", "0.0.0.0", "host.docker.internal")  # noqa: S104 - compared, never listened on


# --- base URLs --------------------------------------------------------------------------------------------------------


def base_of(url: str) -> str:
    """Return what a base URL has behind its host, path and query, so that two of one host can be told apart.

    The slash at its end, which SDKs add, says nothing.
    Not remembered, unlike the endpoint: a key may stand in it.

    Args:
        url: As it was given, with or without a scheme.
    """
    before, slashes, rest = url.partition("//")
    _, slash, path = (rest if slashes else before).partition("/")
    return (slash + path.partition("#")[0]).rstrip("/")


def is_base(declared: str, asked: str) -> bool:
    """Whether a base URL is the declared one; a declared path may go less far, or farther, than the client's.

    A loop declares `https://gw.example/groq`, or the whole of `https://gw.example/groq/v1/chat/completions`, where its
    client's base URL is `https://gw.example/groq/v1`.

    Args:
        declared: Path of the URL that a candidate declares.
        asked: Path of the base URL that is asked.
    """
    return declared == asked or asked.startswith(f"{declared}/") or declared.startswith(f"{asked}/")


def deployment_in(base: str | None) -> str | None:
    """Return the deployment that a base URL names; None where it names none.

    Args:
        base: Path of the base URL; None where it is not known.
    """
    if not base or DEPLOYMENTS not in base:
        return None
    found = compiled(_NAME).search(base)
    return found[1] if found is not None else None
