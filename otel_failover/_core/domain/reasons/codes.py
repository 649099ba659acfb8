"""Which reason a provider's structured code gives: its word, or its number.

As each one's documentation, or its bodies in public issue threads, have it (2026-11-30). All keys are in small letters.
These are imported on every start, since they also tell what a claim can only have from an answer; `body_codes` has the
rest.
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

ONLY_PROVIDERS: Final[dict[str, str]] = {
    # OpenAI and what speaks its format
    "insufficient_quota": _BILLING, "billing_hard_limit_reached": _BILLING, "billing_not_active": _BILLING,
    "credit_balance_exhausted": _BILLING, "organization_spend_limit_exceeded": _BILLING,
    "project_spend_limit_exceeded": _BILLING, "organization_usage_limit_exceeded": _BILLING,
    "rate_limit_exceeded": _RATE_LIMIT, "invalid_api_key": _AUTH, "account_deactivated": _AUTH,
    "missing_scope": _PERMISSION, "unsupported_country_region_territory": _PERMISSION, "invalid_model": _MODEL,
    "context_length_exceeded": _CONTEXT, "string_above_max_length": _CONTEXT, "content_policy_violation": _POLICY,
    "bio_policy": _POLICY, "cyber_policy_violation": _POLICY, "misalignment_policy_violation": _POLICY,
    "image_content_policy_violation": _POLICY, "engine_overloaded": _OVERLOADED, "server_overloaded": _OVERLOADED,
    "server_is_overloaded": _OVERLOADED,
    # Azure
    "responsibleaipolicyviolation": _POLICY, "deploymentnotfound": _MODEL,
    # Anthropic
    "authentication_error": _AUTH, "permission_error": _PERMISSION, "not_found_error": _MODEL,
    "request_too_large": _CONTEXT, "overloaded_error": _OVERLOADED, "api_error": _SERVER,
    "enforced_spend_limit_reached": _BILLING, "contract_spend_limit_reached": _BILLING,
    "linked_organization_spend_limit_reached": _BILLING, "organization_on_hold": _BILLING,
    "ramp_limit_exceeded": _RATE_LIMIT,
    # Google
    "resource_exhausted": _RATE_LIMIT, "failed_precondition": _INVALID, "api_key_invalid": _AUTH,
    "api_key_service_blocked": _PERMISSION, "billing_disabled": _BILLING, "consumer_suspended": _BILLING,
    # AWS
    "throttlingexception": _RATE_LIMIT, "accessdeniedexception": _PERMISSION, "resourcenotfoundexception": _MODEL,
    "validationexception": _INVALID, "modeltimeoutexception": _TIMEOUT, "modelnotreadyexception": _OVERLOADED,
    "serviceunavailableexception": _OVERLOADED, "internalserverexception": _SERVER,
    "unrecognizedclientexception": _AUTH, "expiredtokenexception": _AUTH, "invalidsignatureexception": _AUTH,
    "incompletesignatureexception": _AUTH, "missingauthenticationtokenexception": _AUTH,
    "invalidclienttokenid": _AUTH, "servicequotaexceededexception": _RATE_LIMIT, "modelerrorexception": _SERVER,
    "modelstreamerrorexception": _SERVER,
    # Mistral
    "service_tier_capacity_exceeded": _OVERLOADED,
    # Groq
    "flex_tier_capacity_exceeded": _OVERLOADED, "model_terms_required": _PERMISSION, "blocked_api_access": _BILLING,
    # xAI
    "spending-limit": _BILLING,
    # Cerebras
    "token_quota_exceeded": _RATE_LIMIT, "request_quota_exceeded": _RATE_LIMIT, "too_many_tokens_error": _RATE_LIMIT,
    # OpenRouter
    "openrouter_credits": _BILLING, "openrouter_key_limit": _BILLING, "openrouter_guardrail_budget": _BILLING,
    "openrouter_workspace_budget": _BILLING, "openrouter_in_flight_budget": _RATE_LIMIT,
    # Moonshot, MiniMax
    "exceeded_current_quota_error": _BILLING, "rate_limit_reached_error": _RATE_LIMIT,
    "engine_overloaded_error": _OVERLOADED, "invalid_authentication_error": _AUTH, "incorrect_api_key_error": _AUTH,
    # DashScope
    "arrearage": _BILLING, "allocationquota": _BILLING, "prepaidbilloverdue": _BILLING,
    "postpaidbilloverdue": _BILLING, "commoditynotpurchased": _BILLING, "limit_requests": _RATE_LIMIT,
    "limit_burst_rate": _RATE_LIMIT, "datainspectionfailed": _POLICY, "data_inspection_failed": _POLICY,
    "ipinfringementsuspect": _POLICY, "faqruleblocked": _POLICY,
    # Baidu
    "tokens_too_long": _CONTEXT, "characters_too_long": _CONTEXT, "invalid_iam_token": _AUTH, "invalid_appid": _AUTH,
    "rpm_rate_limit_exceeded": _RATE_LIMIT, "tpm_rate_limit_exceeded": _RATE_LIMIT,
    "preemptible_rate_limit_exceeded": _RATE_LIMIT,
    # llama.cpp, Hugging Face, vLLM
    "exceed_context_size_error": _CONTEXT,
    # watsonx
    "token_quota_reached": _BILLING, "authentication_token_not_valid": _AUTH,
    # litellm's proxy, Portkey, and other gateways
    "token_not_found_in_db": _AUTH,
    "insufficient_user_quota": _BILLING, "pre_consume_token_quota_failed": _BILLING,
}  # fmt: skip
"""Codes that only a provider's answer carries."""

ALSO_LOOPS: Final[dict[str, str]] = {
    "tokens": _RATE_LIMIT, "requests": _RATE_LIMIT, "server_error": _SERVER, "internal": _SERVER, "not_found": _MODEL,
    "unavailable": _OVERLOADED, "content_filter": _POLICY, "rate_limit_error": _RATE_LIMIT, "timeout_error": _TIMEOUT,
    "billing_error": _BILLING, "model_not_found": _MODEL, "deadline_exceeded": _TIMEOUT, "unauthenticated": _AUTH,
    "permission_denied": _PERMISSION,
}  # fmt: skip
"""Codes of providers that a loop also makes up by itself: they mean the same there, and prove no answer."""
