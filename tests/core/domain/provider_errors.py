"""What providers answer when they refuse, by their documentation and by bodies in public issue threads (2026-11-30).

In one file: one table, a provider after the other. What a test may hang on is the status, the codes and the reason;
texts are the providers' own as far as they decide, and shortened elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Row:
    """One refusal.

    Args:
        provider: Who answers so.
        status: Of the response.
        body: JSON, or text that is none.
        reason: Why, in our vocabulary.
        under_200: Why, where the same body comes as an event of a stream or under a 200, so that the status does not say
            it; the same by default.
        header: AWS's code, which stands in a header.
    """

    provider: str
    status: int
    body: Any
    reason: str
    under_200: str = ""
    header: str = ""

    @property
    def name(self) -> str:
        """What a test is called."""
        return f"{self.provider}-{self.status}-{self.reason}-{str(self.body)[:60]}"


def _e(message: str, type: str | None = None, code: Any = None, **more: Any) -> dict[str, Any]:  # noqa: A002  their key
    """OpenAI's envelope."""
    return {"error": {"message": message, "type": type, "param": None, "code": code, **more}}


def _a(type: str, message: str, **more: Any) -> dict[str, Any]:  # noqa: A002  their key
    """Anthropic's."""
    return {"type": "error", "error": {"type": type, "message": message, **more}, "request_id": "req_011CQabcdefgh"}


def _g(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Google's."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": {**error, "details": list(details)} if details else error}


def _m(message: Any, type: str | None = None, code: Any = None, **more: Any) -> dict[str, Any]:  # noqa: A002  their key
    """Mistral's, flat."""
    return {"object": "error", "message": message, "type": type, "param": None, "code": code, **more}


def _o(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    """OpenRouter's."""
    return {"error": {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}, "user_id": "u"}


def _r(code: str, message: str) -> dict[str, Any]:
    """DashScope's own."""
    return {"code": code, "message": message, "request_id": "7574ee8f-38a3-4b1e-9280-11c33ab46e51"}


def _b(code: int, message: str) -> dict[str, Any]:
    """MiniMax's."""
    return {"id": "03a2", "choices": None, "base_resp": {"status_code": code, "status_msg": message}}


_QUOTA: Final = "You exceeded your current quota, please check your plan and billing details."
_UPSTREAM: Final = "Provider returned error"
_LONG: Final = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
_ANTHROPIC_TPM: Final = "This request would exceed your organization's rate limit of 30,000 input tokens per minute."
_GROQ_TPM: Final = (
    "Request too large for model `m` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): "
    "Limit 6000, Requested 11049, please reduce your message size and try again. Need more tokens? Upgrade to Dev Tier "
    "today at https://console.groq.com/settings/billing"
)
_OPENAI_RPM: Final = (
    "Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3, Used 3, Requested 1. Please "
    "try again in 20s. You can increase your rate limit by adding a payment method to your account at "
    "https://platform.openai.com/account/billing."
)
_XAI: Final = (
    "Your team t-1 has either used all available credits or reached its monthly spending limit. To continue making API "
    "requests, please purchase more credits or raise your spending limit."
)
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_LITELLM: Final = "litellm.BadRequestError: AnthropicException - "

ROWS: Final[tuple[Row, ...]] = (
    # OpenAI
    Row("openai", 429, _e(_QUOTA, "insufficient_quota", "insufficient_quota"), "billing"),
    Row("openai", 429, _e(_QUOTA, "insufficient_quota"), "billing"),
    Row("openai", 429, _e("No prepaid credits remain.", "insufficient_quota", "credit_balance_exhausted"), "billing"),
    Row("openai", 429, _e("Spend limit.", "insufficient_quota", "organization_spend_limit_exceeded"), "billing"),
    Row("openai", 429, _e("Spend limit.", "insufficient_quota", "project_spend_limit_exceeded"), "billing"),
    Row("openai", 429, _e("Usage limit.", "insufficient_quota", "organization_usage_limit_exceeded"), "billing"),
    Row("openai", 429, _e("Your account is not active.", "billing_not_active", "billing_not_active"), "billing"),
    Row("openai", 400, _e("Billing hard limit has been reached", None, "billing_hard_limit_reached"), "billing"),
    Row("openai", 429, _e(_OPENAI_RPM, "requests", "rate_limit_exceeded"), "rate_limit"),
    Row("openai", 429, _e(_OPENAI_RPM, "tokens"), "rate_limit"),
    Row("openai", 429, _e("Slow down.", "rate_limit_error", "slow_down"), "rate_limit"),
    Row("openai", 429, _e("No flex capacity.", None, "resource_unavailable"), "overloaded"),
    Row("openai", 429, _e("The engine is currently overloaded, please try again later"), "overloaded"),
    Row("openai", 503, _e("Overloaded.", "service_unavailable_error", "server_is_overloaded"), "overloaded"),
    Row("openai", 503, _e("That model is currently overloaded with other requests.", "server_error"), "overloaded"),
    Row("openai", 500, _e("The server had an error while processing your request.", "server_error"), "server_error"),
    Row("openai", 401, _e("Incorrect API key provided: sk-a****0.", "invalid_request_error", "invalid_api_key"), "auth"),
    Row("openai", 401, _e("You must be a member of an organization to use the API", "invalid_request_error"), "auth",
        "invalid_request"),
    Row("openai", 401, _e("Your OpenAI account has been deactivated.", None, "account_deactivated"), "auth"),
    Row("openai", 403, _e("Country, region, or territory not supported", "request_forbidden",
                          "unsupported_country_region_territory"), "permission"),
    Row("openai", 403, _e("You have insufficient permissions. Missing scopes: model.request", None, "missing_scope"),
        "permission"),
    Row("openai", 404, _e("The model `gpt-0` does not exist or you do not have access to it.", "invalid_request_error",
                          "model_not_found"), "model_not_found"),
    Row("openai", 400, _e(_LONG, "invalid_request_error", "context_length_exceeded"), "context_overflow"),
    Row("openai", 400, _e("Invalid 'messages[0].content': string too long.", "invalid_request_error",
                          "string_above_max_length"), "context_overflow"),
    Row("openai", 400, _e("Invalid prompt: we've limited access to this content.", "invalid_request_error",
                          "invalid_prompt"), "content_policy"),
    Row("openai", 400, _e("Your request was rejected by our safety system.", None, "content_policy_violation"),
        "content_policy"),
    Row("openai", 400, _e("Rejected.", "image_generation_user_error", "moderation_blocked"), "content_policy"),
    Row("openai", 400, _e("Rejected.", None, "bio_policy"), "content_policy"),
    Row("openai", 400, _e("Rejected.", None, "cyber_policy_violation"), "content_policy"),
    Row("openai", 400, _e("Rejected.", None, "misalignment_policy_violation"), "content_policy"),
    Row("openai", 400, _e("Rejected.", None, "image_content_policy_violation"), "content_policy"),
    Row("openai", 400, _e("Unsupported parameter: 'max_tokens' is not supported with this model.",
                          "invalid_request_error", "unsupported_parameter"), "invalid_request"),
    Row("openai", 409, _e("Conflict.", "invalid_request_error"), "invalid_request"),
    Row("openai", 415, _e("Unsupported content type.", "invalid_request_error"), "invalid_request"),
    # Anthropic
    Row("anthropic", 400, _a("invalid_request_error", "max_tokens: Field required"), "invalid_request"),
    Row("anthropic", 400, _a("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        "billing"),
    Row("anthropic", 400, _a("invalid_request_error", "You have reached your specified API usage limits. You will regain "
                             "access on 2030-09-01 at 00:00 UTC."), "billing"),
    Row("anthropic", 400, _a("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        "context_overflow"),
    Row("anthropic", 400, _a("invalid_request_error", "input length and `max_tokens` exceed context limit: 188240 + "
                             "21333 > 200000"), "context_overflow"),
    Row("anthropic", 400, _a("invalid_request_error", "Output blocked by content filtering policy"), "content_policy"),
    Row("anthropic", 400, _a("invalid_request_error", "On hold.", details={"error_code": "organization_on_hold"}),
        "billing"),
    Row("anthropic", 401, _a("authentication_error", "invalid x-api-key"), "auth"),
    Row("anthropic", 402, _a("billing_error", "Check your payment information."), "billing"),
    Row("anthropic", 402, _a("billing_error", "Linked.", details={"error_code": "linked_organization_past_due"}),
        "billing"),
    Row("anthropic", 403, _a("permission_error", "Your API key does not have permission to use the resource."),
        "permission"),
    Row("anthropic", 404, _a("not_found_error", "model: claude-none"), "model_not_found"),
    Row("anthropic", 409, _a("conflict_error", "Conflict."), "invalid_request"),
    Row("anthropic", 413, _a("request_too_large", "Request exceeds the maximum size"), "context_overflow"),
    Row("anthropic", 429, _a("rate_limit_error", _ANTHROPIC_TPM), "rate_limit"),
    Row("anthropic", 429, _a("rate_limit_error", "Ramp.", details={"error_code": "ramp_limit_exceeded"}), "rate_limit"),
    Row("anthropic", 429, _a("rate_limit_error", "You have reached your API usage limits: your organization has crossed "
                             "its monthly API usage threshold.", details={"error_code": "enforced_spend_limit_reached"}),
        "billing"),
    Row("anthropic", 429, _a("rate_limit_error", "Limit.", details={"error_code": "contract_spend_limit_reached"}),
        "billing"),
    Row("anthropic", 500, _a("api_error", "Internal server error"), "server_error"),
    Row("anthropic", 504, _a("timeout_error", "The request timed out."), "timeout"),
    Row("anthropic", 529, _a("overloaded_error", "Overloaded"), "overloaded"),
    # Gemini, Vertex
    Row("gemini", 400, _g(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                          {"@type": _ERROR_INFO, "reason": "API_KEY_INVALID"}), "auth"),
    Row("gemini", 400, _g(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum (1048576)."),
        "context_overflow"),
    Row("gemini", 400, _g(400, "INVALID_ARGUMENT", "Invalid JSON payload received."), "invalid_request"),
    Row("gemini", 400, _g(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "permission"),
    Row("gemini", 400, _g(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please "
                          "enable billing on your project in Google AI Studio."), "billing"),
    Row("gemini", 402, _g(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "billing"),
    Row("gemini", 402, _g(402, "RESOURCE_EXHAUSTED", "Payment is due."), "billing"),
    Row("gemini", 429, _g(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. Please go to AI Studio to "
                          "manage your project and billing."), "billing"),
    Row("gemini", 429, _g(429, "RESOURCE_EXHAUSTED", _QUOTA), "rate_limit"),
    Row("gemini", 429, [_g(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")], "rate_limit"),
    Row("vertex", 429, _g(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), "rate_limit"),
    Row("gemini", 403, _g(403, "PERMISSION_DENIED", "Permission denied on resource project p."), "permission"),
    Row("gemini", 403, _g(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
        "auth"),
    Row("vertex", 403, _g(403, "PERMISSION_DENIED", "This API method requires billing to be enabled.",
                          {"@type": _ERROR_INFO, "reason": "BILLING_DISABLED"}), "billing"),
    Row("gemini", 403, _g(403, "PERMISSION_DENIED", "Blocked.", {"@type": _ERROR_INFO, "reason": "CONSUMER_SUSPENDED"}),
        "billing"),
    Row("gemini", 401, _g(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), "auth"),
    Row("gemini", 404, _g(404, "NOT_FOUND", "models/gemini-0 is not found for API version v1beta"), "model_not_found"),
    Row("gemini", 499, _g(499, "CANCELLED", "The operation was cancelled."), "cancelled"),
    Row("gemini", 500, _g(500, "INTERNAL", "An internal error has occurred."), "server_error"),
    Row("gemini", 503, _g(503, "UNAVAILABLE", "This model is currently experiencing high demand."), "overloaded"),
    Row("gemini", 504, _g(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."), "timeout"),
    Row("gemini", 429, {"error": {"code": "rate_limit_exceeded", "message": "Too many."}}, "rate_limit"),
    Row("gemini", 429, {"error": {"code": "quota_exceeded", "message": "Daily quota."}}, "billing"),
    Row("gemini", 402, {"error": {"code": "payment_required", "message": "Pay."}}, "billing"),
    Row("gemini", 401, {"error": {"code": "authentication", "message": "Who?"}}, "auth"),
    Row("gemini", 404, {"error": {"code": "model_not_found", "message": "No."}}, "model_not_found"),
    # Azure
    Row("azure", 400, _e("The response was filtered due to the prompt triggering our content management policy.", None,
                         "content_filter", status=400, innererror={"code": "ResponsibleAIPolicyViolation"}),
        "content_policy"),
    Row("azure", 400, {"error": {"code": None, "message": "No.", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        "content_policy"),
    Row("azure", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
        "model_not_found"),
    Row("azure", 404, {"error": {"code": "404", "message": "Resource not found"}}, "model_not_found"),
    Row("azure", 400, {"error": {"code": "unknown_model", "message": "Unknown model: x"}}, "model_not_found"),
    Row("azure", 400, {"error": {"code": "unavailable_model", "message": "Unavailable model: x"}}, "model_not_found"),
    Row("azure", 429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have exceeded "
                                 "token rate limit of your current AIServices S0 pricing tier."}}, "rate_limit"),
    Row("azure", 429, {"error": {"code": "429", "message": "The system is currently experiencing high demand and cannot "
                                 "process your request."}}, "overloaded"),
    Row("azure", 429, {"error": {"code": "NoCapacity", "message": "No capacity."}}, "overloaded"),
    Row("azure", 429, {"error": {"code": "insufficient_quota", "message": "Your deployment has exceeded the token rate "
                                 "limit of its quota."}}, "rate_limit"),
    Row("azure", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}, "auth"),
    Row("azure", 403, {"error": {"code": "403", "message": "Public access is disabled."}}, "permission"),
    Row("azure", 408, {"error": {"code": "Timeout", "message": "The operation was timeout."}}, "timeout"),
    # Bedrock
    Row("bedrock", 400, {"message": "The provided model identifier is invalid."}, "model_not_found", "model_not_found",
        "ValidationException"),
    Row("bedrock", 400, {"message": "Input is too long for requested model."}, "context_overflow", "context_overflow",
        "ValidationException"),
    Row("bedrock", 400, {"message": "messages: field required"}, "invalid_request", "", "ValidationException"),
    Row("bedrock", 400, {"message": "Quota."}, "rate_limit", "", "ServiceQuotaExceededException"),
    Row("bedrock", 403, {"message": "You don't have access to the model."}, "permission", "", "AccessDeniedException"),
    Row("bedrock", 403, {"message": "INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided."}, "billing",
        "", "AccessDeniedException"),
    Row("bedrock", 403, {"message": "The security token is invalid."}, "auth", "", "UnrecognizedClientException"),
    Row("bedrock", 403, {"message": "Expired."}, "auth", "", "ExpiredTokenException"),
    Row("bedrock", 403, {"message": "No such key."}, "auth", "", "InvalidClientTokenId"),
    Row("bedrock", 400, {"message": "Not authorized."}, "permission", "", "NotAuthorized"),
    Row("bedrock", 400, {"message": "Expired."}, "auth", "", "RequestExpired"),
    Row("bedrock", 404, {"message": "No such."}, "model_not_found", "", "ResourceNotFoundException"),
    Row("bedrock", 404, {"message": "Model use case details have not been submitted for this account."}, "permission", "",
        "ResourceNotFoundException"),
    Row("bedrock", 408, {"message": "Too long."}, "timeout", "", "ModelTimeoutException"),
    Row("bedrock", 424, {"message": "The model failed."}, "server_error", "", "ModelErrorException"),
    Row("bedrock", 424, {"message": "The stream failed."}, "server_error", "", "ModelStreamErrorException"),
    Row("bedrock", 429, {"message": "Too many tokens, please wait before trying again."}, "rate_limit", "",
        "ThrottlingException"),
    Row("bedrock", 429, {"message": "Not ready."}, "overloaded", "", "ModelNotReadyException"),
    Row("bedrock", 500, {"message": "Internal."}, "server_error", "", "InternalServerException"),
    Row("bedrock", 503, {"message": "Busy."}, "overloaded", "", "ServiceUnavailableException"),
    # Mistral
    Row("mistral", 429, _m("Requests rate limit exceeded", "rate_limited", "1300"), "rate_limit"),
    Row("mistral", 429, _m("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"),
        "overloaded"),
    Row("mistral", 429, _m("Service tier capacity exceeded for this model.", "invalid_request_error"), "overloaded"),
    Row("mistral", 503, _m("Overloaded.", "internal_server_error"), "overloaded"),
    Row("mistral", 401, {"detail": "Unauthorized"}, "auth", "unknown"),
    Row("mistral", 402, {"detail": "Payment required."}, "billing"),
    Row("mistral", 400, _m("Invalid model: mistral-none", "invalid_model", "1500"), "model_not_found"),
    Row("mistral", 400, _m("Unknown model.", "unknown_model"), "model_not_found"),
    Row("mistral", 422, _m({"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]},
                           "invalid_request_error"), "invalid_request"),
    Row("mistral", 422, {"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]},
        "invalid_request", "unknown"),
    Row("mistral", 400, _m("Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
                           "invalid_request_error", "3051"), "context_overflow"),
    # Cohere
    Row("cohere", 400, {"id": "x", "message": "too many tokens: the total number of tokens must be below 4096"},
        "context_overflow"),
    Row("cohere", 400, {"id": "x", "message": "invalid request: message must be specified"}, "invalid_request",
        "unknown"),
    Row("cohere", 401, {"id": "x", "message": "invalid api token"}, "auth", "unknown"),
    Row("cohere", 402, {"message": "Billing limit."}, "billing", "unknown"),
    Row("cohere", 404, {"id": "x", "message": "model 'command-none' not found"}, "model_not_found"),
    Row("cohere", 429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, "billing"),
    Row("cohere", 429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute."}, "rate_limit",
        "unknown"),
    Row("cohere", 498, {"message": "invalid token"}, "auth"),
    Row("cohere", 499, {"message": "request cancelled"}, "cancelled", "unknown"),
    Row("cohere", 503, {"message": "service unavailable"}, "overloaded", "unknown"),
    # Groq
    Row("groq", 413, _e(_GROQ_TPM, "tokens", "rate_limit_exceeded"), "rate_limit"),
    Row("groq", 413, _e(_GROQ_TPM, "tokens"), "rate_limit"),
    Row("groq", 429, _e("Rate limit reached for model `m` on tokens per day (TPD): Limit 100000.", "tokens",
                        "rate_limit_exceeded"), "rate_limit"),
    Row("groq", 498, _e("Flex tier capacity exceeded", "flex_tier_capacity_exceeded", "capacity_exceeded"), "overloaded"),
    Row("groq", 498, _e("Flex tier at capacity"), "overloaded"),
    Row("groq", 400, _e("The model `m` has been decommissioned and is no longer supported.", "invalid_request_error",
                        "model_decommissioned"), "model_not_found"),
    Row("groq", 400, _e("API access is blocked.", "invalid_request_error", "blocked_api_access"), "billing"),
    Row("groq", 400, _e("The model `m` requires terms acceptance.", "invalid_request_error", "model_terms_required"),
        "permission"),
    Row("groq", 401, _e("Invalid API Key", "invalid_request_error", "invalid_api_key"), "auth"),
    Row("groq", 422, _e("Semantic errors.", "invalid_request_error"), "invalid_request"),
    Row("groq", 424, _e("Failed dependency.", "invalid_request_error"), "server_error", "invalid_request"),
    Row("groq", 499, _e("Request cancelled."), "cancelled", "unknown"),
    Row("groq", 503, _e("Service Unavailable", "service_unavailable"), "overloaded"),
    # xAI
    Row("xai", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. You can "
                     "obtain an API key from https://console.x.ai."}, "auth"),
    Row("xai", 403, {"code": "The caller does not have permission to execute the specified operation", "error": _XAI},
        "billing"),
    Row("xai", 429, {"code": "Some resource has been exhausted", "error": _XAI}, "billing"),
    Row("xai", 429, {"code": "Some resource has been exhausted", "error": "Too many requests for team t-1 and model m."},
        "rate_limit"),
    Row("xai", 403, {"code": "personal-team-blocked:spending-limit", "error": "You have run out of credits or need a Grok "
                     "subscription."}, "billing"),
    Row("xai", 403, {"code": "The caller does not have permission to execute the specified operation", "error": "Content "
                     "violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, "content_policy"),
    Row("xai", 404, {"code": "Some requested entity was not found", "error": "The model grok-0 does not exist."},
        "model_not_found"),
    Row("xai", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 "
                     "but the request contains 200000 tokens: context length"}, "context_overflow"),
    # DeepSeek
    Row("deepseek", 400, _e("Failed to deserialize the JSON body", "invalid_request_error", "invalid_request_error"),
        "invalid_request"),
    Row("deepseek", 400, _e("Content Exists Risk", "invalid_request_error", "invalid_request_error"), "content_policy"),
    Row("deepseek", 401, _e("Authentication Fails (no such user)", "authentication_error", "invalid_request_error"),
        "auth"),
    Row("deepseek", 402, _e("Insufficient Balance", "unknown_error", "invalid_request_error"), "billing"),
    Row("deepseek", 422, _e("Invalid parameters", "invalid_request_error", "invalid_request_error"), "invalid_request"),
    Row("deepseek", 429, _e("Rate Limit Reached", "rate_limit_error", "invalid_request_error"), "rate_limit"),
    Row("deepseek", 503, _e("Service is too busy.", "service_unavailable_error", "invalid_request_error"), "overloaded"),
    # Moonshot
    Row("moonshot", 400, _e("The request was rejected because it was considered high risk", "content_filter"),
        "content_policy"),
    Row("moonshot", 400, _e("Invalid request: Your request exceeded model token limit: 8192", "invalid_request_error"),
        "context_overflow"),
    Row("moonshot", 401, _e("Invalid Authentication", "invalid_authentication_error"), "auth"),
    Row("moonshot", 401, _e("Incorrect API key provided", "incorrect_api_key_error"), "auth"),
    Row("moonshot", 403, _e("You have reached your monthly usage limit.", "permission_denied_error"), "billing"),
    Row("moonshot", 403, _e("The API you are accessing is not open", "permission_denied_error"), "permission"),
    Row("moonshot", 404, _e("Not found the model m or Permission denied", "resource_not_found_error"), "model_not_found"),
    Row("moonshot", 429, _e("Your account org-1 is suspended, please check your plan and billing details",
                            "exceeded_current_quota_error"), "billing"),
    Row("moonshot", 429, _e("Your account reached max request concurrency: 1", "rate_limit_reached_error"), "rate_limit"),
    Row("moonshot", 429, _e("The engine is currently overloaded, please try again later", "engine_overloaded_error"),
        "overloaded"),
    # DashScope
    Row("dashscope", 400, _r("Arrearage", "Access denied, please make sure your account is in good standing."), "billing"),
    Row("dashscope", 400, {"error": {"code": "Arrearage", "type": "Arrearage", "message": "Access denied, please make sure "
                                     "your account is in good standing."}}, "billing"),
    Row("dashscope", 400, _r("DataInspectionFailed", "Input data may contain inappropriate content."), "content_policy"),
    Row("dashscope", 400, _e("Input data may contain inappropriate content.", "data_inspection_failed",
                             "data_inspection_failed"), "content_policy"),
    Row("dashscope", 400, _r("InvalidParameter", "Range of input length should be [1, 30720]"), "context_overflow"),
    Row("dashscope", 400, _r("InvalidParameter", "Required parameter(s) missing or invalid."), "invalid_request"),
    Row("dashscope", 401, _r("InvalidApiKey", "Invalid API-key provided."), "auth"),
    Row("dashscope", 403, _r("AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted."), "billing"),
    Row("dashscope", 403, _r("AccessDenied", "Access denied."), "permission"),
    Row("dashscope", 403, _r("Model.AccessDenied", "Model access denied."), "permission", "unknown"),
    Row("dashscope", 404, _r("ModelNotFound", "Model can not be found."), "model_not_found"),
    Row("dashscope", 429, _r("Throttling", "Requests throttling triggered."), "rate_limit"),
    Row("dashscope", 429, _r("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
        "rate_limit"),
    Row("dashscope", 429, _r("Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit."),
        "rate_limit"),
    Row("dashscope", 429, _r("Throttling.AllocationQuota", "Free allocated quota exceeded."), "billing"),
    Row("dashscope", 429, _r("PostpaidBillOverdue", "The postpaid bill is overdue."), "billing"),
    Row("dashscope", 429, {**_e(_QUOTA, "insufficient_quota", "insufficient_quota"), "request_id": "x"}, "rate_limit"),
    Row("dashscope", 429, _e("Workspace allocated quota exceeded, please increase your quota limit.",
                             "invalid_request_error", "insufficient_quota"), "rate_limit"),
    Row("dashscope", 429, _e("You have exceeded your request limit.", "limit_requests", "limit_requests"), "rate_limit"),
    Row("dashscope", 500, _r("InternalError.Timeout", "An internal timeout error has occured."), "server_error",
        "timeout"),
    # MiniMax
    Row("minimax", 200, _b(1000, "unknown error"), "server_error"),
    Row("minimax", 200, _b(1001, "timeout"), "timeout"),
    Row("minimax", 200, _b(1002, "rate limit"), "rate_limit"),
    Row("minimax", 200, _b(1004, "login fail"), "auth"),
    Row("minimax", 200, _b(1008, "insufficient balance"), "billing"),
    Row("minimax", 200, _b(1024, "internal error"), "server_error"),
    Row("minimax", 200, _b(1026, "input new_sensitive"), "content_policy"),
    Row("minimax", 200, _b(1027, "output new_sensitive"), "content_policy"),
    Row("minimax", 200, _b(1033, "downstream error"), "server_error"),
    Row("minimax", 200, _b(2013, "invalid params"), "invalid_request"),
    Row("minimax", 200, _b(2049, "invalid api key"), "auth"),
    Row("minimax", 429, {"error": {"http_code": "429", "message": "insufficient balance (1008)",
                                   "type": "insufficient_balance_error"}, "request_id": "r1"}, "billing"),
    Row("minimax", 500, _a("api_error", "insufficient balance (1008)"), "billing"),
    # OpenRouter
    Row("openrouter", 400, _o(400, "Model x is not a valid model ID"), "model_not_found"),
    Row("openrouter", 401, _o(401, "No auth credentials found"), "auth"),
    Row("openrouter", 402, _o(402, "Insufficient credits. Add more credits."), "billing"),
    Row("openrouter", 402, _o(402, "This request requires more credits, or fewer max_tokens."), "billing"),
    Row("openrouter", 402, _o(402, "Wait.", limit_source="openrouter_in_flight_budget", retry_after_seconds=3),
        "rate_limit"),
    Row("openrouter", 402, _o(402, "No.", limit_source="openrouter_credits", error_type="payment_required"), "billing"),
    Row("openrouter", 403, _o(403, "Key limit exceeded (total limit)", limit_source="openrouter_key_limit"), "billing"),
    Row("openrouter", 403, _o(403, "Key limit exceeded (total limit). Manage it using the settings."), "billing"),
    Row("openrouter", 403, _o(403, "No.", limit_source="openrouter_workspace_budget"), "billing"),
    Row("openrouter", 403, _o(403, "Input was flagged by moderation", reasons=["violence"], flagged_input="x"),
        "content_policy"),
    Row("openrouter", 404, _o(404, "No endpoints found matching your data policy"), "model_not_found"),
    Row("openrouter", 408, _o(408, "Timed out", error_type="timeout"), "timeout"),
    Row("openrouter", 413, _o(413, "Too large", error_type="payload_too_large"), "context_overflow"),
    Row("openrouter", 429, _o(429, "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model "
                              "requests per day"), "rate_limit"),
    Row("openrouter", 429, _o(429, _UPSTREAM, raw="m is temporarily rate-limited upstream.", provider_name="V"),
        "rate_limit"),
    Row("openrouter", 429, _o(429, _UPSTREAM, error_type="rate_limit_exceeded"), "rate_limit"),
    Row("openrouter", 502, _o(502, "Provider disconnected unexpectedly"), "server_error"),
    Row("openrouter", 502, _o(502, "No.", error_type="provider_unavailable"), "overloaded"),
    Row("openrouter", 503, _o(503, "No instances available", error_type="provider_overloaded"), "overloaded"),
    Row("openrouter", 524, _o(524, "A timeout occurred"), "timeout"),
    Row("openrouter", 529, _o(529, _UPSTREAM), "overloaded"),
    Row("openrouter", 400, _o(400, _UPSTREAM, raw='{"error":{"message":"This model\'s maximum context length is 8192 '
                              'tokens.","code":"context_length_exceeded"}}', provider_name="X"), "context_overflow"),
    Row("openrouter", 400, _o(400, "Too long", error_type="context_length_exceeded"), "context_overflow"),
    Row("openrouter", 400, _o(400, "No", error_type="invalid_prompt"), "content_policy"),
    Row("openrouter", 403, _o(403, "No", error_type="content_policy_violation"), "content_policy"),
    Row("openrouter", 403, _o(403, "No", error_type="permission_denied"), "permission"),
    Row("openrouter", 401, _o(401, "No", error_type="authentication"), "auth"),
    # Together
    Row("together", 402, _e("Monthly cap.", "billing", "payment_required"), "billing"),
    Row("together", 403, _e("Input token count + `max_tokens` exceeds the model's context length.", "invalid"),
        "context_overflow"),
    Row("together", 422, _e("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
                            "invalid_request_error"), "context_overflow"),
    Row("together", 404, _e("Unable to access non-serverless model m.", "invalid_request_error", "model_not_available"),
        "model_not_found"),
    Row("together", 429, _e("Request was rejected due to rate limiting.", "credit_limit"), "rate_limit"),
    Row("together", 503, _e("The server is overloaded.", "service_unavailable"), "overloaded"),
    Row("together", 529, _e("Overloaded.", "overloaded"), "overloaded"),
    # Fireworks
    Row("fireworks", 402, _e("Pay.", "invalid_request_error"), "billing", "invalid_request"),
    Row("fireworks", 412, {"error": "Account a is suspended, possibly due to reaching the monthly spending limit or "
                           "failure to pay past invoices."}, "billing"),
    Row("fireworks", 412, _e("Account is suspended", "error", "PRECONDITION_FAILED"), "billing"),
    Row("fireworks", 401, {"error": "unauthorized"}, "auth", "unknown"),
    Row("fireworks", 404, _e("Model not found, inaccessible, and/or not deployed", "error", "NOT_FOUND"),
        "model_not_found"),
    Row("fireworks", 400, _e("The prompt is too long: 9000, model maximum context length: 8192", "error"),
        "context_overflow"),
    # vLLM
    Row("vllm", 400, _m(_LONG, "BadRequestError", 400), "context_overflow"),
    Row("vllm", 400, _e("requested tokens exceed", "BadRequestError", 400, object="error"), "invalid_request"),
    Row("vllm", 404, _e("The model `m` does not exist.", "NotFoundError", 404), "model_not_found"),
    Row("vllm", 500, _e("Internal server error", "InternalServerError", 500), "server_error"),
    # Ollama
    Row("ollama", 404, {"error": "model 'qwen' not found, try pulling it first"}, "model_not_found"),
    Row("ollama", 404, _e("model 'qwen' not found", "not_found_error"), "model_not_found"),
    Row("ollama", 400, _e("invalid options", "invalid_request_error"), "invalid_request"),
    Row("ollama", 401, _e("unauthorized", "api_error"), "auth", "server_error"),
    Row("ollama", 429, _e("slow", "api_error"), "rate_limit", "server_error"),
    Row("ollama", 503, _e("server busy, please try again.", "api_error"), "overloaded", "server_error"),
    Row("ollama", 500, {"error": "llama runner process has terminated"}, "server_error", "unknown"),
    # llama.cpp, TGI, Hugging Face
    Row("llama.cpp", 400, _e("request (9412 tokens) exceeds the available context size (8192 tokens)",
                             "exceed_context_size_error", 400, n_ctx=8192), "context_overflow"),
    Row("llama.cpp", 503, _e("Loading model", "unavailable_error", 503), "overloaded"),
    Row("llama.cpp", 500, _e("input is too large to process. increase the physical batch size", "server_error", 500),
        "context_overflow"),
    Row("tgi", 429, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
    Row("tgi", 422, {"error": "Input validation error", "error_type": "validation"}, "invalid_request"),
    Row("tgi", 424, {"error": "Request failed during generation", "error_type": "generation"}, "server_error"),
    Row("tgi", 500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}, "server_error"),
    Row("huggingface", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."},
        "billing"),
    Row("huggingface", 400, {"error": {"message": "The requested model 'm' is not supported by any provider you have "
                                       "enabled.", "type": "invalid_request_error", "code": "model_not_supported"}},
        "model_not_found"),
    Row("huggingface", 503, {"error": "Model acme/m is currently loading", "estimated_time": 20.0}, "overloaded"),
    # litellm's proxy, Portkey
    Row("litellm", 401, _e("Authentication Error, Invalid proxy server token passed", "auth_error", "401"), "auth"),
    Row("litellm", 401, _e("Key not found.", "token_not_found_in_db", "401"), "auth"),
    Row("litellm", 400, _e("Budget has been exceeded! Current cost: 12.1, Max budget: 10.0", "budget_exceeded", "400"),
        "billing"),
    Row("litellm", 401, _e("team not allowed to access model.", "team_model_access_denied", "401"), "permission"),
    Row("litellm", 401, _e("key not allowed to access model.", "key_model_access_denied", "401"), "permission"),
    Row("litellm", 429, _e("litellm.RateLimitError: slow down", "throttling_error", "429"), "rate_limit"),
    Row("litellm", 429, _e("litellm.RateLimitError: slow down", "None", "429"), "rate_limit"),
    Row("litellm", 400, _e("No connected db.", "no_db_connection", "400"), "server_error"),
    Row("litellm", 400, _e(_LITELLM + '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit '
                           'balance is too low to access the Anthropic API."}}', "invalid_request_error", "400"), "billing"),
    Row("litellm", 500, _e("litellm.InternalServerError: OpenAIException - Error code: 429 - {'error': {'message': 'Slow.',"
                           " 'type': 'requests', 'code': 'rate_limit_exceeded'}}", None, "500"), "rate_limit"),
    Row("portkey", 412, {"status": "failure", "message": "Usage limit exceeded"}, "billing", "unknown"),
    Row("portkey", 446, {"status": "failure", "error": {"message": "The guardrail checks failed", "type":
                                                        "hooks_failed", "param": None, "code": None}}, "content_policy"),
    Row("portkey", 408, {"status": "failure", "message": "Request exceeded the timeout"}, "timeout"),
    # Cerebras, Perplexity, NVIDIA
    Row("cerebras", 429, {"message": "Tokens per day limit exceeded - too many tokens processed.", "type":
                          "too_many_tokens_error", "param": "quota", "code": "token_quota_exceeded"}, "rate_limit"),
    Row("cerebras", 429, {"message": "High traffic.", "type": "too_many_requests_error", "param": "queue", "code":
                          "queue_exceeded"}, "overloaded"),
    Row("cerebras", 401, {"message": "Wrong API Key", "type": "invalid_request_error", "param": "api_key", "code":
                          "wrong_api_key"}, "auth"),
    Row("perplexity", 401, _e("You have no credits.", "insufficient_quota", 401), "billing"),
    Row("perplexity", 400, _e("Invalid model 'x'.", "invalid_model", 400), "model_not_found"),
    Row("perplexity", 401, "<html><head><title>401 Authorization Required</title></head></html>", "auth", "unknown"),
    Row("nim", 402, {"title": "Payment Required", "status": 402, "detail": "Credits are gone."}, "billing"),
    Row("nim", 404, {"status": 404, "title": "Not Found", "detail": "Function not found"}, "model_not_found"),
    # Zhipu
    Row("zhipu", 401, {"error": {"code": "1002", "message": "Invalid token."}}, "auth"),
    Row("zhipu", 429, {"error": {"code": "1113", "message": "Your account is in arrears, please recharge."}}, "billing"),
    Row("zhipu", 429, {"error": {"code": "1113", "message": "账户已欠费"}}, "billing"),
    Row("zhipu", 429, {"error": {"code": "1302", "message": "High concurrency."}}, "rate_limit"),
    Row("zhipu", 429, {"error": {"code": "1305", "message": "Busy."}}, "overloaded"),
    Row("zhipu", 429, {"error": {"code": "1309", "message": "Your plan has expired."}}, "billing"),
    Row("zhipu", 400, {"error": {"code": "1211", "message": "Model does not exist."}}, "model_not_found"),
    Row("zhipu", 400, {"error": {"code": "1214", "message": "Invalid field."}}, "invalid_request"),
    Row("zhipu", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length."}}, "context_overflow"),
    Row("zhipu", 400, {"error": {"code": "1301", "message": "Unsafe content."}}, "content_policy"),
    Row("zhipu", 403, {"error": {"code": "1220", "message": "You do not have permission."}}, "permission"),
    Row("zhipu", 434, {"error": {"code": "434", "message": "No API permission."}}, "permission"),
    Row("zhipu", 435, {"error": {"code": "435", "message": "File size exceeds 100MB."}}, "invalid_request"),
    # Baidu
    Row("baidu", 200, {"error_code": 17, "error_msg": "Open api daily request limit reached"}, "billing"),
    Row("baidu", 200, {"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limit"),
    Row("baidu", 200, {"error_code": 110, "error_msg": "Access token invalid"}, "auth"),
    Row("baidu", 200, {"error_code": 336502, "error_msg": "Rate limit"}, "rate_limit"),
    Row("baidu", 200, {"error_code": 2, "error_msg": "Service temporarily unavailable"}, "overloaded"),
    Row("baidu", 400, _e("Too long", "invalid_request_error", "tokens_too_long"), "context_overflow"),
    Row("baidu", 400, _e("No", "unsafe_request", "system_unsafe"), "content_policy"),
    Row("baidu", 401, _e("No", "invalid_request_error", "invalid_iam_token"), "auth"),
    # watsonx, Cloudflare, Replicate, Databricks
    Row("watsonx", 404, {"errors": [{"code": "model_not_supported", "message": "Model m is not supported"}], "trace": "t"},
        "model_not_found"),
    Row("watsonx", 403, {"errors": [{"code": "token_quota_reached", "message": "Quota."}], "status_code": 403}, "billing"),
    Row("watsonx", 400, {"errors": [{"code": "invalid_input_argument", "message": "No."}], "status_code": 400},
        "invalid_request"),
    Row("watsonx", 401, {"errors": [{"code": "authentication_token_expired", "message": "Expired."}]}, "auth"),
    Row("cloudflare", 429, {"success": False, "errors": [{"code": 3036, "message": "You have used up your daily free "
                                                          "allocation of 10,000 neurons."}]}, "billing"),
    Row("cloudflare", 429, {"success": False, "errors": [{"code": 3040, "message": "Capacity."}]}, "overloaded"),
    Row("cloudflare", 400, {"success": False, "errors": [{"code": 5007, "message": "No such model."}]},
        "model_not_found"),
    Row("cloudflare", 403, {"success": False, "errors": [{"code": 3041, "message": "No."}]}, "permission"),
    Row("cloudflare", 408, {"success": False, "errors": [{"code": 3007, "message": "Slow."}]}, "timeout"),
    Row("cloudflare", 424, {"success": False, "error": [{"code": 2016, "message": "Prompt blocked."}]}, "content_policy"),
    Row("replicate", 402, {"title": "Insufficient credit", "status": 402, "detail": "You have insufficient credit to run "
                           "this model."}, "billing"),
    Row("replicate", 429, {"detail": "Request was throttled. Expected available in 1 second.", "status": 429,
                           "retry_after": 1}, "rate_limit"),
    Row("databricks", 403, {"error_code": "PERMISSION_DENIED", "message": "No."}, "permission"),
    Row("databricks", 429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "No."}, "rate_limit", "unknown"),
    # Whatever stands between
    Row("html", 502, "<html><body><h1>502 Bad Gateway</h1></body></html>", "server_error", "unknown"),
    Row("html", 520, "<html><head><title>520: Web server is returning an unknown error</title></head></html>",
        "server_error", "unknown"),
    Row("fastapi", 400, {"detail": "The 'gpt-mini' model is not supported when using this account."}, "model_not_found"),
)  # fmt: skip
