"""What the SDKs made by Stainless share: openai, anthropic.

Both have `_base_client.{Sync,Async}APIClient.request(cast_to, options, *, stream, stream_cls)`, one logical call with
all its retries inside, and `_streaming.{Stream,AsyncStream}` with `__stream__`, the generator that every way of making
a stream goes through, `.parse()` of a raw response included. Unchanged from openai 1.x to 3.x and anthropic 0.x to 2.x.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_failover._core.domain.asked import Asked
from otel_failover._core.evidence import wire
from otel_failover._core.failsafe import guarded, read
from otel_failover._core.runs import call as calls
from otel_failover.integrations.patching import Library, Patch
from otel_failover.integrations.providers import other_instrumentations
from otel_failover.integrations.providers.stainless_streams import achunks, chunks, opened_raw
from otel_failover.integrations.seams import ASYNC_GENERATOR, GENERATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_failover._core.runs.call import Call


class Adapter:
    """One SDK.

    Args:
        name: Of the SDK, its package and its distribution.
        provider: The provider behind its default base URL.
        default_endpoint: Scheme and host of that URL.
        operations: Path endings of inference calls, and their `gen_ai.operation.name`.
        supported: Versions.
        client: Name of its client's class; the asynchronous one has `Async` before it.
        own_spans: Returns whether the SDK makes the call's span by itself, given the client.
    """

    def __init__(
        self,
        name: str,
        provider: str,
        default_endpoint: str,
        operations: Mapping[str, str],
        supported: str,
        client: str,
        own_spans: Callable[[Any], bool] | None = None,
    ) -> None:
        self.name, self._provider, self._default, self._client = name, provider, default_endpoint, client
        self._operations, self._supported, self._own_spans = tuple(operations.items()), supported, own_spans

    def library(self) -> Library:
        """Return what is wrapped, and why there."""
        base, client, streaming = (f"{self.name}.{module}" for module in ("_base_client", "_client", "_streaming"))
        one_call = "one logical call: its retries are inside, its exception has not left yet"
        in_front = "the same, where Logfire or OpenInference has put one of its own in front, which calls the base's"
        each_chunk = "every stream's chunks, however the stream was made"
        takes, sync, asynchronous = "_, options, *, stream", self._client, f"Async{self._client}"
        return Library(
            self.name,
            self.name,
            self._supported,
            (
                Patch(base, "SyncAPIClient.request", self._request, one_call, takes=takes, group=sync),
                Patch(base, "AsyncAPIClient.request", self._arequest, one_call, takes=takes, group=asynchronous),
                Patch(client, f"{self._client}.request", self._request, in_front, shadow=True, group=sync),
                Patch(
                    client, f"Async{self._client}.request", self._arequest, in_front, shadow=True, group=asynchronous
                ),
                Patch(streaming, "Stream.__stream__", chunks, each_chunk, kind=GENERATOR, group=sync),
                Patch(
                    streaming, "AsyncStream.__stream__", achunks, each_chunk, kind=ASYNC_GENERATOR, group=asynchronous
                ),
            ),
        )

    # --- calls --------------------------------------------------------------------------------------------------------

    def _request(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `SyncAPIClient.request`: open, call, settle."""
        with calls.opened(self._asked, instance, args, kwargs) as call:
            result = wrapped(*args, **kwargs)
            _settle(call, result)
        return result

    async def _arequest(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `AsyncAPIClient.request`: open, call, settle."""
        with calls.opened(self._asked, instance, args, kwargs) as call:
            result = await wrapped(*args, **kwargs)
            _settle(call, result)
        return result

    def _asked(self, client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked | None:
        """Read what the SDK was asked, from `FinalRequestOptions` and the client."""
        options: Any = args[1] if len(args) > 1 else kwargs["options"]
        body = options.json_data
        model = body.get("model") if isinstance(body, dict) else None
        operation = _operation_of(options.url, self._operations) if options.method.upper() == "POST" else None
        url = client.base_url
        endpoint = wire.endpoint_of(url)
        is_default = endpoint == self._default
        return Asked(
            sdk=self.name,
            operation=operation,
            model=model if isinstance(model, str) else "",
            endpoint=endpoint,
            is_default=is_default,
            provider=self._provider,
            # The client's key, to keep two keys of one provider apart; compared in memory only:
            credential=read(client, "api_key") or read(client, "auth_token"),
            streamed=bool(kwargs.get("stream")),
            own_spans=other_instrumentations.is_instrumented_by_others(self.name)
            or read(client, "_is_instrumented_by_logfire") is True
            or (self._own_spans is not None and self._own_spans(client)),
            retries=options.get_max_retries(client.max_retries),
            body=body,
            base=url.raw_path.decode("ascii").rstrip("/"),
            told="" if is_default else _provider_of_client(client.__class__),
        )


@lru_cache(maxsize=256)
def _operation_of(path: str, operations: tuple[tuple[str, str], ...]) -> str | None:
    """Return the operation that a path of the SDK's is; None where it is no inference.

    Args:
        path: As the SDK's method has it.
        operations: Endings of paths, and what they are.
    """
    path = path.split("?", 1)[0].rstrip("/")
    return next((name for ending, name in operations if path.endswith(ending)), None)


_CLIENTS: Final = {
    "BaseAzureClient": "azure.ai.openai",
    "BedrockOpenAI": "aws.bedrock",
    "AsyncBedrockOpenAI": "aws.bedrock",
    "BaseBedrockClient": "aws.bedrock",
    "BaseMantleClient": "aws.bedrock",
    "BaseVertexClient": "gcp.vertex_ai",
    "BaseFoundryClient": "azure.ai.inference",
    "AnthropicAWS": "anthropic",
    "AsyncAnthropicAWS": "anthropic",
    "BaseGoogleCloudClient": "anthropic",
}
"""Whose the clients are that these SDKs have besides their own; through the last three, clouds sell Anthropic's own."""


@lru_cache(maxsize=64)
def _provider_of_client(kind: type) -> str:
    """Return the provider that a class of clients is made for; empty for the SDK's usual ones, which ask anybody.

    Args:
        kind: The client's class, or an application's own that inherits from it.
    """
    sdks = (each for each in kind.__mro__ if each.__module__.partition(".")[0] in ("openai", "anthropic"))
    return next((_CLIENTS[each.__name__] for each in sdks if each.__name__ in _CLIENTS), "")


@guarded(fallback=None)
def _settle(call: Call, result: object) -> None:
    """Settle a call with its result; a stream settles when it ends."""
    if call.asked.streamed:
        if hasattr(type(result), "__stream__"):
            call.stream_opened(result)
        else:
            opened_raw(call, result)
    elif call.reads_later():
        call.unseen("body_not_seen")
    call.settle(result)
