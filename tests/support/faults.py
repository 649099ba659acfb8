"""Faults planted in us: which functions of ours run below a guard in a pass of a loop, and a bug in each, one at a time.

Nothing is known here of what those functions are called, or where they are: they are found by watching.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import otel_failover
from otel_failover._core import failsafe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_PACKAGE = str(Path(otel_failover.__file__).parent)
_PYTHON = sysconfig.get_path("stdlib")
_NOT_IN_A_HOST = ("otel_failover.testing", "otel_failover.cli")


class Place(NamedTuple):
    """A function of ours.

    Args:
        name: Module and qualified name.
        function: As it was defined, below its decorators.
    """

    name: str
    function: Any


class Watched(NamedTuple):
    """What ran in a pass.

    Args:
        guarded: Functions that ran below a guard whenever they ran, in the order of their first call.
        bare: Those that also ran outside of one: what a host calls, and what its SDKs call in its stead.
    """

    guarded: list[Place]
    bare: list[Place]


def watch(act: Callable[[], object]) -> Watched:
    """Run something, and say which functions of ours ran."""
    places = {place.function.__code__: place for place in _places()}
    below: dict[CodeType, bool] = {}

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in places:
            below[frame.f_code] = below.get(frame.f_code, True) and is_guarded(frame)

    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(None)
    return Watched(
        [places[code] for code, always in below.items() if always],
        [places[code] for code, always in below.items() if not always],
    )


def is_guarded(frame: FrameType | None) -> bool:
    """Whether a guard stands between a frame of ours and whoever called us."""
    while frame is not None:
        if frame.f_code is _GUARD:
            return True
        if not frame.f_code.co_filename.startswith((_PACKAGE, _PYTHON, "<")) or "-packages" in frame.f_code.co_filename:
            return False
        frame = frame.f_back
    return False


def _places() -> Iterator[Place]:
    """Yield every function of ours that may run in a host."""
    for info in pkgutil.walk_packages(otel_failover.__path__, "otel_failover."):
        if not info.name.startswith(_NOT_IN_A_HOST):
            module = importlib.import_module(info.name)
            for function in _functions(list(vars(module).values())):
                file = function.__code__.co_filename
                if file.startswith(_PACKAGE) and file != failsafe.__file__:
                    name = f"{function.__module__}.{function.__qualname__}"
                    yield Place(name.removeprefix("otel_failover."), function)


def _functions(things: list[Any], depth: int = 6) -> Iterator[FunctionType]:
    """Yield functions, those in classes, and those below decorators and properties."""
    for thing in things:
        if isinstance(thing, FunctionType):
            yield thing
        if isinstance(thing, type):
            inner = list(vars(thing).values()) if thing.__module__.startswith("otel_failover.") else []
        else:
            inner = [vars(thing)[name] for name in _WITHIN if name in getattr(thing, "__dict__", ())]
            inner += [getattr(thing, name) for name in _PARTS if hasattr(type(thing), name)]
        if depth:
            yield from _functions([each for each in inner if each is not None], depth - 1)


@contextmanager
def planted(place: Place, fault: Callable[[], object]) -> Iterator[None]:
    """Let a function of ours fail whenever it runs below a guard.

    Args:
        place: The function; it is the same object while it fails, so that nobody has a copy that does not.
        fault: Is called, and raises.
    """
    function, code = place.function, place.function.__code__
    whole = FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    whole.__kwdefaults__ = function.__kwdefaults__

    def run(*args: Any, **kwargs: Any) -> Any:
        if is_guarded(sys._getframe(2)):
            fault()
        return whole(*args, **kwargs)

    function.__code__ = _handing_over(function, run)
    try:
        yield
    finally:
        function.__code__ = code


def _handing_over(function: FunctionType, run: Callable[..., Any]) -> CodeType:
    """Return the code of a function of the same kind, with as many free variables, that calls another."""
    unused = "".join(f"    v{number} = None\n" for number in range(len(function.__code__.co_freevars)))
    kept = "".join(f"        v{number}\n" for number in range(len(function.__code__.co_freevars)))
    kinds = {
        inspect.isgeneratorfunction: ("def", "return (yield from run(*args, **kwargs))"),
        inspect.iscoroutinefunction: ("async def", "return await run(*args, **kwargs)"),
        inspect.isasyncgenfunction: ("async def", "async for each in run(*args, **kwargs): yield each"),
    }
    word, body = next(
        (how for is_one, how in kinds.items() if is_one(function)), ("def", "return run(*args, **kwargs)")
    )
    made: dict[str, Any] = {}
    text = f"def outer():\n{unused}    {word} stand_in(*args, **kwargs):\n{kept}        run = 'RUN'\n        {body}\n"
    exec(f"{text}    return stand_in\n", made)
    code: CodeType = made["outer"]().__code__
    return code.replace(co_consts=tuple(run if each == "RUN" else each for each in code.co_consts))


_PARTS = ("fget", "fset", "func", "__func__")
_WITHIN = ("__wrapped__",)
_GUARD = failsafe.guarded(None)(_places).__code__
