"""Local providers: HTTP servers on loopback that answer in the wire formats of OpenAI, Anthropic, Gemini and others.

They are the one thing this project fakes. The SDKs that talk to them are real, and so are the connections: a
provider that shall break off a stream resets the socket. Nothing here imports an SDK or OpenTelemetry.

    with LocalProvider("openai", Answer.openai_quota(), Answer.ok("Hello")) as provider:
        client = OpenAI(base_url=provider.base_url, api_key="any")
        ...
        assert [served.status for served in provider.log] == [429, 200]

The log is what a trace is compared with: it records what each provider really answered, not what it was
programmed to.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING

from otel_failover.testing.answers import Answer
from otel_failover.testing.loopback import LoopbackServer
from otel_failover.testing.played_request import FORMATS, Exchange, Ledger, Served, ServedEnding
from otel_failover.testing.wire.common import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from otel_failover.testing.loopback import Request, Steps

__all__ = ["Answer", "Kind", "LocalProvider", "LocalProviders", "Served", "ServedEnding"]


class LocalProvider:
    """One candidate's endpoint, on a port of its own.

    Args:
        kind: Whose wire format it speaks.
        answers: Given in order, one a request. When they are used up, `default` is given, or the last one
            again, or (with none at all) `Answer.ok()`. A success on a path the provider does not have becomes
            its 404.
        name: What the log calls it; the kind, unless given.
        default: See `answers`.

    Attributes:
        log: What was answered, in the order the requests came in. An entry is there before the client can
            have read a byte of the answer; a stream's is exchanged for a fuller one when it ends.
    """

    def __init__(
        self,
        kind: Kind,
        *answers: Answer,
        name: str | None = None,
        default: Answer | None = None,
    ) -> None:
        if kind not in FORMATS:
            raise ValueError(f"no wire format is called {kind!r}; there are {', '.join(FORMATS)}")
        self.kind: Kind = kind
        self.name = name or kind
        self._ledger = Ledger(kind, self.name)
        self.log: list[Served] = self._ledger.entries
        self._default = default
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._handle)
        self.program(*answers)

    @property
    def endpoint(self) -> str:
        """The root of the server; raises RuntimeError before the first start."""
        if self._server.port is None:
            raise RuntimeError(
                f"local provider {self.name!r} has no address yet: call start() or use it in a with statement"
            )
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def base_url(self) -> str:
        """What the provider's SDK takes as `base_url`."""
        return self.endpoint + FORMATS[self.kind].BASE_PATH

    def program(self, *answers: Answer) -> None:
        """Replace the answers not given yet."""
        with self._lock:
            self._queue = deque(answers)
            self._last: Answer | None = None

    @property
    def programmed(self) -> tuple[Answer, ...]:
        """The answers not given yet, in order."""
        with self._lock:
            return tuple(self._queue)

    def clear(self) -> None:
        """Empty the log; answers under way still finish, unrecorded."""
        self._ledger.clear()

    def start(self) -> Self:
        """Listen, on the same port as before after a `close`; returns the provider."""
        self._server.start(f"local-provider-{self.name}")
        return self

    def close(self) -> None:
        """Refuse new connections and drop the open ones, hanging ones too."""
        self._server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalProvider {self.name!r} ({self.kind}), {len(self.log)} served>"

    def _handle(self, request: Request) -> Steps:
        return Exchange(self._ledger, request, self._next_answer()).play()

    def _next_answer(self) -> Answer:
        with self._lock:
            if self._queue:
                self._last = self._queue.popleft()
                return self._last
            return self._default or self._last or Answer.ok()


class LocalProviders:
    """Several local providers, started and closed together.

    They are given as they are, or by keyword as what `LocalProvider` takes, under the name the keyword gives:

        with LocalProviders(
            primary=("openai", Answer.openai_quota()),
            backup=("anthropic", Answer.ok()),
        ) as providers:
            providers.primary.base_url, providers[1].base_url, providers["backup"].log

    Raises ValueError when two have the same name.
    """

    def __init__(
        self,
        *providers: LocalProvider | Iterable[LocalProvider],
        **named: tuple[Kind, Unpack[tuple[Answer, ...]]],
    ) -> None:
        given: list[LocalProvider] = []
        for provider in providers:
            given.extend([provider] if isinstance(provider, LocalProvider) else provider)
        given.extend(LocalProvider(kind, *answers, name=name) for name, (kind, *answers) in named.items())
        self._providers: dict[str, LocalProvider] = {}
        for provider in given:
            if provider.name in self._providers:
                raise ValueError(f"two local providers are called {provider.name!r}; give one another name=")
            self._providers[provider.name] = provider
        self._stack = ExitStack()

    @property
    def log(self) -> list[Served]:
        """What all of them answered, by the time the requests came in; a new list each time."""
        return sorted((entry for provider in self for entry in list(provider.log)), key=lambda entry: entry.started)

    def clear(self) -> None:
        """Empty every log."""
        for provider in self:
            provider.clear()

    def start(self) -> Self:
        """Start all, or none: if one cannot, those already started are closed again."""
        with ExitStack() as stack:
            for provider in self:
                stack.enter_context(provider)
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Close all."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[LocalProvider]:
        return iter(list(self._providers.values()))

    def __len__(self) -> int:
        return len(self._providers)

    def __getitem__(self, key: int | str) -> LocalProvider:
        return self._providers[key] if isinstance(key, str) else list(self)[key]

    def __getattr__(self, name: str) -> LocalProvider:
        try:
            return self.__dict__["_providers"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"no local provider is called {name!r}") from None
