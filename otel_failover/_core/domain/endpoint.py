"""Endpoints: scheme, host and port of a URL, and nothing else of it."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit


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
