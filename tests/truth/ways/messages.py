# ruff: noqa: RUF001, E501 - full-width signs and long sentences are what providers send
"""What providers say, long and short, in the languages they say it in: the errors that are carried about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_failover.testing.providers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Message:
    """One provider's error, as its answer has it.

    Args:
        id: Of the row.
        wire: Whose envelope it comes in: `openai` or `anthropic`, whose `type` is its code.
        status: Of the answer.
        code: The provider's own.
        text: The provider's sentence.
        more: What stands beside it in the error object.
    """

    id: str
    wire: str
    status: int
    code: str | None
    text: str
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answer(self) -> Answer:
        """What a local provider is programmed with."""
        if self.more:
            error = {"message": self.text, "code": self.code, **self.more}
            return Answer.raw(self.status, json.dumps({"error": error}), content_type="application/json")
        if self.wire == "anthropic":
            return Answer.error(self.status, self.text, type=self.code)
        return Answer.error(self.status, self.text, code=self.code, type=self.code)


def _answer_text(answer: Answer) -> str:
    return str(answer.message)


_LONG: Final = " ".join(
    f"messages.{number}: text content blocks must be non-empty and must not end with trailing whitespace;"
    for number in range(70)
)
_HTML: Final = "The deployment's scheduler could not admit this request while its quota group is being rebalanced."

MESSAGES: Final = (
    # Long ones, in English.
    Message("openai-quota", "openai", 429, "insufficient_quota", _answer_text(Answer.openai_quota())),
    Message("openai-tokens", "openai", 429, "rate_limit_exceeded", _answer_text(Answer.openai_rate_limit())),
    Message("openai-model", "openai", 404, "model_not_found", "The model `gpt-5.5-ultra` does not exist or you do not have access to it."),
    Message("anthropic-credit", "anthropic", 400, "invalid_request_error", _answer_text(Answer.anthropic_credit_too_low())),
    Message("anthropic-tokens", "anthropic", 429, "rate_limit_error", _answer_text(Answer.anthropic_rate_limit())),
    Message("azure-tier", "openai", 429, "429", "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."),
    Message("groq-tokens", "openai", 429, "rate_limit_exceeded", "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_01hx` service tier `on_demand` on tokens per day (TPD): Limit 100000, Used 99336, Requested 1217. Please try again in 7m57.792s."),
    Message("xai-credits", "openai", 403, "permission_denied", "Your newly created team doesn't have any credits yet. You can purchase credits on https://console.x.ai/team/default."),
    Message("bedrock-throttled", "openai", 429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    Message("mistral-tier", "openai", 429, "3505", "Service tier capacity exceeded for this model."),
    Message("quoted", "openai", 400, "invalid_value", "Invalid 'messages[0].content': the part's type \"input_audio\" isn't supported by this deployment."),
    Message("over-4096", "anthropic", 400, "invalid_request_error", _LONG),
    # Short ones, which only their code tells.
    Message("overloaded", "anthropic", 529, "overloaded_error", "Overloaded"),
    Message("model-none", "anthropic", 404, "not_found_error", "model: claude-x"),
    Message("bad-key", "anthropic", 401, "authentication_error", "invalid x-api-key"),
    Message("no-balance", "openai", 402, "insufficient_balance_error", "Insufficient Balance"),
    # Generic ones: anybody may say them, in any language.
    Message("generic-overloaded", "openai", 503, None, "Service is overloaded, please try again later."),
    Message("generic-zh", "openai", 503, None, "系统繁忙，请稍后再试，或联系管理员。"),
    Message("generic-ja", "openai", 503, None, "現在混み合っています。しばらくしてから再試行してください。"),
    Message("generic-ko", "openai", 503, None, "현재 사용할 수 없습니다. 잠시 후 다시 시도해 주세요."),
    Message("generic-de", "openai", 503, None, "Der Dienst ist derzeit überlastet, bitte versuchen Sie es später erneut."),
    # Scripts without spaces, and other languages.
    Message("zh-balance", "openai", 429, "1113", "您的账户已欠费，请充值后重新发起调用。"),
    Message("zh-quota", "openai", 403, "insufficient_user_quota", "该令牌额度已用尽，用户剩余额度不足，无法完成本次调用"),
    Message("zh-requests", "openai", 429, "1302", "您当前使用该接口的并发请求数量过高，请降低并发请求的频率，或者申请提升本账户的限额。"),
    Message("ja-limit", "openai", 429, "rate_limit_exceeded", "レート制限に達しました。組織に割り当てられた毎分のトークン数を超えています。"),
    Message("ja-balance", "openai", 402, None, "ご契約のアカウントのクレジット残高が不足しているため、このモデルへの要求を受け付けられません。"),
    Message("ko-limit", "openai", 429, "rate_limit_exceeded", "현재 요금제의 분당 토큰 한도를 초과했습니다. 결제 정보에서 요금제를 올려 주세요."),
    Message("de-balance", "openai", 402, None, "Das Guthaben dieses Kontos ist aufgebraucht, bitte prüfen Sie die hinterlegte Zahlungsart."),
    # What a gateway relays.
    Message(
        "gateway", "openai", 429, None, "Provider returned error",
        {"metadata": {"raw": "acme/model-x is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits", "provider_name": "BaseTen"}},
    ),
)  # fmt: skip
"""The rows. None of them stands in another."""

BY_ID: Final = {each.id: each for each in MESSAGES}
