"""No credential leaves, everything else stays readable, and neither takes long.

The keys here are put together from a prefix and a body, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import re
import string
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from otel_failover._core.text.redaction import MASK, cut, own_secrets, redact
from otel_failover.testing.answers import Answer
from tests.core.text.provider_messages import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_ALPHABET = string.ascii_letters + string.digits + "_-+/=.~"
OWN = "sk-" + "proj-" + "Zq3vT9xLmPw7RkYb2NcHs8DfGj4UeAo6-iXt_5Vr1"


# --- looking for what is left of a secret -----------------------------------------------------------------


def base64_readings(text: str) -> list[str]:
    """Decodes every run of base64 characters, from each of the four places where a group may start."""
    runs = re.findall(r"[A-Za-z0-9+/]{4,}", text)
    runs += [run.replace("-", "+").replace("_", "/") for run in re.findall(r"[A-Za-z0-9_-]{4,}", text)]
    pieces = [run[start:] for run in runs for start in range(4)]
    return [base64.b64decode(piece[: len(piece) & ~3]).decode("latin-1") for piece in pieces]


def hex_readings(text: str) -> list[str]:
    """Decodes every run of hexadecimal digits, from both places where a byte may start."""
    pieces = [run[start:] for run in re.findall(r"[0-9a-fA-F]{2,}", text) for start in range(2)]
    return [bytes.fromhex(piece[: len(piece) & ~1]).decode("latin-1") for piece in pieces]


def left_of(secret: str, text: str) -> set[str]:
    """Returns the pieces of eight characters of `secret` that the text still gives away."""
    plain = [text, unquote(text), unquote(unquote(text))]
    readings = plain + [found for each in plain for found in base64_readings(each) + hex_readings(each)]
    pieces = {secret[at : at + 8] for at in range(len(secret) - 7)}
    return {piece for piece in pieces for reading in readings if piece in reading}


# --- known formats ----------------------------------------------------------------------------------------

BODY = "Ab3dE6gH9jK2mN5pQ8sT1vW4xY7zAb3dE6gH9jK2mN5pQ8sT1vW4xY7zaB1"
LOWER = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
CAPITALS = "Q7RST5UVWX3YZ2AB"

KEYS = {
    "openai": "sk-" + BODY[:48],
    "openai project": "sk-" + "proj-" + BODY[:20] + "_-" + BODY[:30],
    "openai service account": "sk-" + "svcacct-" + BODY,
    "openai admin": "sk-" + "admin-" + BODY,
    "openai session": "sess-" + BODY[:40],
    "anthropic": "sk-" + "ant-api03-" + BODY + "-AA",
    "openrouter": "sk-" + "or-v1-" + LOWER,
    "deepseek": "sk-" + LOWER[:32],
    "cerebras": "csk-" + LOWER[:48],
    "google": "AIza" + "SyD-" + BODY[:31],
    "google auth key": "AQ." + BODY[:40],
    "google oauth": "ya29." + BODY[:40] + "-" + BODY[:10],
    "google client secret": "GOCSPX" + "-" + BODY[:28],
    "aws": "AKIA" + CAPITALS,
    "aws temporary": "ASIA" + CAPITALS,
    "aws bearer": "ABIA" + CAPITALS,
    "aws context": "ACCA" + CAPITALS,
    "bedrock": "ABSK" + BODY[:50] + "==",
    "bedrock short": "bedrock-api-key-" + BODY,
    "azure": BODY[:52] + "JQQJ9" + "9" + BODY[:26],
    "hugging face": "hf_" + BODY[:34],
    "groq": "gsk_" + BODY[:52],
    "xai": "xai-" + BODY,
    "perplexity": "pplx-" + BODY[:48],
    "replicate": "r8_" + BODY[:37],
    "fireworks": "fw_" + BODY[:24],
    "nvidia": "nvapi-" + BODY[:30] + "_" + BODY[:30],
    "github": "ghp_" + BODY[:36],
    "github oauth": "gho_" + BODY[:36],
    "github user": "ghu_" + BODY[:36],
    "github server": "ghs_" + BODY[:36],
    "github refresh": "ghr_" + BODY[:36],
    "github fine-grained": "github_" + "pat_" + BODY[:22] + "_" + BODY,
    "gitlab": "glpat" + "-" + BODY[:20],
    "slack bot": "xoxb" + "-" + "123456789012-" + BODY[:24],
    "slack user": "xoxp" + "-" + "123456789012-" + BODY[:24],
    "slack app": "xapp" + "-" + "1-A0-" + BODY[:24],
    "stripe": "sk_" + "live_" + BODY[:24],
    "stripe restricted": "rk_" + "live_" + BODY[:24],
    "npm": "npm_" + BODY[:36],
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + BODY[:40],
    "jwt": "eyJ" + BODY[:30] + "." + "eyJ" + BODY[:50] + "." + BODY[:43],
}

CONTEXTS = {
    "alone": "{}",
    "at the start": "{} is not a valid key",
    "at the end": "not a valid key: {}",
    "in a sentence": "The key {}. Try another, please",
    "in quotes": "key '{}' refused",
    "in backquotes": "key `{}` refused",
    "in brackets": "refused ({}), sorry",
    "in JSON": json.dumps({"param": "{}", "code": "refused"}),
    "in JSON within JSON": json.dumps(json.dumps({"param": "\n{}", "code": "refused"})),
    "in percent-encoded JSON": quote(json.dumps({"param": "{}", "code": "refused"}), safe="{}"),
    "in a URL": "https://example.com/v1/models?a=1&k={}&b=2",
    "in a path": "https://example.com/{}?a=b",
    "after a word": "key={}",
    "on a line": "first line\n{}\nlast line",
    "in an array": '["{}"]',
    "twice": "{0} {0}",
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_masks_a_known_format_and_nothing_beside_it(key: str, context: str) -> None:
    text = context.replace("{0}", "{}").replace("{}", key)
    assert redact(text) == context.replace("{0}", "{}").replace("{}", MASK)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_masks_a_known_format_that_is_percent_encoded_throughout(key: str) -> None:
    encoded = "".join(f"%{ord(char):02X}" for char in key)
    assert redact(f"refused {encoded} again") == f"refused {MASK} again"


@pytest.mark.parametrize(
    "hidden",
    [
        "sk-proj-********************************************abcd",
        "sk-proj-****abcd",
        "sk-abc123**********wxyz",
        "sk-...abcd",
        "sk-ab…wxyz",
        "sk-ant-api03-•••••••••wxyz",
        "AIza****abcd",
        "gsk_ab********************cd",
        "hf_...abcd",
        "sk-" + BODY + "****",
    ],
)
def test_masks_a_key_that_its_provider_has_partly_hidden(hidden: str) -> None:
    assert redact(f"key {hidden}. Next") == f"key {MASK}. Next"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Incorrect API key provided: sk-test. You can find", "Incorrect API key provided: {}. You can find"),
        ("Incorrect API key provided: dummy.", "Incorrect API key provided: {}."),
        ("Incorrect API key provided: ab***yz. See", "Incorrect API key provided: {}. See"),
        ("Your api key: ****wxyz is invalid", "Your api key: {} is invalid"),
        ('Consumer "api_key:Zx8yWv" suspended', 'Consumer "api_key:{}" suspended'),
        ("Authorization: Bearer abc", "Authorization: Bearer {}"),
        ("authorization:Bearer abc-def", "authorization:Bearer {}"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic {}"),
        ("Authorization: Zx8yWv7uTs", "Authorization: {}"),
        ("Proxy-Authorization: Basic Zm9vOmJhcg==\r\nHost: x", "Proxy-Authorization: Basic {}\r\nHost: x"),
        ("{'Authorization': 'Bearer abc', 'a': 'b'}", "{'Authorization': 'Bearer {}', 'a': 'b'}"),
        ("[(b'authorization', b'Bearer abc')]", "[(b'authorization', b'Bearer {}')]"),
        ('{"Authorization": ["Bearer abc"], "a": ["b"]}', '{"Authorization": ["Bearer {}"], "a": ["b"]}'),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=abcdefgh/1",
            "Authorization: AWS4-HMAC-SHA256 Credential={}",
        ),
        ("[('x-api-key', 'abcdef')]", "[('x-api-key', '{}')]"),
        ("sent Bearer Zx8yWv7uTs", "sent Bearer {}"),
        ("sent bearer%20Zx8yWv7uTs", "sent bearer%20{}"),
        ("sent Basic dXNlcjpwYXNzd29yZA==", "sent Basic {}"),
        ("x-api-key: Zx8yWv", "x-api-key: {}"),
        ("x-goog-api-key:Zx8yWv", "x-goog-api-key:{}"),
        ("api-key: 0a1b2c3d", "api-key: {}"),
        ("Ocp-Apim-Subscription-Key: 0a1b2c", "Ocp-Apim-Subscription-Key: {}"),
        ("api_key=abc", "api_key={}"),
        ("apikey=abc, model=b", "apikey={}, model=b"),
        ("OPENAI_API_KEY=abc next", "OPENAI_API_KEY={} next"),
        ('{"api_key": "abc", "model": "b"}', '{"api_key": "{}", "model": "b"}'),
        ('{"apiKey":"abc"}', '{"apiKey":"{}"}'),
        ('{"api_key": "a\\"b,c d"}', '{"api_key": "{}"}'),
        ('{"api_key": "abc', '{"api_key": "{}'),
        ("{'api_key': 'abc'}", "{'api_key': '{}'}"),
        ("api_key='abc'", "api_key='{}'"),
        ('"{\\"api_key\\": \\"abc\\", \\"m\\": 1}"', '"{\\"api_key\\": \\"{}\\", \\"m\\": 1}"'),
        ('{\\\\\\"api_key\\\\\\": \\\\\\"abc\\\\\\"}', '{\\\\\\"api_key\\\\\\": \\\\\\"{}\\\\\\"}'),
        ("a?x=1%26api_key%3Dabc%26model%3Db", "a?x=1%26api_key%3D{}%26model%3Db"),
        ("%22api_key%22%3A%20%22abc%22%2C1", "%22api_key%22%3A%20%22{}%22%2C1"),
        ("/v1beta/models?key=abc&alt=sse", "/v1beta/models?key={}&alt=sse"),
        ("/v1?alt=sse&key=abc", "/v1?alt=sse&key={}"),
        ("/v1?access_token=ab%2Fcdef&x=1", "/v1?access_token={}&x=1"),
        ("/v1?token=abcdefgh HTTP/1.1", "/v1?token={} HTTP/1.1"),
        ("sv=2026-01-01&sig=ab%2Bcdefg%3D&se=2", "sv=2026-01-01&sig={}&se=2"),
        ("?X-Amz-Signature=0a1b2c3d4e5f&a=b", "?X-Amz-Signature={}&a=b"),
        ("AccountName=a;AccountKey=ab/cd==;EndpointSuffix=b", "AccountName=a;AccountKey={};EndpointSuffix=b"),
        ("Uid=a;Pwd=b3c;Host=d", "Uid=a;Pwd={};Host=d"),
        ("aws_secret_access_key=ab/cd+ef", "aws_secret_access_key={}"),
        ("aws_secret_access_key = ab/cd+ef", "aws_secret_access_key = {}"),
        ('"SecretAccessKey": "ab/cd+ef"', '"SecretAccessKey": "{}"'),
        ("aws_session_token=IQoJb3JpZ2lu/+x", "aws_session_token={}"),
        ("X-Amz-Security-Token: IQoJb3JpZ2lu", "X-Amz-Security-Token: {}"),
        ('"password": "correct horse"', '"password": "{}"'),
        ("password=hunter", "password={}"),
        ("passwd: hunter2", "passwd: {}"),
        ("client_secret=abc", "client_secret={}"),
        ("secret: Zx8yWv", "secret: {}"),
        ('"refresh_token":"1//0abcdefg"', '"refresh_token":"{}"'),
        ("MISTRAL_API_KEY: 0a1b2c3d", "MISTRAL_API_KEY: {}"),
        ("https://user:pass@example.com/v1", "https://{}@example.com/v1"),
        ("https://user:p@ss@example.com/v1", "https://{}@example.com/v1"),
        ("redis://:pass@localhost:6379/0", "redis://{}@localhost:6379/0"),
        ("https%3A%2F%2Fuser%3Apass%40example.com", "https%3A%2F%2F{}%40example.com"),
        ("git clone https://0a1b2c3d4e5f6071@example.com", "git clone https://{}@example.com"),
        ("Cookie: sid=abc; theme=dark\r\nHost: a", "Cookie: {}\r\nHost: a"),
        ('{"set-cookie": "sid=abc; Path=/"}', '{"set-cookie": "{}"}'),
        ("a -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- b", "a {} b"),
        ("&quot;api_key&quot;:&quot;abc&quot;,", "&quot;api_key&quot;:&quot;{}&quot;,"),
        ("LiteLLM Virtual Key expected. Received=ab1, expected", "LiteLLM Virtual Key expected. Received={}, expected"),
        ('"-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\n"', '"{}\\n"'),
        ("a -----BEGIN EC PRIVATE KEY-----\nMIIE and the rest is cut", "a {}"),
    ],
)
def test_masks_a_value_by_what_stands_around_it(text: str, expected: str) -> None:
    assert redact(text) == expected.replace("{}", MASK)


KEPT = [
    # OpenAI and those who speak as it does
    (
        "You exceeded your current quota, please check your plan and billing details. For more information "
        "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    ),
    (
        "Error code: 429 - {'error': {'message': 'You exceeded your current quota', 'type': "
        "'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}"
    ),
    (
        "Rate limit reached for gpt-5.5-2026-01-01 in organization org-AbCdEfGhIjKlMnOpQrSt1234 on tokens "
        "per min (TPM): Limit 30000, Used 29000, Requested 5000. Please try again in 8s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more."
    ),
    "Incorrect API key provided: ",
    "You can find your API key at https://platform.openai.com/account/api-keys.",
    (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth, or as the password field (with blank username) if you access the API from a browser"
    ),
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
    '{"error": {"code": "invalid_api_key", "type": "invalid_request_error", "param": null}}',
    (
        "The api_key client option must be set either by passing api_key to the client or by setting the "
        "OPENAI_API_KEY environment variable"
    ),
    "The model `gpt-5.5-mini` does not exist or you do not have access to it.",
    "request id req_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012 resp_0a1b2c3d4e5f60718293a4b5c6d7e8f9 call_AbCdEfGh12345678",
    "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
    'max_tokens: 4096, prompt_tokens=123, "total_tokens": 1234567890',
    # Anthropic
    (
        '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},'
        '"request_id":"req_011CZabcDEFghiJKLmnoPQRs"}'
    ),
    '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":null}',
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    (
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute "
        "(org: 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9, model: claude-opus-4-7)."
    ),
    (
        "Could not resolve authentication method. Expected either api_key or auth_token to be set. Or for "
        "one of the `X-Api-Key` or `Authorization` headers to be explicitly omitted"
    ),
    "x-api-key header is required",
    "msg_01XFDUDYJgAACzvnptvVoYEL",
    # Gemini
    "API key not valid. Please pass a valid API key.",
    (
        "429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'You exceeded your current quota. "
        "* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, "
        "limit: 20, model: gemini-2.5-flash\\nPlease retry in 41.2s.', 'status': 'RESOURCE_EXHAUSTED'}}"
    ),
    "models/gemini-2.5-flash is not found for API version v1beta",
    "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    # Bedrock, Azure
    (
        "An error occurred (ThrottlingException) when calling the Converse operation (reached max retries: "
        "4): Too many tokens, please wait before trying again."
    ),
    (
        "An error occurred (UnrecognizedClientException) when calling the InvokeModel operation: The "
        "security token included in the request is invalid."
    ),
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-7-v1:0",
    "Unable to locate credentials",
    (
        "The request signature we calculated does not match the signature you provided. Check your AWS "
        "Secret Access Key and signing method."
    ),
    (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
        "key for an active subscription and use a correct regional API endpoint for your resource."
    ),
    (
        "Your requests to gpt-5.5 for gpt-5.5 in East US have exceeded token rate limit of your current "
        "AIServices S0 pricing tier. Operation ID: 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
    ),
    # Others
    "Bearer token missing",
    'WWW-Authenticate: Bearer realm="api2", error="invalid_token"',
    "missing or invalid Authorization header: Bearer authentication is required",
    "Basic authentication required, your basic plan and basic subscription2",
    "secret: must not be empty",
    "password: required, token: invalid, api_key: null, access_token=None",
    '{"api_key": "", "password": null, "token": "This field is required."}',
    "Unexpected token: < at position 12",
    "cost per token: 0.0000025, eos_token: </s>, per token: $0.03",
    "Missing API key. Set OPENAI_API_KEY=... or pass api_key=<your key>",
    "pip install sk-learn scikit-learn task-queue disk-usage-of-Something-2026-long-name",
    "pplx-70b-online, pplx-7b-chat, hf_hub_download, npm_config_registry, session sess-12",
    "region asia-northeast1, ASIA, AKIA",
    "KeyError: 'gpt-5.5' key: model, {'key': 'temperature'}",
    "next page at https://example.com/docs?page=2&sort=key#token, mail someone@example.com",
    "ssh://git@github.com/a/b, http://localhost:11434/api/chat",
    "C:\\new\\table\\readme.txt at 100% of 50%%",
    "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
]


def in_an_exception(text: str) -> str:
    return f"Error code: 429 - {{'error': {{'message': {text!r}, 'code': None}}}}"


def in_json_twice(text: str) -> str:
    return json.dumps({"detail": json.dumps({"error": {"message": text}})})


@pytest.mark.parametrize("text", KEPT)
@pytest.mark.parametrize("quoting", [str, json.dumps, repr, quote], ids=["as it is", "json", "repr", "percent"])
def test_leaves_what_providers_say(text: str, quoting: type[str]) -> None:
    assert redact(quoting(text), (OWN,)) == quoting(text)


def test_leaves_masks() -> None:
    text = f"Incorrect API key provided: {MASK}. Authorization: Bearer {MASK}, password={MASK}, token: {MASK}"
    assert redact(text) == text


@pytest.mark.parametrize("text", MESSAGES)
@pytest.mark.parametrize("quoting", [str, json.dumps, repr, quote, in_an_exception, in_json_twice])
def test_leaves_what_providers_say_word_for_word(text: str, quoting: Callable[[str], str]) -> None:
    assert redact(quoting(text), (OWN,)) == quoting(text)


READY_MADE = [getattr(Answer, name)() for name in vars(Answer) if name.startswith(("openai_", "anthropic_", "gemini_"))]


@pytest.mark.parametrize("answer", [each for each in READY_MADE if "*" not in each.message])
def test_leaves_what_the_local_providers_say(answer: Answer) -> None:
    said = json.dumps([answer.message, answer.code, answer.type, answer.details])
    assert redact(said, (OWN,)) == said


# --- what looks drawn by lot ------------------------------------------------------------------------------

DRAWN = "q7Xk2Lm9Pz4Rt8Vw3Yb6"
DRAWN_HEX = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"upstream refused {DRAWN} today", "upstream refused {} today"),
        (f"acme_live_{DRAWN}: refused", "{}: refused"),
        (f"vendor: '{DRAWN_HEX}'", "vendor: '{}'"),
        (f"vendor => {DRAWN_HEX}, model => gpt-4o", "vendor => {}, model => gpt-4o"),
        (f"https://gw.example/v1/{DRAWN}/chat", "https://gw.example/v1/{}/chat"),
        (f"{DRAWN}/{DRAWN}+{DRAWN}== end", "{} end"),
        (f"{DRAWN}.Qwerty.{DRAWN}. Next", "{}. Next"),
        (f"the token '{DRAWN_HEX}' has expired", "the token '{}' has expired"),
        (f"seen\\n{DRAWN}\\n", "seen\\n{}\\n"),
        (f"seen%20{DRAWN}%20again", "seen%20{}%20again"),
    ],
)
def test_masks_what_looks_drawn_by_lot(text: str, expected: str) -> None:
    assert redact(text) == expected.replace("{}", MASK)


@pytest.mark.parametrize(
    "name", ["request id: ", "x-request-id=", '"requestId": "', "trace_id=", "sha256:", "model `", "etag: W/"]
)
@pytest.mark.parametrize("row", [DRAWN, DRAWN_HEX])
def test_keeps_what_is_named_an_id(name: str, row: str) -> None:
    assert redact(f"refused, {name}{row}") == f"refused, {name}{row}"


@pytest.mark.parametrize("row", [f"req_{DRAWN}", f"chatcmpl-{DRAWN}", f"org-{DRAWN}", DRAWN_HEX])
def test_keeps_what_is_an_id_by_itself(row: str) -> None:
    assert redact(f"refused ({row})") == f"refused ({row})"


@pytest.mark.parametrize("start", ["sk-proj-", "AIza", "gsk_", "hf_", "ghp_", "xoxb-"])
@pytest.mark.parametrize("end", ["", "…", "..."])
def test_masks_a_key_that_was_cut_with_its_text(start: str, end: str) -> None:
    assert redact(f"refused {start}Ab3dE6gH9{end}") == f"refused {MASK}"


# --- the attempt's own credential -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "url", "expected"),
    [
        ([], "", ()),
        ([("Authorization", "Bearer abcdefgh")], "", ("abcdefgh",)),
        ([("authorization", "  bearer   abcdefgh ")], "", ("abcdefgh",)),
        ([("Authorization", "abcdefgh")], "", ("abcdefgh",)),
        ([("Authorization", "Key abcdefgh")], "", ("abcdefgh",)),
        ([("Authorization", "Basic dXNlcjpwYXNzd29yZA==")], "", ("dXNlcjpwYXNzd29yZA==", "password")),
        ([("Authorization", "Basic ???")], "", ()),
        ([("Proxy-Authorization", "Basic dXNlcjpwYXNz")], "", ("dXNlcjpwYXNz", "pass")),
        ([("x-api-key", "abcd")], "", ("abcd",)),
        ([("api-key", "abcdefgh"), ("x-goog-api-key", "ijklmnop")], "", ("abcdefgh", "ijklmnop")),
        ([("x-api-key", "abcdefgh"), ("Authorization", "Bearer abcdefgh")], "", ("abcdefgh",)),
        ([("X-Amz-Security-Token", "IQoJb3Jp"), ("x-client-secret", "shhh")], "", ("IQoJb3Jp", "shhh")),
        (
            [("Ocp-Apim-Subscription-Key", "0a1b2c3d"), ("helicone-auth", "Bearer efgh")],
            "",
            ("0a1b2c3d", "efgh"),
        ),
        ([("Cookie", "sid=abcdefghij; a=b")], "", ("abcdefghij",)),
        (
            [
                (
                    "Authorization",
                    (
                        f"AWS4-HMAC-SHA256 Credential=AKIA{CAPITALS}/20260101/us-east-1/bedrock/"
                        "aws4_request, SignedHeaders=host;x-amz-date, Signature=0a1b2c3d4e5f"
                    ),
                )
            ],
            "",
            (f"AKIA{CAPITALS}", "0a1b2c3d4e5f"),
        ),
        ([("content-type", "application/json"), ("idempotency-key", "0a1b2c3d"), ("host", "a")], "", ()),
        ([("x-max-tokens", "40960000"), ("x-token-limit", "4096"), ("x-api-key", "none")], "", ()),
        ([("x-api-key", ""), ("Authorization", "Bearer "), ("api-key", "abc")], "", ()),
        ([], "https://user:p%40ssword@example.com/v1", ("p@ssword",)),
        ([], "https://0a1b2c3d4e5f6071:x-oauth-basic@example.com", ("x-oauth-basic", "0a1b2c3d4e5f6071")),
        ([], "https://0a1b2c3d@example.com", ("0a1b2c3d",)),
        ([], "https://example.com/a?key=abcdefgh&alt=sse#key=none", ("abcdefgh",)),
        ([], "/a?x=1&sig=ab%2Bcdefg%3D&access_token=hijk&max_tokens=40960000", ("ab+cdefg=", "hijk")),
        ([], "https://example.com:8000/a?b=c", ()),
        ([], "http://[", ()),
    ],
)
def test_takes_the_credentials_out_of_a_request(
    headers: list[tuple[str, str]], url: str, expected: tuple[str, ...]
) -> None:
    assert own_secrets(headers, url) == expected


@given(st.lists(st.tuples(st.sampled_from(["authorization", "x-api-key", "cookie", "a"]), st.text())), st.text())
def test_takes_credentials_out_of_any_request(headers: list[tuple[str, str]], url: str) -> None:
    assert all(len(secret) >= 4 for secret in own_secrets(headers, url))


@pytest.mark.parametrize(
    "written",
    [
        OWN,
        quote(OWN, safe=""),
        "".join(f"%{ord(char):02x}" for char in OWN),
        "".join(f"%25{ord(char):02X}" for char in OWN),
        base64.b64encode(OWN.encode()).decode(),
        base64.urlsafe_b64encode(OWN.encode()).decode(),
        OWN.encode().hex(),
        OWN.encode().hex().upper(),
        OWN.encode().hex().title(),
        OWN.upper(),
        OWN.lower()[10:30],
        OWN.swapcase(),
        "".join(f"\\x{ord(char):02x}" for char in OWN),
        "".join(f"\\u00{ord(char):02x}" for char in OWN),
        OWN[:8],
        OWN[-8:],
        OWN[10:30],
        OWN[:12] + "..." + OWN[-8:],
    ],
)
def test_masks_the_own_credential_however_it_is_written(written: str) -> None:
    masked = redact(f"before {written} after", (OWN,))
    assert left_of(OWN, masked) == set()
    assert masked.startswith(f"before {MASK}")
    assert masked.endswith(" after")


def test_masks_a_run_from_end_to_end_and_nothing_beside_it() -> None:
    assert redact(f"x{OWN[12:25]}y", (OWN,)) == f"x{MASK}y"
    assert redact(f"{OWN[12:19]}", (OWN,)) == OWN[12:19]
    assert redact(f"{OWN[12:22]}{OWN[25:35]}", (OWN,)) == MASK


def test_masks_a_short_credential_only_as_a_whole() -> None:
    assert redact("hunter2 hunter3 hunte", ("hunter2",)) == f"{MASK} hunter3 hunte"
    assert redact("%68unter2 aHVudGVyMg==", ("hunter2",)).startswith(f"{MASK} {MASK}")
    assert redact("abc", ("abc", "")) == "abc"


def test_masks_a_credential_with_characters_that_json_or_urls_escape() -> None:
    secret = 'a/b+c=d"e\\f&g%41h é'
    for written in (secret, json.dumps(secret), repr(secret), quote(secret), quote(quote(secret, safe=""))):
        assert "c=d" not in unquote(unquote(redact(written, (secret,))))
    assert redact("ab/cd/ef/gh".replace("/", "\\/"), ("ab/cd/ef/gh",)) == MASK


def test_masks_several_credentials() -> None:
    assert redact("first: abcdefghijk, second: lmnopqrstuv", ("lmnopqrstuv", "abcdefghijk")) == (
        f"first: {MASK}, second: {MASK}"
    )


# --- properties -------------------------------------------------------------------------------------------

secrets = st.text(KEY_ALPHABET, min_size=8, max_size=200).filter(lambda secret: not left_of(secret, MASK))
texts = st.text() | st.text(string.ascii_letters + string.digits + " .:=%\\\"'-_/@", max_size=200)
fragments = st.lists(
    st.sampled_from(
        [
            *[*KEYS.values(), MASK, "sk-", "eyJ", "Bearer ", "Basic ", "api_key", "token", "key", "password"],
            *[
                "?key=",
                "=",
                ": ",
                '"',
                "'",
                "\\",
                '\\"',
                "%3D",
                "%22",
                "%25",
                "%",
                "://",
                "@",
                ":",
                "/",
                "****",
            ],
            *["…", "...", " ", "a", "A1", "-", "_", ".", ",", "&", "\n", "[", "]", "redacted", "cookie: "],
            *[
                "-----BEGIN PRIVATE KEY-----",
                "-----END PRIVATE KEY-----",
                "('x-api-key', '",
                "API key provided",
            ],
        ]
    ),
    max_size=20,
).map("".join)


@st.composite
def percent_encodings(draw: st.DrawFn, secret: str) -> str:
    """Writes each character as it is or escaped, in either case, once or twice."""
    styles = draw(st.lists(st.sampled_from(["{}", "%{:02X}", "%{:02x}", "%25{:02X}"]), min_size=len(secret)))
    pairs = zip(styles, secret, strict=False)
    return "".join(char if style == "{}" else style.format(ord(char)) for style, char in pairs)


@st.composite
def plantings(draw: st.DrawFn) -> tuple[str, str]:
    """Hides a secret, or a piece of it, in some way in some text."""
    secret = draw(secrets)
    start = draw(st.integers(0, len(secret) - 8))
    piece = draw(st.just(secret) | st.just(secret[start : draw(st.integers(start + 8, len(secret)))]))
    before = draw(st.binary(max_size=4))
    data = before + piece.encode() + draw(st.binary(max_size=4))
    written = draw(
        st.one_of(
            st.just(piece),
            percent_encodings(piece),
            st.just(base64.b64encode(data).decode()),
            st.just(base64.urlsafe_b64encode(data).decode()),
            st.just(quote(base64.b64encode(data).decode(), safe="")),
            st.just(data.hex()),
            st.just(data.hex().upper()),
        )
    )
    return secret, draw(texts) + written + draw(texts)


@given(plantings())
def test_leaves_no_piece_of_the_own_credential(planted: tuple[str, str]) -> None:
    secret, text = planted
    assert left_of(secret, redact(text, (secret,))) == set()


@given(plantings())
def test_needs_to_be_applied_once_where_the_own_credential_stands(planted: tuple[str, str]) -> None:
    secret, text = planted
    once = redact(text, (secret,))
    assert redact(once, (secret,)) == once


@given(texts | fragments)
@example("\ud800 sk-\udfff %ud8 \\ud800")
@example("\u0130 API_KEY=abc")
def test_needs_to_be_applied_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(fragments, fragments)
def test_takes_no_part_of_a_mask_away(before: str, after: str) -> None:
    assert MASK in redact(before + MASK + after)


@given(st.text(st.characters()), st.text(st.characters()))
def test_raises_for_no_text_and_no_secret(text: str, secret: str) -> None:
    assume(len(secret) >= 4)
    assert secret not in redact(text + secret + text, (secret,)) or secret in MASK


@given(st.text("=:% \t\n", max_size=300))
def test_changes_no_text_without_letters(text: str) -> None:
    assert redact(text, (OWN,)) == text


# --- the user's patterns, and cutting ---------------------------------------------------------------------


def test_applies_the_users_patterns_in_both_readings() -> None:
    extra = [re.compile(r"acme-\d+"), re.compile(r"(?<=user )\w+")]
    assert redact("acme-123 user bob, acme%2D4", extra=extra) == f"{MASK} user {MASK}, {MASK}"


@pytest.mark.parametrize("pattern", [".*", "", "[a-z]+", r"(?<=\]).", r"\[", "x*", "d]."])
def test_keeps_masks_whole_whatever_the_users_patterns_are(pattern: str) -> None:
    extra = [re.compile(pattern)]
    once = redact(f"before {MASK} after, and so on", extra=extra)
    assert MASK in once
    assert redact(once, extra=extra) == once


@given(st.text(), st.integers(-5, 50))
def test_cuts_to_the_limit(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short) <= max(limit, 0)
    assert short == text if len(text) <= limit else short == "" or short.endswith("…")


def test_cuts_with_an_ellipsis() -> None:
    assert [cut("abcdef", limit) for limit in (6, 5, 1, 0, -1)] == ["abcdef", "abcd…", "…", "", ""]


# --- time -------------------------------------------------------------------------------------------------

REPEATED = [
    *["sk-", "sk-a", "sk-...", "sk-**", "eyJ", "eyJ.", "AIza", "hf_", "xoxb-", "csk-sk-", "AKIA", "ABSK"],
    *["JQQJ9", "Bearer ", "Bearer+", "bearer+a", "Basic ", "Basic+", "Authorization: Bearer ", "cookie:"],
    *["Cookie: a", '"api_key": "', "'api_key': '", "api_key=", "api_key: ", "api_key:", "token:token="],
    *["token: is ", "key", '\\"token\\": \\"', "password", "password ", "?key=", "&key=", 'secret="is '],
    *["secret='\\", "token=token ", "://", "://a:", "://:@", "@", "://a@", "-----BEGIN ", "-----END "],
    *["-----BEGIN PRIVATE KEY-----", "('x-api-key', '", "('token", "\\", "\\\\", '\\"', "%", "%25", "%2"],
    *["%41", "%3D", "\\u00", "…", "...", "*", ".", "a", "0", " ", "\n", "[", "]", "sig=", "signature: "],
    *['"token", ', "credential:is.", MASK, OWN, OWN[:8], OWN[:7], OWN[:4], "key '", "token +", "&quot;", "&amp;"],
    *["a1B2c3D4e5F6g7H8", "a1B2c3D4e5F6g7H8.", "a1B2c3D4e5F6g7H8/", "a1B2c3D4e5F6g7H8=", "a1B2c3D4e5F6g7H8 ", "a.b=1/"],
    *["://a:b/", "/tokens/", "keys/a1b2c3/", "a\n", "A1b2C3d4\n", "a\u200b", "&#6", "&#65;", "0x41, ", "41:", "65, ", "=41"],
    *["\\101", "QUJDREVG", "QUJDREVGQUJDREVG ", "/hooks/", "webhook/a1", "/bot12345:", "\\u{4", "\\u0041", '"\n"', "\x1b[1m"],
    *["id: a1B2c3D4e5F6g7H8 ", "1aaaaaa", "1aaaaaa ", "aaaaaaaaaaaaaaaaaaaa1-", "/s/", ":1234567", "-1a2b3c4", "\\x41"],
]  # fmt: skip


def steps(text: str, tries: int = 3) -> float:
    """How much work a text makes: processor time of this thread, the least of some tries."""
    spent = []
    for _ in range(tries):
        started = time.thread_time()
        redact(text, (OWN,))
        spent.append(time.thread_time() - started)
    return min(spent)


@pytest.mark.parametrize("repeated", REPEATED)
def test_takes_time_linear_in_the_text(repeated: str) -> None:
    """Sixteen times the text makes about sixteen times the work; were it quadratic, 256 times."""
    for before, after in (("", ""), ("a", "\udfff"), ("x" * 100, " end")):
        short, long = (before + repeated * (size // len(repeated)) + after for size in (8_000, 128_000))
        most = 64 * max(steps(short), 1e-4)
        assert steps(long, tries=1) < most or steps(long) < most
