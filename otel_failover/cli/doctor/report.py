"""What `otel-failover doctor` prints: plain aligned text, without rich, so that it works in any container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_failover.cli.doctor.examination import Examination, Provider
    from otel_failover.cli.doctor.patched import Patched
    from otel_failover.cli.doctor.telemetry import Exporter


def report(found: Examination) -> str:
    """Return an examination as text.

    Args:
        found: What was found.
    """
    parts = (
        ("versions", _versions(found)),
        ("libraries", map(_library, found.libraries)),
        ("tracing", _provider(found.provider, active=found.active)),
        ("exporters", map(_exporter, found.exporters)),
        ("settings", _settings(found)),
        ("other GenAI instrumentations", found.genai_instrumentations.items()),
    )
    lines = [line for title, rows in parts for line in _part(title, list(rows))]
    lines += [*_listed("notes", found.notes), *_listed("problems", found.problems)]
    lines.append("ok" if found.healthy else "not ok")
    return "\n".join(lines)


def _part(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    """Yield a title and its rows, aligned."""
    yield title
    width = max((len(name) for name, _ in rows), default=0)
    yield from (f"  {name:<{width}}  {value}".rstrip() for name, value in rows or [("none", "")])
    yield ""


def _listed(title: str, texts: Iterable[str]) -> list[str]:
    rows = [f"  - {text}" for text in texts]
    return [title, *rows, ""] if rows else []


def _versions(found: Examination) -> Iterator[tuple[str, str]]:
    yield "otel-failover", found.version
    yield "python", found.python
    for name, version in found.versions.items():
        yield name, version or "not installed"


def _library(library: Patched) -> tuple[str, str]:
    if library.version is None and library.supported:
        return library.name, f"not installed (supported: {library.supported})"
    why = f": {library.why}" if library.why else f" ({library.note})" if library.note else ""
    version = f"{library.version} " if library.version else ""
    return library.name, f"{version}{library.status}{why}"


def _provider(provider: Provider, *, active: bool) -> Iterator[tuple[str, str]]:
    yield "instrumentation", "was on already" if active else "turned on to look, and off again"
    yield "tracer provider", provider.kind
    yield "checking processor", {True: "attached", False: "not attached", None: "cannot be seen"}[provider.processor]
    yield "end-of-span hook", _yes(provider.hook)


def _exporter(exporter: Exporter) -> tuple[str, str]:
    reached = {True: "reachable", False: "not reachable", None: ""}[exporter.reachable]
    word = exporter.kind if exporter.live or exporter.kind != "custom" else f"custom {exporter.name}"
    place = f" to {exporter.endpoint}" if exporter.endpoint else ""
    source = exporter.name if exporter.live else exporter.source
    start = "" if exporter.live else "would be "
    return exporter.signal, f"{start}{word}{place} ({source}) {exporter.problem or reached}".rstrip()


def _settings(found: Examination) -> Iterator[tuple[str, str]]:
    for name, value in found.settings.items():
        yield name, f"{_value(value)}{' (set)' if name in found.changed else ''}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _yes(value)
    if isinstance(value, dict):
        value = [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, list):
        return ", ".join(str(each["run"] if isinstance(each, dict) else each) for each in value) or "none"
    return str(value)


def _yes(value: object) -> str:
    return "yes" if value else "no"
