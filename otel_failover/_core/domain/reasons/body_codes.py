"""What codes and numbers mean that say it only in an error's body; which say less than the status beside them.

As the providers' documentation, or their bodies in public issue threads, have it (2026-11-30). Imported late, at the
first failure.
"""

from __future__ import annotations

from typing import Final

_RATE_LIMIT: Final = "rate_limit"
_BILLING: Final = "billing"
_AUTH: Final = "auth"
_PERMISSION: Final = "permission"
_MODEL: Final = "model_not_found"
_INVALID: Final = "invalid_request"
_CONTEXT: Final = "context_overflow"
_POLICY: Final = "content_policy"
_OVERLOADED: Final = "overloaded"
_SERVER: Final = "server_error"
_TIMEOUT: Final = "timeout"

IN_A_BODY: Final[dict[str, str]] = {
    "quota_exceeded": _BILLING, "payment_required": _BILLING, "budget_exceeded": _BILLING,
    "insufficient_credits": _BILLING, "insufficient_balance": _BILLING, "insufficient_funds": _BILLING,
    "payment_method_required": _BILLING, "precondition_failed": _BILLING, "insufficient_balance_error": _BILLING,
    "account_overdue": _BILLING,
    "rate_limited": _RATE_LIMIT, "too_many_requests": _RATE_LIMIT, "throttling": _RATE_LIMIT,
    "limitrequests": _RATE_LIMIT, "throttling_error": _RATE_LIMIT, "slow_down": _RATE_LIMIT,
    "in_flight_budget_exhausted": _RATE_LIMIT, "too_many_requests_error": _RATE_LIMIT,
    "overloaded": _OVERLOADED, "service_unavailable": _OVERLOADED, "capacity_exceeded": _OVERLOADED,
    "provider_overloaded": _OVERLOADED, "provider_unavailable": _OVERLOADED, "resource_unavailable": _OVERLOADED,
    "unavailable_error": _OVERLOADED, "queue_exceeded": _OVERLOADED, "service_unavailable_error": _OVERLOADED,
    "nocapacity": _OVERLOADED, "modelservingerror": _OVERLOADED,
    "authentication": _AUTH, "unauthorized": _AUTH, "invalidapikey": _AUTH, "auth_error": _AUTH, "expired_key": _AUTH,
    "wrong_api_key": _AUTH, "requestexpired": _AUTH, "authentication_token_expired": _AUTH,
    "forbidden": _PERMISSION, "accessdenied": _PERMISSION, "notauthorized": _PERMISSION,
    "model_access_denied": _PERMISSION, "permission_denied_error": _PERMISSION,
    "modelnotfound": _MODEL, "notfounderror": _MODEL, "unknown_model": _MODEL, "unavailable_model": _MODEL,
    "model_not_supported": _MODEL, "model_not_available": _MODEL, "resource_not_found_error": _MODEL,
    "model_decommissioned": _MODEL,
    "max_tokens_exceeded": _CONTEXT, "token_limit_exceeded": _CONTEXT, "string_too_long": _CONTEXT,
    "payload_too_large": _CONTEXT,
    "refusal": _POLICY, "content_policy": _POLICY, "invalid_prompt": _POLICY, "prompt_blocked": _POLICY,
    "sensitive_words_detected": _POLICY, "hooks_failed": _POLICY, "moderation_blocked": _POLICY,
    "unsafe_request": _POLICY,
    "server": _SERVER, "generation": _SERVER, "internal_error": _SERVER, "internalservererror": _SERVER,
    "incomplete_generation": _SERVER, "no_db_connection": _SERVER,
    "timeout": _TIMEOUT, "requesttimeout": _TIMEOUT,
    "validation": _INVALID, "invalid_request": _INVALID, "bad_request": _INVALID, "unprocessable": _INVALID,
    "badrequesterror": _INVALID, "conflict_error": _INVALID, "invalid_input_argument": _INVALID,
}  # fmt: skip
"""Words that mean this where they stand as a body's code, and anything where a loop says them."""

VAGUE: Final = frozenset(
    {
        "invalid_request_error", "invalid_argument", "invalid_request", "bad_request", "badrequesterror",
        "unprocessable", "tokens", "requests", "server_error", "api_error", "server", "internal", "internal_error",
        "internalservererror", "precondition_failed", "failed_precondition", "unavailable", "upstream_error",
        "invalidparameter", "validation", "unauthorized", "forbidden", "not_found", "notfounderror",
    }
)  # fmt: skip
"""Codes that say less than the status they come with: Ollama has `api_error` for every one but two."""

GENERAL: Final[dict[str, str]] = {
    "invalid_request_error": _INVALID, "invalid_argument": _INVALID, "invalidparameter": _INVALID,
    "upstream_error": _SERVER,
}  # fmt: skip
"""What the vaguest codes say where nothing else says anything: under a 200."""

NUMBERS: Final[dict[str, dict[int, str]]] = {
    "base_resp": {  # MiniMax
        1000: _SERVER, 1001: _TIMEOUT, 1002: _RATE_LIMIT, 1004: _AUTH, 1008: _BILLING, 1013: _SERVER, 1024: _SERVER,
        1026: _POLICY, 1027: _POLICY, 1033: _SERVER, 1039: _RATE_LIMIT, 1041: _RATE_LIMIT, 2013: _INVALID, 2049: _AUTH,
        2056: _BILLING,
    },
    "error_code": {  # Baidu's first interface
        1: _SERVER, 2: _OVERLOADED, 3: _INVALID, 4: _RATE_LIMIT, 6: _PERMISSION, 13: _AUTH, 14: _AUTH, 15: _AUTH,
        17: _BILLING, 18: _RATE_LIMIT, 19: _BILLING, 100: _AUTH, 110: _AUTH, 111: _AUTH, 336000: _SERVER,
        336003: _INVALID, 336100: _OVERLOADED, 336103: _CONTEXT, 336501: _RATE_LIMIT, 336502: _RATE_LIMIT,
    },
    "errors": {  # Cloudflare's Workers AI and its gateway
        2003: _RATE_LIMIT, 2016: _POLICY, 2017: _POLICY, 3007: _TIMEOUT, 3008: _TIMEOUT, 3023: _PERMISSION,
        3036: _BILLING, 3040: _OVERLOADED, 3041: _PERMISSION, 3042: _MODEL, 5007: _MODEL, 5016: _PERMISSION,
        5018: _PERMISSION, 10000: _AUTH,
    },
    "code": {  # Zhipu, and Mistral; both have 1300, where the status decides
        1000: _AUTH, 1001: _AUTH, 1002: _AUTH, 1003: _AUTH, 1004: _AUTH, 1110: _PERMISSION, 1111: _PERMISSION,
        1112: _PERMISSION, 1113: _BILLING, 1120: _PERMISSION, 1121: _PERMISSION, 1210: _INVALID, 1211: _MODEL,
        1212: _INVALID, 1213: _INVALID, 1214: _INVALID, 1215: _INVALID, 1220: _PERMISSION, 1221: _MODEL, 1222: _MODEL,
        1230: _SERVER, 1234: _SERVER, 1261: _CONTEXT, 1301: _POLICY, 1302: _RATE_LIMIT,
        1303: _RATE_LIMIT, 1304: _BILLING, 1305: _OVERLOADED, 1308: _RATE_LIMIT, 1309: _BILLING, 1310: _RATE_LIMIT,
        1311: _PERMISSION, 1312: _OVERLOADED, 1313: _RATE_LIMIT, 1500: _MODEL, 3505: _OVERLOADED,
    },
}  # fmt: skip
"""Providers' own numbers, by the key that they stand under; what may be a status is none of them."""
