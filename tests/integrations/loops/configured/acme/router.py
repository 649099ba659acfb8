"""A router with a fallback loop in every shape that hosts have. One session file serves all vendors: the incident."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path


class RouterError(Exception):
    """What the router raises."""


@dataclass
class Reply:
    text: str = ""
    error: str | None = None
    vendor: str = ""


@dataclass
class Vendor:
    """One entry of the chain."""

    label: str
    name: str
    sdk: Any

    @property
    def url(self) -> str:
        return str(self.sdk.client.base_url)

    @property
    def broken(self) -> str:
        return str(1 / 0)

    def send(self, **options: Any) -> Any:
        return self.sdk.ask(**options)

    async def asend(self, **options: Any) -> Any:
        return await self.sdk.aask(**options)


class Session:
    """The first error wins, and is read for everybody."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def error(self, problem: Exception) -> str:
        if not self.file.exists():
            self.file.write_text(str(problem))
        return self.file.read_text()


class Base:
    def inherited(self, vendors: list[Vendor]) -> Any:
        for vendor in vendors:
            with contextlib.suppress(Exception):
                return self.ask_raising(vendor)
        return None

    def ask_raising(self, vendor: Vendor, /, *, model: str = "default-model") -> Any:
        return vendor.send()


class Router(Base):
    """A loop for each way in which functions are written."""

    vendors_known: ClassVar[list[Vendor]] = []

    def __init__(self, vendors: list[Vendor], session: Session | None = None) -> None:
        self.vendors, self.session = vendors, session

    # errors as values

    def route(self, prompt: str = "hello") -> Reply:
        reply = Reply(error="no vendor")
        for vendor in self.vendors:
            reply = self._ask(vendor, prompt=prompt, model=vendor.name)
            if reply.error is None:
                return reply
        return reply

    def _ask(self, vendor: Vendor, **kwargs: Any) -> Reply:
        try:
            return Reply(text=type(vendor.send()).__name__, vendor=vendor.label)
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            return Reply(error=self._report(problem), vendor=vendor.label)

    def call(self, vendor: Vendor, **kwargs: Any) -> Reply:
        return self._ask(vendor, **kwargs)

    def _report(self, problem: Exception) -> str:
        return self.session.error(problem) if self.session is not None else str(problem)

    # exceptions

    def route_raising(self) -> Any:
        for vendor in self.vendors:
            try:
                return self._try(vendor)
            except RouterError as problem:
                last = problem
        raise last

    def _try(self, vendor: Vendor) -> Any:
        try:
            return vendor.send()
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            raise RouterError(self._report(problem)) from None

    # asynchronous

    async def aroute(self) -> Any:
        for vendor in self.vendors:
            try:
                return await self._atry(vendor)
            except RouterError as problem:
                last = problem
        raise last

    async def _atry(self, vendor: Vendor) -> Any:
        try:
            return await vendor.asend()
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            raise RouterError(self._report(problem)) from None

    # what hands back something that goes on working

    def later(self) -> Awaitable[Any]:
        return self.aroute()

    def as_task(self) -> asyncio.Task[Any]:
        return asyncio.ensure_future(self.aroute())

    def in_pool(self) -> Any:
        with ThreadPoolExecutor(1) as pool:
            for vendor in self.vendors:
                try:
                    return pool.submit(self._try, vendor).result()
                except RouterError:
                    continue
        return None

    def chunks(self) -> Iterator[Any]:
        return self.stream()

    def achunks(self) -> AsyncIterator[Any]:
        return self.astream()

    @contextlib.contextmanager
    def open_stream(self) -> Iterator[Any]:
        for vendor in self.vendors:
            try:
                reply = self._try(vendor)
            except RouterError:
                continue
            yield reply
            return

    @contextlib.asynccontextmanager
    async def aopen_stream(self) -> AsyncIterator[Any]:
        for vendor in self.vendors:
            try:
                reply = await self._atry(vendor)
            except RouterError:
                continue
            yield reply
            return

    # streaming

    def stream(self) -> Iterator[Any]:
        for vendor in self.vendors:
            try:
                yield from self._stream(vendor)
            except RouterError:
                continue
            return

    def _stream(self, vendor: Vendor) -> Iterator[Any]:
        try:
            yield from vendor.send(stream=True)
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            raise RouterError(self._report(problem)) from None

    async def astream(self) -> AsyncIterator[Any]:
        for vendor in self.vendors:
            try:
                async for chunk in self._astream(vendor):
                    yield chunk
            except RouterError:
                continue
            return

    async def _astream(self, vendor: Vendor) -> AsyncIterator[Any]:
        try:
            async for chunk in await vendor.asend(stream=True):
                yield chunk
        except Exception as problem:  # noqa: BLE001 - the loop goes on
            raise RouterError(self._report(problem)) from None

    # static and class methods, and what calls itself

    @staticmethod
    def static(vendors: list[Vendor]) -> Any:
        for vendor in vendors:
            with contextlib.suppress(Exception):
                return Router._static_ask(vendor)
        return None

    @staticmethod
    def _static_ask(vendor: Vendor) -> Any:
        return vendor.send()

    @classmethod
    def of_class(cls) -> Any:
        for vendor in cls.vendors_known:
            with contextlib.suppress(Exception):
                return cls._class_ask(vendor)
        return None

    @classmethod
    def _class_ask(cls, vendor: Vendor) -> Any:
        return vendor.send()

    def recurse(self, at: int = 0) -> Any:
        try:
            return self._try(self.vendors[at])
        except RouterError:
            if at + 1 == len(self.vendors):
                raise
            return self.recurse(at + 1)

    def nested(self) -> Any:
        """Each vendor of the outer loop is a loop itself."""
        return self._nested_ask(self.vendors[0])

    def _nested_ask(self, vendor: Vendor) -> Any:
        return self.nested_again(vendor)

    def nested_again(self, vendor: Vendor) -> Any:
        return Router([vendor]).nested() if vendor is self.vendors[0] and len(self.vendors) > 1 else vendor.send()


def ask_first(vendors: list[Vendor]) -> Any:
    """Try the first, and go on with the rest by calling itself."""
    vendor, *rest = vendors
    try:
        return vendor.send()
    except Exception:
        if not rest:
            raise
        return ask_first(rest)


def bare(vendors: list[Vendor]) -> Any:
    """A loop of bare calls."""
    for vendor in vendors:
        with contextlib.suppress(Exception):
            return vendor.send()
    return None
