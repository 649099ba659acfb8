"""Sentences that tell where a text came from, and sentences that do not.

Pure tables. What could be said by anybody is `STOCK`; `KNOWN_WORDING` only a provider's answer contains; a text with
one of the `ANSWERS_WORDS` speaks of what only an answer can tell, in scripts in which few characters say much.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ANSWERS_WORDS", "KNOWN_WORDING", "STOCK"]

STOCK: Final = frozenset(
    {
        "connection error.",
        "request timed out.",
        "request timed out or interrupted. this could be due to a network timeout dropped connection or request",
        "the read operation timed out",
        "the write operation timed out",
        "the connection operation timed out",
        "the request was cancelled before it completed",
        "server disconnected without sending a response.",
        "server disconnected",
        "peer closed connection without sending complete message body incomplete chunked read",
        "peer closed connection without sending complete message body received # bytes expected #",
        "all connection attempts failed",
        "connection refused",
        "errno # connection refused",
        "connection reset by peer",
        "errno # connection reset by peer",
        "errno # name or service not known",
        "errno # temporary failure in name resolution",
        "nodename nor servname provided or not known",
        "cannot connect to host",
        "connection timeout to host",
        "ssl certificate_verify_failed certificate verify failed",
        "event loop is closed",
        "session is closed",
        "cannot send a request as the client has been closed.",
        "the operation was aborted",
        "operation was canceled",
        "deadline exceeded",
        "stream closed",
        "stream ended without finish_reason",
        "an error occurred during streaming",
        "an error occurred while processing your request",
        "internal server error",
        "service unavailable",
        "service temporarily unavailable",
        "the service is temporarily unavailable. please try again later.",
        "bad gateway",
        "gateway timeout",
        "too many requests",
        "unauthorized",
        "forbidden",
        "not found",
        "llm request failed.",
        "all models failed",
        "no response",
    }
)
"""Texts that an SDK, a transport or a runtime makes up without an answer: everybody says them, they bind nothing.

Both tables stand here as `normalise` leaves them, which a test holds: this module is imported on every start."""

KNOWN_WORDING: Final = (
    "you exceeded your current quota please check your plan and billing details",
    "incorrect api key provided",
    "on tokens per min tpm limit",
    "on requests per min rpm limit",
    "does not exist or you do not have access to it",
    'this model " s maximum context length is',
    "your credit balance is too low to access the anthropic api",
    'this request would exceed your organization " s rate limit',
    "this request would exceed the rate limit for your organization",
    "number of request tokens has exceeded your",
    "invalid x-api-key",
    "resource has been exhausted e.g. check quota",
    "api key not valid. please pass a valid api key.",
    "is not found for api version",
    "the model is overloaded. please try again later.",
    "this model is currently experiencing high demand",
    "too many tokens please wait before trying again",
    "the security token included in the request is invalid",
    'you didn " t provide an api key',
    "your account is not active please check your billing details",
    "the server had an error while processing your request",
    "the response was filtered due to the prompt triggering",
    "exceeded token rate limit of your current",
)
"""Sentences that only a provider's answer contains; disjoint from `STOCK`, which a test keeps so."""

_QUOTA: Final = ("billing", "rate_limit")
_ACCOUNT: Final = ("auth", "billing", "permission", "rate_limit")
_TOKENS: Final = ("auth", "billing", "rate_limit", "context_overflow")
ANSWERS_WORDS: Final = (
    # Chinese
    *(
        (word, ("billing",))
        for word in (
            "余额",
            "餘額",
            "欠费",
            "欠費",
            "充值",
            "储值",
            "儲值",
            "计费",
            "資源包",
            "资源包",
            "余量",
            "免费",
            "免費",
        )
    ),
    *((word, _ACCOUNT) for word in ("会员", "會員", "升级", "升級")),
    *((word, ("auth",)) for word in ("apikey", "访问凭证", "存取權杖")),
    *((word, ("model_not_found",)) for word in ("已下线", "下线", "已下架", "停止服务", "不支持该模型")),
    *((word, _QUOTA) for word in ("额度", "額度", "配额", "配額", "用量上限", "使用上限", "已达上限", "已達上限")),
    *(
        (word, ("rate_limit",))
        for word in ("速率限制", "频率限制", "頻率限制", "流控", "并发路数", "每分钟请求", "每分鐘請求")
    ),
    *((word, _TOKENS) for word in ("令牌", "权杖", "權杖")),
    *((word, ("auth",)) for word in ("密钥", "密鑰", "金鑰", "鉴权", "鑑權")),
    *((word, ("context_overflow",)) for word in ("上下文长度", "上下文長度", "上下文窗口")),
    *((word, ("content_policy",)) for word in ("敏感内容", "敏感內容", "敏感词", "内容安全", "违规内容")),
    *((word, ("model_not_found", "overloaded")) for word in ("无可用渠道", "無可用渠道")),
    *(
        (word, _ACCOUNT)
        for word in ("账户", "账号", "帐户", "帳戶", "帳號", "权限", "權限", "套餐", "实名认证", "开通")
    ),
    # Japanese
    *((word, _ACCOUNT) for word in ("アカウント", "プラン", "アクセス権", "許可されて", "権限")),
    *((word, ("billing",)) for word in ("残高", "課金", "無料枠", "クレジット残", "お支払い", "金額", "無料")),
    *((word, ("auth",)) for word in ("有効期限", "再発行", "発行された")),
    *((word, ("model_not_found",)) for word in ("提供を終了", "提供終了", "廃止")),
    *((word, _QUOTA) for word in ("クォータ", "クオータ", "利用枠", "利用上限", "使用量の上限")),
    *((word, ("rate_limit",)) for word in ("レート制限", "レートリミット", "流量制限")),
    *((word, ("auth",)) for word in ("apiキー", "アクセスキー", "認証キー")),
    *((word, ("context_overflow", "rate_limit")) for word in ("コンテキスト長", "トークン")),
    *((word, ("content_policy",)) for word in ("コンテンツポリシー", "コンテンツフィルタ")),
    # Korean
    *((word, _ACCOUNT) for word in ("계정", "요금제", "플랜", "권한")),
    *((word, ("billing",)) for word in ("잔액", "크레딧", "결제", "미납", "과금", "무료", "카드")),
    *((word, ("auth",)) for word in ("유효기간", "재발급", "발급받은")),
    *((word, ("model_not_found",)) for word in ("지원종료", "제공종료")),
    *((word, _QUOTA) for word in ("한도", "할당량", "쿼터", "사용량제한")),
    *((word, ("rate_limit",)) for word in ("속도제한", "요청한도", "호출한도")),
    *((word, ("auth",)) for word in ("api키", "인증키", "액세스키")),
    *((word, ("context_overflow", "rate_limit")) for word in ("토큰", "컨텍스트길이", "최대길이")),
)
"""Words, as `letters` leaves them, and the reasons of which a provider gives one by them."""
