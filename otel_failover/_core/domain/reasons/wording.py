"""Which reason a provider's sentence gives, where neither its status nor its code says enough.

Phrases of the providers' own answers, in small letters (2026-11-30). Read only after a failure: imported late.
"""

from __future__ import annotations

from typing import Final

from otel_failover._core.text.escapes import compiled

_LONGEST: Final = 2_048

_MONEY: Final = (
    r"credit balance|credits? (?:\w+ )?(?:depleted|exhausted)|insufficient (?:account )?(?:balance|funds)"
    r"|(?:out of|no prepaid|all available|not enough|insufficient|requires more|monthly included) credits"
    r"|insufficient_balance|can only afford|negative (?:credit )?balance|spend(?:ing)? (?:limit|cap)|api usage limits"
    r"|(?:monthly|account) usage limit|key limit exceeded|budget has been exceeded|exceeded\w*budget"
    r"|exceeded (?:your|its|the) budget|arrears|bill is overdue|overdue payment|in good standing|past invoices|unpaid"
    r"|payment required|payment instrument|(?:valid|no) payment method|account is not active|enable billing"
    r"|billing (?:hard limit|(?:account|has|is|was|to be)\b.{0,60}(?:disabled|enabled|closed))"
    r"|free tier of the model has been exhausted|free allocated quota exceeded|free allocation"
    r"|trial key, which is limited to [\d,]+ api calls / month"
    r"|please recharge|recharge (?:your account|and try)|\btop up\b"
    r"|余额不足|欠费|额度(?:已用[尽完]|不足|耗尽)|无可用资源包|请充值"
)
_MONEY_OR_RATE: Final = r"exceeded your current quota|check your plan and billing"
"""OpenAI's words for an empty account, Google's and Alibaba's for a rate."""
_RATE_OF_ALIBABA: Final = r"(?<!free )allocated quota exceeded|aliyun|alibabacloud|token rate limit"
_LINK: Final = r"https?://\S+"

_CONTEXT: Final = (
    r"maximum context|context (?:length|window|limit|size)|prompt (?:is |too )+long|input (?:is too long|token count)"
    r"|input length|too many tokens|token limit|max_new_tokens|reduce the length|too large to process"
    r"|上下文长度|输入长度"
)
_KEY: Final = (
    r"api key (?:not valid|expired)|reported as leaked|(?:invalid|incorrect|wrong) (?:x-)?api[ -]key"
    r"|invalid (?:proxy server )?token|authentication fails|no auth credentials"
)
_CONTENT: Final = (
    r"content (?:management|filtering|filter|usage)? ?polic(?:y|ies)|content[ _]filter|safety system"
    r"|usage (?:policies|guidelines)|(?:was|been|is|content|input|prompt) flagged|content exists risk|high risk"
    r"|inappropriate content|data inspection|prohibited content|敏感|不安全"
)
_RIGHTS: Final = r"user location is not supported|use case details have not been|agree to the|terms of use"
_MODEL: Final = (
    r"model(?: ['\"`]?[\w./:@-]+['\"`]?)? (?:does not exist|not found|is not (?:supported|available|found|a valid)"
    r"|has been (?:decommissioned|deprecated|retired))|unknown model|no such model|(?:is not a valid|invalid) model\b"
    r"|model identifier is invalid|not supported by any provider|no (?:allowed )?(?:providers|endpoints)"
)
_REASONS: Final = (
    ("context_overflow", _CONTEXT),
    ("auth", _KEY),
    ("content_policy", _CONTENT),
    ("permission", _RIGHTS),
    ("model_not_found", _MODEL),
)
_MORE: Final = (
    ("rate_limit", r"rate[-_ ]?limit|too many requests|(?:tokens|requests) per (?:second|min|hour|day)|throttl"),
    ("overloaded", r"overload|experiencing high demand|at capacity|capacity exceeded|currently loading|no instances?"),
    ("timeout", r"timed out|time-?out"),
)
_TOO_MUCH: Final = r"overloaded|experiencing high demand|capacity exceeded|no capacity"


def says_no_money(text: str, *, rate: bool) -> bool:
    """Whether a sentence says that there is no money, or no quota that waiting brings back.

    Args:
        text: The provider's message.
        rate: It is Google's or Alibaba's, who have OpenAI's words for an empty account where they mean a rate.
    """
    folded = text[:_LONGEST].casefold()
    if compiled(_MONEY).search(folded):
        return True
    return not rate and compiled(_MONEY_OR_RATE).search(folded) is not None


def is_alibabas_rate(text: str) -> bool:
    """Whether `insufficient_quota` is DashScope's: it has OpenAI's code for tokens a minute."""
    return compiled(_RATE_OF_ALIBABA).search(text[:_LONGEST].casefold()) is not None


def says_overloaded(text: str) -> bool:
    """Whether a sentence says that the model, not the account, has too much to do: a 429 of Azure's or Mistral's."""
    return compiled(_TOO_MUCH).search(text[:_LONGEST].casefold()) is not None


def of_text(text: str, *, more: bool = False) -> str | None:
    """Return the reason that a sentence gives, None where it gives none.

    Args:
        text: The provider's message.
        more: Nothing else says anything, so that weaker words count too.
    """
    folded = compiled(_LINK).sub(" ", text[:_LONGEST].casefold())
    for reason, pattern in (*_REASONS, *_MORE) if more else _REASONS:
        if compiled(pattern).search(folded):
            return reason
    return None
