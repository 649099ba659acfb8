"""pydantic-ai: `FallbackModel`, and from 2.64 on the capability `ModelFallback`.

A run is one pass of `FallbackModel.request` or `.request_stream`, or one step of an agent that has `ModelFallback`. It
is never current: pydantic-ai finds its own `chat` span by asking what is current, writes the winner there, and puts its
attempt spans below it. Which pass a candidate is asked in stands in the OpenTelemetry context, under a key of our own.

`FallbackModel` has no method that asks one candidate. It calls `model.request`, so that is wrapped on the classes of
the models in a chain when they are first met, and does something only for a model of the current pass, called outside
any attempt of it: a wrapping model, or a subclass that calls `super()`, opens no second one. `ModelFallback` asks
through `_agent_graph.model_request`, one call for each candidate, continuations inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from otel_failover import identity, patching, runtime, scope
from otel_failover.decorating import Managed
from otel_failover.failsafe import guarded, read
from otel_failover.identity import Candidate
from otel_failover.loops.handing import Answer, hand_over, listen
from otel_failover.patching import Library, Patch
from otel_failover.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context

    from otel_failover.attempt import Attempt

_NAME: Final = "pydantic_ai"
_PASS: Final = context_api.create_key("failover-pydantic-ai")


class _Pass:
    """One pass of a chain.

    Args:
        entries: The models, or names of models, in order.
        step: The `ModelRequestContext` of an agent's step; None for a pass of a `FallbackModel`.
    """

    def __init__(self, entries: tuple[Any, ...], step: object = None) -> None:
        self.entries, self.step = entries, step
        self.run = Run("chat", tuple(map(_candidate_of, entries)), library=_NAME)
        self.over = False
        self._tried: set[int] = set()
        self._raised: BaseException | None = None
        self._began = False
        self._answers: list[Answer] = []
        self._inner, self._host = _spans_around()

    def open_aside(self) -> None:
        """Open the run without making it current."""
        self.run.open_aside()

    @property
    def context(self) -> Context:
        """The host's own context, by which this pass is found.

        A loop inside a candidate sees the span that would be current without us, where that is ours.
        """
        current = context_api.get_current()
        values: dict[str, object] = {**current, _PASS: self}
        if self._inner is not None and _span_in(current) is self._inner:
            values[scope._SPAN_KEY] = self._host
        return context_api.Context(values)

    def stream_output(self) -> None:
        """Take note of nothing: what was handed on is told by the attempts."""

    def leave(self, problem: BaseException | None) -> None:
        """End the run, once what was handed over in it has ended too.

        Args:
            problem: The exception that leaves it, if any.
        """
        self.over = True
        if problem is None and any(not answer.over for answer in self._answers):
            return
        if isinstance(problem, Exception) and problem is self._raised and len(self._tried) < len(self.entries):
            why = "it failed after output began" if self._began else f"fallback_on lacks {type(problem).__name__}"
            self.run.stop(why)
        self._raised = None
        self._answers.clear()
        self.run.leave(problem)

    def attempt(self, model: Any) -> Attempt | None:
        """Return the attempt at a model; None where it does not stand in the chain of a `FallbackModel`."""
        places = list(self._places(model))
        if not places:
            return self.run.attempt(_candidate_of(model)) if self.step is not None else None
        index = next((place for place in places if place not in self._tried), places[-1])
        self._tried.add(index)
        return self.run.attempt_at(index)

    def _places(self, model: Any) -> Iterator[int]:
        """Yield where a model stands: by object, below what an agent wraps it in, or by the name it was given by."""
        name = read(self.step, "model_id")
        while model is not None:
            yield from (i for i, entry in enumerate(self.entries) if entry is model)
            model = read(model, "wrapped") if self.step is not None else None
        yield from (i for i, entry in enumerate(self.entries) if isinstance(entry, str) and entry == name)

    def failed(self, problem: BaseException) -> None:
        """Remember what the latest candidate raised, until the pass is left: leaving as it is, it ends the loop."""
        self._raised = problem

    def hold(self, attempt: Attempt) -> Answer:
        """Return an attempt that lasts as long as the stream that it will hand over."""
        answer = Answer(attempt, self._ended)
        self._answers.append(answer)
        return answer

    def _ended(self, problem: BaseException | None, began: bool) -> None:
        if problem is not None:
            self._raised, self._began = problem, began
        if self.over:
            self.leave(problem)


def _span_in(context: Context) -> object:
    return context.get(scope._SPAN_KEY)


def _spans_around() -> tuple[object, object]:
    """Return the span of the candidate that a pass happens inside of, and the one that is current without us."""
    outer, around = context_api.get_value(_PASS), scope.attempt_in()
    if not isinstance(outer, _Pass) or around is None or around._run is not outer.run:
        return None, _span_in(context_api.get_current())
    return around._own.span, outer._host


# --- who is asked -----------------------------------------------------------------------------------------------------


def _candidate_of(model: Any) -> Candidate:
    """Return who a model is: a known host's provider before pydantic-ai's word, which names the SDK's for gateways."""
    if isinstance(model, str):
        system, _, name = model.rpartition(":")
        return Candidate(system.removesuffix("-chat").removesuffix("-responses"), name)
    name, system, url = (read(model, each) for each in ("model_name", "system", "base_url"))
    if _is_fallback(model):
        return Candidate("fallback", name if isinstance(name, str) else "")
    endpoint = identity.endpoint_of(url) if isinstance(url, str) and url else None
    host = identity.host_of(endpoint) if endpoint else ""
    active = runtime.current()
    known = active.provider_alias(host) or (None if host in active.gateways else identity.provider_of_host(host))
    provider = known or (system if isinstance(system, str) else "")
    return Candidate(provider, name if isinstance(name, str) else "", endpoint)


def _is_fallback(model: object) -> bool:
    return any(each.__name__ == "FallbackModel" for each in type(model).__mro__)


def _watch(model: Any) -> bool:
    """Wrap what a chain calls on a model, where its class defines it; False where an object has a method of its own."""
    if not {"request", "request_stream"}.isdisjoint(getattr(model, "__dict__", ())):
        return False
    return _wrap_on(type(model), "request", _ask) and _wrap_on(type(model), "request_stream", _ask_stream)


def _wrap_on(kind: type, name: str, wrapper: Any) -> bool:
    owner = next((each for each in kind.__mro__ if name in vars(each)), None)
    if owner is None or (owner.__module__, owner.__name__) == ("pydantic_ai.models", "Model"):
        # The base's own raises, and is compared by identity to tell that a model cannot stream.
        return name != "request"
    return patching.also(_NAME, owner, name, wrapper)


# --- FallbackModel ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of(instance: Any) -> _Pass | None:
    """Return a new pass of a `FallbackModel`; None where a candidate's calls cannot be seen."""
    models = tuple(instance.models)
    if not runtime.current().active or not all(map(_watch, models)):
        return None
    # Handlers may ask models of the chain themselves, to judge an answer: until 2.x methods of the model's own.
    predicates = type(read(instance, "_predicates"))
    for owner, name in (
        (predicates, "should_fallback"),
        *((each, "_should_fallback") for each in type(instance).mro()),
    ):
        if name in vars(owner):
            patching.also(_NAME, owner, name, _judge)
    return _Pass(models)


async def _run(opened: _Pass | None, wrapped: Any, args: Any, kwargs: Any) -> Any:
    if opened is None:
        return await wrapped(*args, **kwargs)
    opened.open_aside()
    try:
        with scope.attached(opened.context):
            result = await wrapped(*args, **kwargs)
    except BaseException as problem:
        opened.leave(problem)
        raise
    opened.leave(None)
    return result


async def _request(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackModel.request` with a run."""
    return await _run(_pass_of(instance), wrapped, args, kwargs)


def _request_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `FallbackModel.request_stream` with a run, which lasts until the stream is left."""
    managed, opened = wrapped(*args, **kwargs), _pass_of(instance)
    return managed if opened is None else Managed(opened, managed)


async def _judge(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap the handlers of `fallback_on`: what they ask is no candidate of the pass."""
    with scope.attached(context_api.set_value(_PASS, None)):
        return await wrapped(*args, **kwargs)


# --- one candidate ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _attempt_at(model: Any, step: object = None) -> tuple[_Pass, Attempt] | None:
    """Return the attempt that a call is: at a model of the current pass, outside any attempt of it."""
    opened = context_api.get_value(_PASS)
    if not isinstance(opened, _Pass) or opened.over or opened.step is not step or not runtime.current().active:
        return None
    current = scope.attempt_in()
    if current is not None and current._run is opened.run:
        return None
    attempt = opened.attempt(model)
    return (opened, attempt) if attempt is not None else None


async def _try(found: tuple[_Pass, Attempt] | None, wrapped: Any, args: Any, kwargs: Any) -> Any:
    if found is None:
        return await wrapped(*args, **kwargs)
    opened, attempt = found
    with attempt:
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as problem:
            opened.failed(problem)
            raise
        attempt.answered()
    return response


async def _ask(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `request` of a model's class with an attempt; a response handler may yet refuse what it answers."""
    return await _try(_attempt_at(instance), wrapped, args, kwargs)


def _ask_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap `request_stream` of a model's class with an attempt, which lasts as long as its stream."""
    return _hand(_attempt_at(instance), wrapped(*args, **kwargs))


def _hand(found: tuple[_Pass, Attempt] | None, managed: Any) -> Any:
    return managed if found is None else hand_over(found[0].hold(found[1]), managed, _listen)


def _listen(response: object) -> None:
    """Wrap `__aiter__` of a streamed response's class: an error that comes out of it is the candidate's."""
    owner = next(each for each in type(response).__mro__ if "__aiter__" in vars(each))
    patching.also(_NAME, owner, "__aiter__", listen)


# --- ModelFallback ----------------------------------------------------------------------------------------------------


@guarded(fallback=None)
def _pass_of_step(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Pass | None:
    """Return a new pass for a step of an agent that has `ModelFallback`: the step's model, then the capability's."""
    step = kwargs.get("request_context") or args[2]
    found: list[Any] = []
    (kwargs.get("ctx") or args[0]).deps.root_capability.apply(found.append)
    given = next((each.models for each in found if type(each).__name__ == "ModelFallback"), None)
    if given is None or not runtime.current().active:
        return None
    others = (each for each in given if each is not step.model and (not isinstance(each, str) or each != step.model_id))
    return _Pass((step.model, *others), step)


async def _attempts(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's signature
    """Wrap an agent step's loop over attempts with a run; a stream's lasts until the stream has ended."""
    return await _run(_pass_of_step(args, kwargs), wrapped, args, kwargs)


@guarded(fallback=None)
def _attempt_of_step(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[_Pass, Attempt] | None:
    return _attempt_at(args[0] if args else kwargs["model"], kwargs["request_context"])


async def _model_request(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's
    """Wrap what asks an agent step's model with an attempt; a hook may yet refuse what it answers."""
    return await _try(_attempt_of_step(args, kwargs), wrapped, args, kwargs)


def _model_request_stream(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001 - wrapt's
    """Wrap what streams from an agent step's model with an attempt."""
    return _hand(_attempt_of_step(args, kwargs), wrapped(*args, **kwargs))


_FALLBACK: Final = "pydantic_ai.models.fallback"
_GRAPH: Final = "pydantic_ai._agent_graph"

PYDANTIC_AI: Final = Library(
    _NAME,
    "pydantic-ai-slim",
    ">=1,<3",
    (
        Patch(_FALLBACK, "FallbackModel.request", _request, "one pass of the chain, unchanged since 1.0"),
        Patch(_FALLBACK, "FallbackModel.request_stream", _request_stream, "one pass of the chain, streamed"),
        Patch(_GRAPH, "ModelRequestNode._request_attempts", _attempts, "one step's loop over models", "2.64"),
        Patch(_GRAPH, "ModelRequestNode._open_stream", _attempts, "one step's loop until a stream is open", "2.64"),
        Patch(_GRAPH, "model_request", _model_request, "one model of that loop, continuations inside", "2.64"),
        Patch(_GRAPH, "model_request_stream", _model_request_stream, "the same, streamed", "2.64"),
    ),
)
