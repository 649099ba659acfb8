"""The answers a local provider can be programmed with.

An `Answer` says what shall happen, in terms every provider shares; the modules of `wire` put it in each provider's own
form. The ready-made errors carry the providers' texts, types and codes as error bodies in public issue threads of 2023
to 2026 quote them. Providers reword: a test should hang on the code, not on the text.

In one file: there is one class, and its ready-made errors read as one list.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Answer", "AnswerKind", "StreamEnding"]

AnswerKind = Literal["ok", "error", "raw", "stream", "hang", "reset"]
StreamEnding = Literal["end", "error", "failed", "cut", "truncate", "hang"]

_GOOGLE = "type.googleapis.com/google.rpc."


@dataclass(frozen=True, slots=True)
class Answer:
    """One programmed answer; built through the class methods.

    Whether a success is streamed is the request's decision, as with the real providers: `ok` and `stream`
    both serve either. Errors are always one JSON document with their status.
    """

    kind: AnswerKind
    status: int = 200
    chunks: tuple[str, ...] = ()
    model: str | None = None
    response_id: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    message: str | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()
    retry_after: float | None = None
    request_id: str | None = None
    body: bytes = b""
    content_type: str = "application/json"
    then: StreamEnding = "end"
    drip: float = 0.0
    hang_seconds: float = 30.0
    delay: float = 0.0
    withheld: bool = False

    @classmethod
    def ok(
        cls,
        text: str = "Hello",
        *,
        model: str | None = None,
        response_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A success with `text`; without `model` it names the one asked for, as most providers do."""
        return cls("ok", chunks=_words(text), model=model, response_id=response_id, headers=_pairs(headers))

    @classmethod
    def error(
        cls,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type: str | None = None,  # noqa: A002  the providers' own word
        param: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """An error in the provider's own envelope.

        Args:
            status: The HTTP status. A gateway answers 200 before it knows, and puts its upstream's error there.
            message: The provider's text.
            code: OpenAI's `code`, Anthropic's `details.error_code`, Gemini's `status`, Bedrock's exception. Without it,
                the one that usually goes with the status, where the provider has such codes.
            type: OpenAI's, Anthropic's and Mistral's `type`, TGI's `error_type`; without it, the one that usually goes
                with the status.
            param: OpenAI's `param`.
            details: Gemini's `details`; the first is OpenRouter's `metadata`.
            headers: Further header fields; the value `"$echo"` sends back the request's own field of that
                name, or its `x-client-request-id`.
            retry_after: Seconds, sent where the provider sends them.
            request_id: The request id to answer with, in place of a fresh one.
        """
        return cls(
            "error",
            status,
            message=message,
            code=code,
            type=type,
            param=param,
            details=tuple(details),
            headers=_pairs(headers),
            retry_after=retry_after,
            request_id=request_id,
        )

    @classmethod
    def refusal(cls, text: str = "", *, model: str | None = None) -> Answer:
        """A success that the provider withheld for what it, or the prompt, holds, in the provider's own way.

        Ollama, TGI and DashScope have none: their answer ends as any other.

        Args:
            text: What was said before.
            model: The model that it names; without it, the one asked for.
        """
        return cls("ok", chunks=_words(text), model=model, withheld=True)

    @classmethod
    def raw(
        cls,
        status: int,
        body: bytes | str,
        *,
        content_type: str = "text/html",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any bytes under any status, without a header of the provider's: what a gateway in between sends."""
        data = body.encode() if isinstance(body, str) else body
        return cls("raw", status, body=data, content_type=content_type, headers=_pairs(headers))

    @classmethod
    def stream(
        cls,
        chunks: Sequence[str] | int = ("Hel", "lo"),
        *,
        then: StreamEnding = "end",
        message: str | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002  the providers' own word
        drip: float = 0.0,
        hang_seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A streamed success and its end; a request that wants no stream gets the same text whole.

        Args:
            chunks: The pieces of text, or how many to make up.
            then: How it ends. `end`: well formed. `error`: the provider's error event, under the status 200
                already sent. `failed`: the same, as `response.failed` where the provider has it (OpenAI's
                Responses). `cut`: the connection is reset in mid-body. `truncate`: it is closed in order, but
                before the terminator. `hang`: it stays open and silent.
            message: The error event's text; without it, the provider's own for a server error.
            code: The error event's code.
            type: The error event's type.
            drip: Seconds of silence after each chunk.
            hang_seconds: How long `hang` stays silent before the connection is closed.
            headers: As for `error`.
        """
        pieces = tuple(f"chunk{n} " for n in range(chunks)) if isinstance(chunks, int) else tuple(chunks)
        return cls(
            "stream",
            chunks=pieces,
            then=then,
            message=message,
            code=code,
            type=type,
            drip=drip,
            hang_seconds=hang_seconds,
            headers=_pairs(headers),
        )

    @classmethod
    def hang(cls, seconds: float = 30.0) -> Answer:
        """No answer: headers never come. Ends early when the client leaves or the server closes."""
        return cls("hang", hang_seconds=seconds)

    @classmethod
    def reset(cls) -> Answer:
        """No answer: the connection is reset (TCP RST)."""
        return cls("reset")

    @classmethod
    def delayed(cls, answer: Answer, seconds: float) -> Answer:
        """Give `answer`, but only after so many seconds of silence."""
        return dataclasses.replace(answer, delay=answer.delay + seconds)

    # Ready-made errors of OpenAI.

    @classmethod
    def openai_quota(cls) -> Answer:
        """The account has no money left: a 429 that no waiting heals."""
        message = (
            "You exceeded your current quota, please check your plan and billing details. "
            "For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        )
        return cls.error(429, message, type="insufficient_quota", code="insufficient_quota")

    @classmethod
    def openai_rate_limit(cls, model: str = "gpt-4o", *, retry_after: float | None = None) -> Answer:
        """Too many tokens per minute: a 429 that waiting heals."""
        message = (
            f"Rate limit reached for {model} in organization org-local on tokens per min (TPM): Limit 30000, "
            "Used 29937, Requested 785. Please try again in 1.444s. "
            "Visit https://platform.openai.com/account/rate-limits to learn more."
        )
        return cls.error(429, message, type="tokens", code="rate_limit_exceeded", retry_after=retry_after)

    @classmethod
    def openai_bad_key(cls, masked: str = "sk-local********************0000") -> Answer:
        """The key is wrong; OpenAI repeats it with stars in the middle."""
        message = (
            f"Incorrect API key provided: {masked}. "
            "You can find your API key at https://platform.openai.com/account/api-keys."
        )
        return cls.error(401, message, type="invalid_request_error", code="invalid_api_key")

    @classmethod
    def openai_model_not_found(cls, model: str = "gpt-none") -> Answer:
        """There is no such model, or none for this account."""
        message = f"The model `{model}` does not exist or you do not have access to it."
        return cls.error(404, message, type="invalid_request_error", code="model_not_found")

    @classmethod
    def openai_server_error(cls) -> Answer:
        """OpenAI's own fault; the envelope's `code` is null."""
        message = (
            "The server had an error while processing your request. Sorry about that! "
            "You can retry your request, or contact us through our help center at help.openai.com "
            "if the error persists."
        )
        return cls.error(500, message, type="server_error")

    @classmethod
    def openai_context_overflow(cls) -> Answer:
        """The prompt is longer than the model's context."""
        message = (
            "This model's maximum context length is 128000 tokens. "
            "However, your messages resulted in 131072 tokens. Please reduce the length of the messages."
        )
        code = "context_length_exceeded"
        return cls.error(400, message, type="invalid_request_error", code=code, param="messages")

    # Ready-made errors of Anthropic, whose `type` is its code.

    @classmethod
    def anthropic_overloaded(cls) -> Answer:
        """Anthropic's own 529."""
        return cls.error(529, "Overloaded", type="overloaded_error")

    @classmethod
    def anthropic_rate_limit(
        cls,
        model: str = "claude-sonnet-4-6",
        *,
        retry_after: float | None = None,
    ) -> Answer:
        """Too many input tokens per minute."""
        message = (
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute "
            f"(org: 00000000-0000-0000-0000-000000000000, model: {model}). For details, refer to: "
            "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
            "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. "
            "You may also contact sales at https://claude.com/contact-sales "
            "to discuss your options for a rate limit increase."
        )
        return cls.error(429, message, type="rate_limit_error", retry_after=retry_after)

    @classmethod
    def anthropic_bad_key(cls) -> Answer:
        """The key is wrong."""
        return cls.error(401, "invalid x-api-key", type="authentication_error")

    @classmethod
    def anthropic_not_found(cls, model: str = "claude-none") -> Answer:
        """There is no such model; the message names it and says no more."""
        return cls.error(404, f"model: {model}", type="not_found_error")

    @classmethod
    def anthropic_credit_too_low(cls) -> Answer:
        """The account has no money left: a 400 that differs from other bad requests in its text alone."""
        message = (
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits."
        )
        return cls.error(400, message, type="invalid_request_error")

    # Ready-made errors of Gemini.

    @classmethod
    def gemini_quota(cls, *, retry_after: float = 10.0) -> Answer:
        """The quota is used up; Gemini says when to come back in the body, not in a header."""
        url = "https://ai.google.dev/gemini-api/docs/rate-limits"
        message = (
            "You exceeded your current quota, please check your plan and billing details. "
            f"For more information on this error, head to: {url}."
        )
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        }
        details = (
            {"@type": f"{_GOOGLE}QuotaFailure", "violations": [violation]},
            {
                "@type": f"{_GOOGLE}Help",
                "links": [{"description": "Learn more about Gemini API quotas", "url": url}],
            },
        )
        return cls.error(429, message, code="RESOURCE_EXHAUSTED", details=details, retry_after=retry_after)

    @classmethod
    def gemini_bad_key(cls) -> Answer:
        """The key is wrong: a 400, where others send 401."""
        message = "API key not valid. Please pass a valid API key."
        details = (
            {
                "@type": f"{_GOOGLE}ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            },
            {"@type": f"{_GOOGLE}LocalizedMessage", "locale": "en-US", "message": message},
        )
        return cls.error(400, message, code="INVALID_ARGUMENT", details=details)

    @classmethod
    def gemini_not_found(cls, model: str = "gemini-none") -> Answer:
        """There is no such model."""
        message = (
            f"models/{model} is not found for API version v1beta, or is not supported for generateContent. "
            "Call ListModels to see the list of available models and their supported methods."
        )
        return cls.error(404, message, code="NOT_FOUND")

    @classmethod
    def gemini_overloaded(cls) -> Answer:
        """The model has too much to do; the wording is that of 2026."""
        message = (
            "This model is currently experiencing high demand. "
            "Spikes in demand are usually temporary. Please try again later."
        )
        return cls.error(503, message, code="UNAVAILABLE")

    # Ready-made errors of Bedrock, whose code is the name of an exception.

    @classmethod
    def bedrock_throttling(cls) -> Answer:
        """Too many requests: a 429 that waiting heals."""
        return cls.error(429, "Too many requests, please wait before trying again.", code="ThrottlingException")

    @classmethod
    def bedrock_no_access(cls) -> Answer:
        """The account has not been given this model."""
        message = "You don't have access to the model with the specified model ID."
        return cls.error(403, message, code="AccessDeniedException")

    @classmethod
    def bedrock_bad_token(cls) -> Answer:
        """The credentials are unknown, or have expired: a 403, where others send 401."""
        message = "The security token included in the request is invalid."
        return cls.error(403, message, code="UnrecognizedClientException")

    @classmethod
    def bedrock_not_found(cls) -> Answer:
        """There is no such model: a 400 that differs from other bad requests in its text alone."""
        return cls.error(400, "The provided model identifier is invalid.", code="ValidationException")

    # Ready-made errors of those that share no envelope.

    @classmethod
    def mistral_rate_limit(cls, *, retry_after: float | None = None) -> Answer:
        """Too many requests: a 429 that waiting heals."""
        return cls.error(429, "Rate limit exceeded", type="rate_limited", code="1300", retry_after=retry_after)

    @classmethod
    def cohere_trial_limit(cls) -> Answer:
        """The month's calls of a key that costs nothing are used up: a 429 that no waiting heals."""
        message = (
            "You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial "
            "key for free or upgrade to a Production key with higher rate limits at "
            "'https://dashboard.cohere.com/api-keys'."
        )
        return cls.error(429, message)

    @classmethod
    def ollama_not_found(cls, model: str = "llama-none") -> Answer:
        """There is no such model on that machine."""
        return cls.error(404, f"model '{model}' not found")

    @classmethod
    def tgi_overloaded(cls) -> Answer:
        """The server has too much to do."""
        return cls.error(429, "Model is overloaded", type="overloaded")

    @classmethod
    def vllm_context_overflow(cls) -> Answer:
        """The prompt is longer than the model's context."""
        message = (
            "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens "
            "(112946 in the messages, 10000 in the completion). Please reduce the length of the messages or completion."
        )
        return cls.error(400, message, type="BadRequestError")

    @classmethod
    def openrouter_upstream_limit(cls, model: str = "z-ai/glm-5") -> Answer:
        """The provider behind OpenRouter has had too many requests; its words stand in the metadata."""
        raw = (
            f"{model} is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate "
            "your rate limits: https://openrouter.ai/settings/integrations"
        )
        return cls.error(429, "Provider returned error", details=({"raw": raw, "provider_name": "Local"},))

    @classmethod
    def dashscope_arrears(cls) -> Answer:
        """The account owes money: a 400, where others send 402 or 429."""
        message = "Access denied, please make sure your account is in good standing."
        return cls.error(400, message, code="Arrearage")


def _words(text: str) -> tuple[str, ...]:
    """Split a text into the pieces it would be streamed in, losing nothing."""
    words = text.split(" ")
    return tuple(word + " " for word in words[:-1]) + ((words[-1],) if words[-1] else ())


def _pairs(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return header fields as pairs with lowercased names, so that an answer cannot change once built."""
    return tuple((name.lower(), value) for name, value in (headers or {}).items())
