"""Missing, too old, too new or oddly built libraries: left alone, named once, never imported by us."""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import weakref
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_failover import FailoverInstrumentor, failover_run, instrumentor
from otel_failover.integrations import patching
from otel_failover.integrations.libraries import libraries
from otel_failover.integrations.patching import DISABLED, MISSING, PATCHED, SKIPPED, WAITING, Library, Patch, State
from otel_failover.testing.providers import Answer
from tests.support.hosts import stand
from tests.support.process import in_a_process

if TYPE_CHECKING:
    from tests.support.spans import Telemetry


def _states(**options: Any) -> dict[str, State]:
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), **options)
    states = {state.name: state for state in instrumentor.states()}
    FailoverInstrumentor().uninstrument()
    return states


def _pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Make distributions look installed in other versions, or not at all."""
    real = importlib.metadata.version

    def version(distribution: str) -> str:
        if distribution not in versions:
            return real(distribution)
        found = versions[distribution]
        if found is None:
            raise importlib.metadata.PackageNotFoundError(distribution)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.28.1", "outside"),
        ("1.65.9", "outside"),
        ("not-a-version", "cannot be read"),
    ],
)
def test_an_unsupported_version_is_left_alone_and_named_once(
    version: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from openai import _base_client

    before = vars(_base_client.SyncAPIClient)["request"]
    _pretend(monkeypatch, openai=version)
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider())
    try:
        assert vars(_base_client.SyncAPIClient)["request"] is before
        (state,) = (each for each in instrumentor.states() if each.name == "openai")
        assert (state.status, state.version) == (SKIPPED, version)
    finally:
        FailoverInstrumentor().uninstrument()
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert "openai is not patched" in warning
    assert version in warning
    assert why in warning
    assert "install 'openai>=1.66'" in warning
    assert "its calls are still seen by wire" in warning


def test_an_unsupported_version_that_nobody_imports_is_no_warning() -> None:
    """It is only installed: nothing is missed. Imported, it is named once, with what is still seen."""
    printed = in_a_process("""
        import importlib.metadata
        real = importlib.metadata.version
        importlib.metadata.version = lambda name: "0.1" if name == "openai" else real(name)
        from otel_failover import FailoverInstrumentor, instrumentor
        FailoverInstrumentor().instrument()
        print("THEN")
        import openai
        FailoverInstrumentor().uninstrument()
        FailoverInstrumentor().instrument(disabled_libraries=["openai"])
    """)
    before, _, after = printed.partition("THEN")
    assert "openai 0.1 skipped: version 0.1 is outside >=1.66" in before
    assert "WARNING" not in before
    assert after.count("WARNING otel-failover: openai is not patched") == 1
    assert "install 'openai>=1.66', or a newer otel-failover; its calls are still seen by wire" in after


@pytest.mark.parametrize(
    "version", ["1.66.0", "1.109.1", "2.30.0", "3.52.0", "3.99.0rc1", "3.52.0+local.1", "4.0.0", "99"]
)
def test_a_supported_version_is_patched(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, openai=version)
    assert _states()["openai"].status == DISABLED  # as after every uninstrument(): it was on


def test_what_is_not_installed_is_missing_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _pretend(monkeypatch, anthropic=None)
    assert _states()["anthropic"].status == MISSING
    assert "anthropic" not in caplog.text


@pytest.mark.parametrize("found", [ValueError("broken"), OSError("unreadable")], ids=repr)
def test_broken_metadata_of_one_library_leaves_the_others_patched(
    found: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution that is half removed makes importlib.metadata raise what it likes."""
    real = importlib.metadata.version

    def version(distribution: str) -> str:
        if distribution == "httpx":
            raise found
        return real(distribution)

    monkeypatch.setattr(importlib.metadata, "version", version)
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider())
    statuses = {state.name: state.status for state in instrumentor.states()}
    FailoverInstrumentor().uninstrument()
    assert statuses.get("openai") == PATCHED
    assert statuses.get("httpx") == SKIPPED


def test_nothing_installed_is_one_warning_that_says_what_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _pretend(monkeypatch, **{each.distribution: None for each in libraries()})
    _states()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    told = [text for text in warnings if "nothing was patched" in text]
    assert len(told) == 1
    assert all(name in told[0] for name in ("openai", "anthropic", "httpx"))


def test_a_disabled_library_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    before = vars(httpx.Client)["send"]
    FailoverInstrumentor().instrument(tracer_provider=TracerProvider(), disabled_libraries=["httpx", "opnai"])
    try:
        assert vars(httpx.Client)["send"] is before
    finally:
        FailoverInstrumentor().uninstrument()
    assert "opnai" in caplog.text


def test_nothing_is_imported_by_us() -> None:
    printed = in_a_process("""
        import importlib.util
        for name in ("openai", "anthropic", "httpx", "httpx2", "aiohttp", "google.genai"):
            sys.modules.pop(name, None)
        before = set(sys.modules)
        from otel_failover import FailoverInstrumentor
        FailoverInstrumentor().instrument()
        new = set(sys.modules) - before
        foreign = {"openai", "anthropic", "httpx", "httpx2", "aiohttp", "google.genai", "requests", "botocore"}
        print("NEW", sorted(new & foreign))
    """)
    assert "NEW []" in printed


_REMOVED = """
    from otel_failover import FailoverInstrumentor, instrumentor
    {early}
    import openai._base_client, openai._streaming, {module}
    before = dict(vars(openai._base_client.SyncAPIClient)), dict(vars(openai._base_client.AsyncAPIClient))
    {remove}
    {late}
    after = vars(openai._base_client.SyncAPIClient), vars(openai._base_client.AsyncAPIClient)
    names = "SyncAPIClient.request", "AsyncAPIClient.request"
    wrapped = [n for n, o, m in zip(names, before, after) if "request" in m and m["request"] is not o["request"]]
    print("STATUS", {{state.name: (state.status, state.why) for state in instrumentor.states()}}["{library}"])
    print("WRAPPED", wrapped)
"""


@pytest.mark.parametrize(
    ("library", "module", "place", "left"),
    [
        ("openai", "openai._base_client", "SyncAPIClient.request", "AsyncAPIClient.request"),
        ("openai", "openai._streaming", "Stream.__stream__", "AsyncAPIClient.request"),
        ("openai", "openai._base_client", "AsyncAPIClient.request", "SyncAPIClient.request"),
        ("httpx", "httpx", "AsyncClient.send", ""),
    ],
)
def test_without_one_of_its_places_a_library_goes_on_as_far_as_makes_sense(
    library: str, module: str, place: str, left: str
) -> None:
    """Of an SDK, its other client is seen; of a library of which all belongs together, nothing is wrapped."""
    printed = in_a_process(
        _REMOVED.format(
            early="",
            remove=f"del {module}.{place}",
            late="FailoverInstrumentor().instrument()",
            library=library,
            module=module,
            left=left,
        )
    )
    told = f"{module}:{place} is not there"
    if left:
        assert "STATUS ('patched'" in printed
        assert f"WRAPPED ['{left}']" in printed
        client = "AsyncOpenAI" if place.startswith("Async") else "OpenAI"
        assert printed.count(f"WARNING otel-failover: openai is patched in part, without {client}: {told}") == 1
    else:
        assert "STATUS ('skipped'" in printed
        assert printed.count(f"WARNING otel-failover: {library} is not patched: {told}") == 1
    assert "otel-failover failed" not in printed


def test_a_module_that_is_gone_leaves_the_library_waiting_and_the_host_alone() -> None:
    """A later version may move `_streaming`: the SDK works on, and the state says that nothing came."""
    printed = in_a_process("""
        import openai, otel_failover.integrations.adapters, otel_failover.instrumentor
        from otel_failover import FailoverInstrumentor
        from otel_failover.integrations.patching import Library, Patch
        def wrapper(wrapped, instance, args, kwargs):
            return wrapped(*args, **kwargs)
        places = Patch("openai", "OpenAI.request", wrapper, ""), Patch("openai._nowhere", "x", wrapper, "")
        odd = Library("openai", "openai", ">=1", places)
        otel_failover.integrations.adapters.libraries = lambda: (odd,)
        FailoverInstrumentor().instrument()
        (state,) = otel_failover.instrumentor.states()
        print("STATUS", state.status, openai.OpenAI(api_key="k") is not None)
    """)
    assert f"STATUS {WAITING} True" in printed


_HOOK = """
    from otel_failover import FailoverInstrumentor
    from otel_failover.integrations import adapters
    def boom(*args, **kwargs):
        raise RuntimeError("planted")
    odd = [each._replace(unfit=boom) for each in adapters.libraries()]
    adapters.libraries = lambda: odd
    FailoverInstrumentor().instrument()
    import openai, anthropic, httpx
    with LocalProvider("openai", Answer.ok("yes")) as local:
        client = openai.OpenAI(base_url=local.base_url, api_key="k")
        print("GOT", client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content)
"""


def test_an_exception_in_an_import_hook_breaks_no_import() -> None:
    printed = in_a_process(_HOOK)
    assert "GOT yes" in printed
    assert printed.count("otel-failover failed in patching.openai") == 1
    assert "RuntimeError: planted" in printed


def test_a_wrapper_that_cannot_be_put_on_half_way_leaves_none() -> None:
    """The third of six places fails: the two before it are taken off again."""
    printed = in_a_process("""
        import wrapt, openai
        from openai import _base_client
        from otel_failover import FailoverInstrumentor, instrumentor
        original = vars(_base_client.SyncAPIClient)["request"]
        real = wrapt.wrap_object
        def fails(module, name, *rest):
            if name == "Stream.__stream__":
                raise RuntimeError("planted")
            return real(module, name, *rest)
        wrapt.wrap_object = fails
        FailoverInstrumentor().instrument()
        state = {state.name: state for state in instrumentor.states()}["openai"]
        print("ORIGINAL", vars(_base_client.SyncAPIClient)["request"] is original, "STATUS", state.status, flush=True)
        FailoverInstrumentor().uninstrument()
        print("AFTER", vars(_base_client.SyncAPIClient)["request"] is original)
    """)
    assert "AFTER True" in printed
    assert "ORIGINAL True STATUS skipped" in printed


def test_what_is_imported_later_is_patched_then_and_said() -> None:
    printed = in_a_process("""
        from otel_failover import FailoverInstrumentor, instrumentor
        FailoverInstrumentor().instrument()
        print("BEFORE", {state.name: state.status for state in instrumentor.states()}["openai"])
        import openai
        print("AFTER", {state.name: state.status for state in instrumentor.states()}["openai"])
        FailoverInstrumentor().uninstrument()
        from openai import _base_client
        print("OFF", type(vars(_base_client.SyncAPIClient)["request"]).__name__)
    """)
    assert "BEFORE waiting" in printed
    assert "AFTER patched" in printed
    assert "OFF function" in printed
    assert "(patched when imported)" in printed


def test_off_before_the_import_means_never_patched() -> None:
    printed = in_a_process("""
        from otel_failover import FailoverInstrumentor
        FailoverInstrumentor().instrument()
        FailoverInstrumentor().uninstrument()
        import openai
        from openai import _base_client
        print("OFF", type(vars(_base_client.SyncAPIClient)["request"]).__name__)
        FailoverInstrumentor().instrument()
        print("ON", type(vars(_base_client.SyncAPIClient)["request"]).__name__)
        FailoverInstrumentor().uninstrument()
        print("OFF", type(vars(_base_client.SyncAPIClient)["request"]).__name__)
    """)
    assert printed.count("OFF function") == 2
    assert "ON function" not in printed


def test_instrument_raises_nothing_whatever_it_is_given() -> None:
    """An exception out of one instrumentor keeps `opentelemetry-instrument` from loading all the others."""
    printed = in_a_process("""
        from otel_failover import FailoverInstrumentor
        for options in ({"tracer_provider": 5}, {"meter_provider": "x"}, {"call_spans": object()}, {"loops": 1}):
            FailoverInstrumentor().instrument(**options)
            FailoverInstrumentor().uninstrument()
        print("WENT ON")
    """)
    assert "WENT ON" in printed


# --- places that only some versions have, and places that are met later -----------------------------------------------


def _passes(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


@pytest.mark.parametrize(("since", "status"), [("0.1", SKIPPED), ("99", PATCHED), ("", SKIPPED)])
def test_a_place_that_a_version_does_not_have_yet_is_not_looked_for(since: str, status: str) -> None:
    places = (Patch("httpx", "Client.send", _passes, ""), Patch("httpx", "Client.nowhere", _passes, "", since))
    state = patching.put_on(Library("a-name", "httpx", ">=0.1", places), frozenset(), lambda _: None)
    assert state.status == status
    patching.take_off(state)


def test_a_method_that_is_met_later_is_wrapped_once_and_taken_off_with_the_rest() -> None:
    class Met:
        def ask(self) -> str:
            return "asked"

    before = vars(Met)["ask"]
    library = Library("a-name", "httpx", ">=0.1", (Patch("httpx", "Client.send", _passes, ""),))
    assert not patching.also("a-name", Met, "ask", _passes)
    state = patching.put_on(library, frozenset(), lambda _: None)
    assert patching.also("a-name", Met, "ask", _passes)
    worn = vars(Met)["ask"]
    assert patching.also("a-name", Met, "ask", _passes)
    assert vars(Met)["ask"] is worn is not before
    assert Met().ask() == "asked"
    patching.take_off(state)
    assert vars(Met)["ask"] is before


def test_a_class_that_was_met_is_not_kept_alive() -> None:
    library = Library("a-name", "httpx", ">=0.1", (Patch("httpx", "Client.send", _passes, ""),))
    state = patching.put_on(library, frozenset(), lambda _: None)
    met = type("Met", (), {"ask": lambda self: "asked"})
    patching.also("a-name", met, "ask", _passes)
    gone = weakref.ref(met)
    del met
    gc.collect()
    assert gone() is None
    patching.take_off(state)


def test_a_module_apart_is_waited_for_by_nobody_and_wrapped_when_it_comes() -> None:
    printed = in_a_process("""
        import httpx
        from otel_failover.integrations import patching
        from otel_failover.integrations.patching import Library, Patch
        def wrapper(wrapped, instance, args, kwargs):
            return "wrapped " + wrapped(*args, **kwargs)
        places = (
            Patch("httpx", "Client.send", wrapper, ""),
            Patch("colorsys_nowhere", "ask", wrapper, "", apart=True),
            Patch("colorsys", "rgb_to_hsv", wrapper, "", apart=True),
            Patch("colorsys", "nowhere", wrapper, "", apart=True),
        )
        state = patching.put_on(Library("a-name", "httpx", ">=0.1", places), frozenset(), lambda _: None)
        print("BEFORE", state.status)
        import colorsys
        print("ODD", type(colorsys.rgb_to_hsv).__name__, state.status)
        patching.take_off(state)
        print("OFF", type(httpx.Client.send).__name__)
    """)
    assert "BEFORE patched" in printed
    assert "ODD function patched" in printed
    assert "a-name is patched but for one module: colorsys:nowhere is not there" in printed
    assert "OFF function" in printed


def test_a_module_apart_that_comes_later_is_wrapped_and_taken_off_with_the_rest() -> None:
    printed = in_a_process("""
        from otel_failover.integrations import patching
        from otel_failover.integrations.patching import Library, Patch
        def wrapper(wrapped, instance, args, kwargs):
            return "wrapped"
        places = Patch("httpx", "Client.send", wrapper, ""), Patch("colorsys", "rgb_to_hsv", wrapper, "", apart=True)
        state = patching.put_on(Library("a-name", "httpx", ">=0.1", places), frozenset(), lambda _: None)
        import colorsys
        print("WAITING", state.status, colorsys.rgb_to_hsv(0, 0, 0))
        import httpx
        print("ON", state.status, colorsys.rgb_to_hsv(0, 0, 0))
        patching.take_off(state)
        print("OFF", state.status, colorsys.rgb_to_hsv(0, 0, 0))
    """)
    assert "WAITING waiting (0.0, 0.0, 0)" in printed
    assert "ON patched wrapped" in printed
    assert "OFF disabled (0.0, 0.0, 0)" in printed


@pytest.mark.parametrize("first", ["openai", "anthropic"])
def test_a_request_that_another_has_put_in_front_of_the_bases_is_wrapped_too(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Logfire and OpenInference do so, and call the base's as it was when they came: past our wrapper there."""
    owner: Any = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}[first]
    FailoverInstrumentor().uninstrument()
    base = owner.request
    monkeypatch.setattr(owner, "request", lambda client, *args, **kwargs: base(client, *args, **kwargs), raising=False)
    theirs = vars(owner)["request"]
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)
    with stand(first, Answer.ok("fine")) as only, failover_run(chain=[only.candidate]):
        only.ask()
    (candidate,) = telemetry.candidates
    assert (candidate["candidate.provider"], candidate["failover.wire.requests"]) == (first, 1)
    assert telemetry.run["failover.findings"] is None
    FailoverInstrumentor().uninstrument()
    assert vars(owner)["request"] is theirs
    FailoverInstrumentor().instrument(tracer_provider=telemetry.provider)


def test_nothing_is_put_on_a_client_that_inherits_its_request(telemetry: Telemetry) -> None:
    assert telemetry.provider is not None
    for owner in (openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic, anthropic.AsyncAnthropic):
        assert "request" not in vars(owner)
