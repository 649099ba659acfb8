"""Releases newer than any that was tested: patched where their places look as they did, named where they do not.

A next release is made of module files, with the metadata of a distribution beside them: no object of a library is
replaced by anything.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import TYPE_CHECKING, Any

import pytest
import wrapt
from packaging.version import Version

from otel_failover.integrations.libraries import NEWEST, libraries
from otel_failover.integrations.patching import Library, installed
from otel_failover.integrations.seams import ASYNC_GENERATOR, ASYNC_MANAGER, GENERATOR, fault_of
from tests.support.process import ROOT, in_a_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HERE = __name__


@pytest.mark.parametrize("library", libraries(), ids=lambda each: each.name)
def test_the_places_of_what_is_installed_are_of_the_shape_that_is_said(library: Library) -> None:
    """The newest in CI: what is said of a place is true of it, or the next release would be left out for nothing."""
    version = installed(library.distribution)
    if version is None or not version[0].isdigit():
        pytest.skip("not installed")
    places = [patch for patch in library.patches if Version(version) >= Version(patch.since or "0")]
    try:
        modules = {patch.module: importlib.import_module(patch.module) for patch in places}
    except ImportError as problem:
        pytest.skip(f"an older release, or not whole: {problem}")
    for patch in places:
        try:
            place = functools.reduce(getattr, patch.name.split("."), modules[patch.module])
        except AttributeError:
            pytest.skip("an older release")
        assert fault_of(place, patch.kind, patch.takes, patch.wrapper, patch.module) is None, patch.name


def test_each_library_has_a_newest_version_that_was_tested() -> None:
    assert set(NEWEST) == {library.name for library in libraries()}


# --- shapes -----------------------------------------------------------------------------------------------------------


def plain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any: ...


async def awaiting(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any: ...


class Places:
    """What a place may have become."""

    def ask(self, model: str, options: Any, *, stream: bool = False) -> Any: ...

    async def aask(self, model: str, options: Any, *, stream: bool = False) -> Any: ...

    def steps(self, model: str) -> Iterator[Any]:
        yield

    async def asteps(self, model: str) -> AsyncIterator[Any]:
        yield

    @contextlib.asynccontextmanager
    async def manager(self, model: str) -> AsyncIterator[Any]:
        yield

    def anything(self, *args: Any, **kwargs: Any) -> Any: ...

    value = 5


@pytest.mark.parametrize(
    ("place", "kind", "wrapper", "fault"),
    [
        ("ask", "", plain, None),
        ("ask", "", awaiting, "is a plain function, where a coroutine function was"),
        ("ask", GENERATOR, plain, None),
        ("aask", "", awaiting, None),
        ("aask", "", plain, "is a coroutine function, where a plain function was"),
        ("aask", GENERATOR, plain, "is a coroutine function, where a generator was"),
        ("aask", ASYNC_GENERATOR, plain, "is a coroutine function, where an asynchronous generator was"),
        ("steps", GENERATOR, plain, None),
        ("steps", "", plain, "is a generator, where a plain function was"),
        ("steps", ASYNC_GENERATOR, plain, "is a generator, where an asynchronous generator was"),
        ("asteps", ASYNC_GENERATOR, plain, None),
        ("asteps", "", awaiting, "is an asynchronous generator, where a coroutine function was"),
        ("manager", ASYNC_MANAGER, plain, None),
        ("manager", "", plain, "is an asynchronous context manager, where a plain function was"),
        ("asteps", ASYNC_MANAGER, plain, "is an asynchronous generator, where an asynchronous context manager was"),
        ("value", "", plain, "is no function"),
        ("__class__", "", plain, "is a class"),
    ],
)
def test_what_kind_of_function_a_place_is(
    place: str, kind: str, wrapper: Callable[..., Any], fault: str | None
) -> None:
    assert fault_of(getattr(Places, place), kind, "", wrapper, HERE) == fault


@pytest.mark.parametrize(
    ("place", "takes", "fault"),
    [
        ("ask", "model, options, *, stream", None),
        ("ask", "_, options", None),
        ("ask", "options", "takes no 'options' as its first parameter there"),
        ("ask", "model, settings", "takes no 'settings' as its second parameter there"),
        ("ask", "model, options, config", "takes no 'config' there"),
        ("ask", "*, stream, model", None),
        ("ask", "*, run_response", "takes no 'run_response' there"),
        ("anything", "model, options, *, stream", None),
        ("manager", "model", None),
    ],
)
def test_which_parameters_a_place_takes(place: str, takes: str, fault: str | None) -> None:
    kind = ASYNC_MANAGER if place == "manager" else ""
    assert fault_of(getattr(Places, place), kind, takes, plain, HERE) == fault


def of_others(wrapped: Any) -> Any:
    """Wrap as an instrumentation does that knows no wrapt, in a module of its own."""
    made: dict[str, Any] = {"wrapped": wrapped, "wraps": functools.wraps, "__name__": "other_instrumentation"}
    exec("def covered(*args, **kwargs):\n    return wrapped(*args, **kwargs)", made)  # noqa: S102 - its own globals
    return functools.wraps(wrapped)(made["covered"])


def opaque(wrapped: Any) -> Any:
    covered = of_others(wrapped)
    del covered.__wrapped__
    return covered


@pytest.mark.parametrize(
    "cover", [of_others, lambda place: wrapt.FunctionWrapper(place, plain)], ids=["plain", "wrapt"]
)
def test_what_another_has_put_on_top_is_looked_through(cover: Callable[[Any], Any]) -> None:
    assert fault_of(cover(Places.aask), "", "model", awaiting, HERE) is None
    assert fault_of(cover(Places.aask), "", "", plain, HERE) == "is a coroutine function, where a plain function was"
    assert fault_of(cover(Places.ask), "", "settings", plain, HERE) is not None


def test_what_cannot_be_looked_through_counts_as_it_is() -> None:
    assert fault_of(opaque(Places.aask), "", "model", awaiting, HERE) is None


# --- a next release ---------------------------------------------------------------------------------------------------

FALLBACK = """
class FallbackChatGenerator:
    def __init__(self, chat_generators):
        self.chat_generators = chat_generators

    def run(self, messages, **kwargs):
        return self._run_single_sync(gen=self.chat_generators[0], messages=messages)

    async def run_async(self, messages, **kwargs):
        return await self._run_single_async(self.chat_generators[0], messages)

    def _run_single_sync(self, gen, messages):
        return gen(messages)

    async def _run_single_async(self, gen, messages):
        return gen(messages)
"""
RUN, RUN_ASYNC = "'run'", "'run_async'"
CHANGES = {
    "as it was": ("", "", []),
    "a lost parameter": ("_sync(self, gen, messages):", "_sync(self, *, gen, messages):", ["run: ", "'gen'"]),
    "a coroutine": ("def _run_single_sync(", "async def _run_single_sync(", ["run: ", "is a coroutine function"]),
    "no coroutine": ("async def _run_single_async(", "def _run_single_async(", ["run_async: ", "is a plain function"]),
    "another name": ("run_async(self", "arun(self", ["run_async: ", "run_async is not there"]),
    "another class": ("class FallbackChatGenerator", "class Fallback", ["is not there"]),
    "another module": ("", "", ["is not there"]),
}
APP = """
    import sys
    from otel_failover import FailoverInstrumentor, instrumentor
    FailoverInstrumentor().instrument()
    import haystack
    print("IMPORTED")
    import haystack.components.generators.chat.{module} as chat
    state = {{each.name: each for each in instrumentor.states()}}["haystack"]
    kind = next(each for each in vars(chat).values() if isinstance(each, type))
    wrapped = [name for name, place in sorted(vars(kind).items()) if type(place).__name__ == "Wrapper"]
    print("STATE", state.status, state.newer_than, wrapped)
    print("ANSWER", kind([lambda messages: "answered"]).run([]))
    FailoverInstrumentor().uninstrument()
"""


def next_release(place: Path, code: str, module: str) -> str:
    """Write the next release of Haystack; return a `PYTHONPATH` that has it before any other."""
    package = place / "haystack" / "components" / "generators" / "chat"
    package.mkdir(parents=True)
    for folder in (package, *list(package.parents)[:3]):
        (folder / "__init__.py").write_text("")
    (package / f"{module}.py").write_text(code)
    metadata = place / "haystack_ai-99.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: haystack-ai\nVersion: 99.1\n")
    return f"{place}:{ROOT}"


@pytest.mark.parametrize("change", CHANGES)
def test_a_next_release_is_patched_as_far_as_its_places_are_as_they_were(tmp_path: Path, change: str) -> None:
    """What is not is named once, before the first call, with what to do; the host's call is what it was."""
    old, new, told = CHANGES[change]
    module = "falling_back" if change == "another module" else "fallback"
    path = next_release(tmp_path, FALLBACK.replace(old, new) if old else FALLBACK, module)
    printed = in_a_process(APP.format(module=module), PYTHONPATH=path)
    warnings = [line for line in printed.splitlines() if "WARNING" in line and "haystack" in line]
    sync, asynchronous = ["_run_single_sync", "run"], ["_run_single_async", "run_async"]
    left = {"run: ": asynchronous, "run_async: ": sync}.get(told[0] if told else "", [])
    if not told:
        left = sorted([*sync, *asynchronous])
        assert warnings == []
        assert "haystack 99.1 patched (newer than" in printed
        assert "the newest tested; its seams look as they did)" in printed
    else:
        assert len(warnings) == 1
        assert all(word in warnings[0] for word in told)
        assert "install 'haystack-ai<=" in warnings[0]
        assert "the provider calls that it makes are still seen" in warnings[0]
    assert f"STATE {'patched' if left else 'skipped'} {NEWEST['haystack']} {left}" in printed
    if change != "a coroutine":
        assert "ANSWER answered" in printed
    assert "otel-failover failed" not in printed
