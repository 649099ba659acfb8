"""Where exporters send to, as the environment says."""

from __future__ import annotations

import socket

import pytest

from otel_failover.cli.otlp_endpoints import Endpoint, below, configured


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "TRACES_", "METRICS_"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", raising=False)


def test_nothing_configured_is_nothing() -> None:
    """No default is made up."""
    assert configured() == []


def test_a_signals_own_variable_wins_and_is_a_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry's specification of the exporters has it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://b/own")
    assert [(each.signal, each.url) for each in configured()] == [
        ("traces", "http://a:4318/v1/traces"),
        ("metrics", "https://b/own"),
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@host:4318/v1/traces?token=secret", "http://host:4318/v1/traces"),
        ("https://host/x", "https://host:443/x"),
        ("http://[::1]:4318", "http://[::1]:4318"),
        ("http://host:notaport", "http://host:0"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    """Neither user nor query."""
    assert Endpoint("traces", url, "here").shown == shown


def test_a_grpc_address_without_scheme_is_understood() -> None:
    """And the usual mistake is named."""
    endpoint = below("collector:4317", "here")[0]
    assert endpoint.url == "http://collector:4317/v1/traces"
    assert endpoint.hint is not None
    assert below("http://collector:4318", "here")[0].hint is None


def test_reachable_is_what_accepts_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, silent, unnamed: each has its words."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert Endpoint("traces", f"http://127.0.0.1:{server.getsockname()[1]}", "here").problem() is None
    assert "nothing listens at 127.0.0.1:9" in str(Endpoint("traces", "http://127.0.0.1:9", "here").problem())
    assert Endpoint("traces", "http://", "here").problem() == "here names no host"

    def silent(*_: object, **__: object) -> socket.socket:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    assert Endpoint("traces", "http://host:1", "here").problem() == "no connection to host:1 within 2 s"
