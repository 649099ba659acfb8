"""What an adapter holds open around a generator, by `decorating.aiterate`: current only while that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_failover.attempt import Attempt


class Held:
    """What is open without being current; by itself it opens nothing, and changes no context."""

    def open_aside(self) -> None:
        """Open without becoming current."""

    @property
    def context(self) -> Context | None:
        """The context in which steps are made; None leaves things as they are."""
        return None

    def stream_output(self) -> None:
        """Take note that something was handed on."""

    def leave(self, problem: BaseException | None) -> None:
        """End what `open_aside` opened.

        Args:
            problem: The exception that left it, if any.
        """

    def __enter__(self) -> Self:
        self.open_aside()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(problem)


class Tried(Held):
    """One attempt, as long as a generator lasts.

    Args:
        attempt: The attempt.
        failed: Told of the error that the candidate raised, and whether its output had begun by then.
    """

    def __init__(self, attempt: Attempt, failed: Callable[[Exception, bool], None]) -> None:
        self._attempt, self._failed, self._began = attempt, failed, False

    def open_aside(self) -> None:
        """Open the attempt."""
        self._attempt.open_aside()

    @property
    def context(self) -> Context | None:
        """The attempt's context."""
        return self._attempt.context

    def stream_output(self) -> None:
        """Take note that the candidate's output has begun."""
        self._began = True
        self._attempt.stream_output()

    def leave(self, problem: BaseException | None) -> None:
        """End the attempt."""
        if isinstance(problem, Exception):
            self._failed(problem, self._began)
        self._attempt.leave(problem)


class Inside(Held):
    """A part of an attempt that a framework makes under a span of its own: the candidate's is current there again.

    Args:
        attempt: The attempt.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def context(self) -> Context | None:
        """The attempt's context."""
        return self._attempt.context
