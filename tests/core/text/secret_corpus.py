"""Secrets made from a maintained detector's rules, in the errors that providers, SDKs and proxies would say them in.

The rules are those of gitleaks, in `secret_rules.json` beside this file (MIT licence, stated there): their regular
expressions and entropies, nothing of them is our choice. What a rule accepts is drawn from its own expression, so no
secret is written down anywhere. `python -m tests.core.text.secret_corpus <gitleaks.toml>` takes a newer set of rules;
without an argument it prints what is measured.
"""

from __future__ import annotations

import base64
import importlib
import json
import math
import random
import re
import string
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES = Path(__file__).with_name("secret_rules.json")
PER_RULE = 3
PIECE = 8

LEFT_OUT = {
    "pkcs12-file": "speaks of a file's name and has no expression",
    "aws-amazon-bedrock-api-key-short-lived": "its expression is one fixed text, with nothing secret in it",
}

# Not one token, so nothing that a provider would repeat as a key: these stand only as their rule has them.
NOT_A_KEY = frozenset(
    {
        "curl-auth-user",
        "hashicorp-tf-password",
        "kubernetes-secret-yaml",
        "microsoft-teams-webhook",
        "nuget-config-password",
        "private-key",
        "sidekiq-sensitive-url",
        "slack-webhook-url",
    }
)

# What stands between a name and its value in most rules, and around them; reduced to what people write.
OPERATOR = r"(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)"
PLAINER = {
    r"[\w.-]{0,50}?": "",
    r"(?:[ \t\w.-]{0,20})": "",
    r"""[\s'"]{0,3}""" + OPERATOR: r"""['"]?(?:=|:=|:|: |=>| = | => )""",
    r"""[\x60'"\s=]{0,5}""": r"""['"]?""",
    r"""(?:[\x60'"\s;]|\\[nr]|$)""": r"""['" ;]""",
}


# --- regular expressions, backwards -----------------------------------------------------------------------------------

_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_CLASSES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": string.ascii_letters + string.digits + "!#$%*+-./:=?@^_~",
}
_ANY = string.ascii_letters + string.digits + " "


def in_python(pattern: str) -> str:
    """Rewrite Go's dialect: flags in the middle hold to the end of their group."""
    pattern = pattern.replace(r"\z", r"\Z").replace("[[:alnum:]]", "[A-Za-z0-9]")
    head, rest = ("(?i)", pattern[4:]) if pattern.startswith("(?i)") else ("", pattern)
    return head + rest.replace("(?i)", "")


@dataclass
class Draw:
    """One string that an expression matches.

    Attributes:
        chosen: For each of its characters, whether another could stand there.
        groups: Where each group starts and ends.
        repeated: Inside of a repetition; elsewhere a rule's "." is a dot that its author did not escape.
    """

    choose: random.Random
    text: str = ""
    chosen: str = ""
    groups: dict[int, tuple[int, int]] | None = None
    repeated: bool = False

    def add(self, alphabet: str) -> None:
        self.text += self.choose.choice(alphabet)
        self.chosen += "1" if len(alphabet) > 1 else "0"

    def of(self, parsed: Any) -> Draw:
        """Draw each part in turn."""
        for kind, value in parsed:
            self.part(str(kind), value)
        return self

    def part(self, kind: str, value: Any) -> None:
        if kind in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}:
            self.add("." if kind == "ANY" and not self.repeated else _alphabet(kind, value))
        elif kind in {"MAX_REPEAT", "MIN_REPEAT"}:
            low, high, parsed = value
            for _ in range(self.choose.randint(low, min(int(high), low + 30))):
                self.repeated = True
                self.of(parsed)
            self.repeated = False
        elif kind == "BRANCH":
            self.of(self.choose.choice(value[1]))
        elif kind == "SUBPATTERN":
            start = len(self.text)
            self.of(value[3])
            if value[0]:
                self.groups = {**(self.groups or {}), value[0]: (start, len(self.text))}
        else:
            assert kind == "AT", kind


def _alphabet(kind: str, value: Any) -> str:
    """Return the characters that one place may hold; both cases of a letter only where the expression spells both."""
    if kind == "LITERAL":
        return chr(value)
    if kind != "IN":
        return _ANY
    found = ""
    for each, what in value:
        if str(each) == "NEGATE":
            return _ANY
        if str(each) == "LITERAL":
            found += chr(what)
        elif str(each) == "RANGE":
            found += "".join(map(chr, range(what[0], what[1] + 1)))
        elif str(each) == "CATEGORY":
            found += _CLASSES[str(what)]
    return "".join(dict.fromkeys(char for char in found if char.isprintable())) or _ANY


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits a character, as the detector counts it."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


# --- secrets ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Secret:
    """One secret of one rule.

    Attributes:
        rule: The rule's name.
        text: What must not leave.
        chosen: For each of its characters, "1" where the rule leaves a choice.
        match: All that the rule matches, names and signs included.
        has_form: The rule finds it without a name beside it.
    """

    rule: str
    text: str
    chosen: str
    match: str
    has_form: bool

    @property
    def name(self) -> str:
        """What a setting that holds it would be called, from the rule's own name."""
        return self.rule.replace("-", "_")

    def pieces(self) -> set[str]:
        """Every eight characters in a row of which at least six are not the same in all secrets of the rule."""
        places = range(len(self.text) - PIECE + 1)
        return {self.text[at : at + PIECE] for at in places if self.chosen[at : at + PIECE].count("1") >= PIECE - 2}

    def left_in(self, text: str) -> str | None:
        """Return a piece of it that the text gives away, in plain, percent-encoded or in base64 or hex."""
        plain = [text, unquote(text)]
        readings = plain + [found for each in plain for found in decoded(each)]
        return next((piece for piece in self.pieces() for reading in readings if piece in reading), None)


def decoded(text: str) -> Iterator[str]:
    """Decode every run of base64 characters, from each of the four places where a group may start."""
    for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
        standard = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            piece = standard[start:]
            yield base64.b64decode(piece[: len(piece) & ~3]).decode("latin-1")


def rules() -> list[dict[str, Any]]:
    """Return the detector's rules."""
    found: list[dict[str, Any]] = json.loads(RULES.read_text())["rules"]
    return [rule for rule in found if rule["id"] not in LEFT_OUT]


def secrets_of(rule: dict[str, Any], count: int = PER_RULE) -> list[Secret]:
    """Draw secrets that the rule finds, its entropy included; the same ones each time."""
    found: list[Secret] = []
    pattern = rule["regex"]
    for part, plainer in PLAINER.items():
        pattern = pattern.replace(part, plainer)
    parsed = _parser.parse(in_python(pattern))
    judge = re.compile(in_python(rule["regex"]))
    for seed in range(count * 200):
        drawn = Draw(random.Random(f"{rule['id']} {seed}")).of(parsed)
        secret = _secret(rule, drawn)
        if secret.pieces() and entropy(secret.text) >= rule.get("entropy", 0) and judge.search(drawn.text):
            found.append(secret)
        if len(found) == count:
            break
    return found


def _secret(rule: dict[str, Any], drawn: Draw) -> Secret:
    """Take out of what was drawn what the detector would report: a group, else everything."""
    groups = drawn.groups or {}
    reported = [groups[rule["group"]]] if rule.get("group") in groups else list(groups.values())
    start, end = max(reported, key=lambda span: span[1] - span[0], default=(0, len(drawn.text)))
    if end - start < PIECE or rule["id"] == "jwt-base64":  # its groups are names for parts
        start, end = 0, len(drawn.text)
    if rule["id"] == "kubernetes-secret-yaml":  # its group holds the name too
        value = re.split(r":\s*[|>+-]*\s*", drawn.text[start:end])[-1].strip("\"' ")
        start = drawn.text.index(value, start) if value else start
        end = start + len(value)
    text, chosen = drawn.text[start:end], drawn.chosen[start:end]
    return Secret(rule["id"], text, chosen, drawn.text, OPERATOR not in rule["regex"] and "curl" not in rule["id"])


# --- where it stands --------------------------------------------------------------------------------------------------

Planting = dict[str, "Callable[[Secret], str]"]


def _asked(secret: Secret) -> str:
    return json.dumps(
        {"error": {"message": "upstream refused", "request": {"model": "gpt-4o", "api_key": secret.text}}}
    )


_KEY_URL = "https://platform.openai.com/account/api-keys"

MESSAGES: Planting = {
    "openai 401": lambda s: (
        f"Error code: 401 - {{'error': {{'message': 'Incorrect API key provided: {s.text}. You can find your API key "
        f"at {_KEY_URL}.', 'type': 'invalid_request_error', 'param': None, 'code': 'invalid_api_key'}}}}"
    ),
    "openai 401 in json": lambda s: json.dumps(
        {"error": {"message": f"Incorrect API key provided: {s.text}.", "code": "invalid_api_key"}}
    ),
    "gemini suspended": lambda s: (
        f"403 PERMISSION_DENIED. {{'error': {{'message': \"Permission denied: Consumer 'api_key:{s.text}' has been "
        "suspended.\", 'status': 'PERMISSION_DENIED'}}"
    ),
    "litellm proxy": lambda s: (
        f"Authentication Error, LiteLLM Virtual Key expected. Received={s.text}, expected to start with 'sk-'."
    ),
    "invalid key": lambda s: f"Invalid API Key: {s.text}",
    "key in a sentence": lambda s: f"The API key '{s.text}' is not valid for model gpt-4o.",
    "token in a sentence": lambda s: f"token {s.text} has expired, please log in again",
    "header line": lambda s: (
        f"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\nx-api-key: {s.text}\r\naccept: */*"
    ),
    "headers in json": lambda s: json.dumps(
        {"host": "a.example", "authorization": f"Bearer {s.text}", "accept": "*/*"}
    ),
    "headers in python": lambda s: (
        f"Headers([(b'host', b'a.example'), (b'api-key', b'{s.text}'), (b'accept', b'*/*')])"
    ),
    "refused header": lambda s: f"Illegal header value b'Bearer {s.text}'",
    "basic": lambda s: f"Authorization: Basic {base64.b64encode(f'svc:{s.text}'.encode()).decode()}",
    "cookie": lambda s: f"Cookie: theme=dark; session={quote(s.text)}\r\nHost: a.example",
    "body": _asked,
    "body in json": lambda s: json.dumps({"detail": _asked(s)}),
    "body in python": lambda s: repr(_asked(s).encode()),
    "body in base64": lambda s: f"x-debug: {base64.b64encode(_asked(s).encode()).decode()}",
    "body in percent": lambda s: f"POST https://gw.example/log?body={quote(_asked(s), safe='')}",
    "url": lambda s: (
        "Client error '400 Bad Request' for url 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
        f":generateContent?key={quote(s.text, safe='')}&alt=sse'"
    ),
    "user info": lambda s: f"cannot connect to proxy http://svc:{quote(s.text, safe='')}@proxy.example:3128/",
    "traceback": lambda s: (
        f'Traceback (most recent call last):\n  File "/app/llm.py", line 12, in ask\n    client = OpenAI(api_key="{s.text}")\n'
        "openai.AuthenticationError: 401"
    ),
    "arguments": lambda s: f"completion(model='gpt-4o', api_key={s.text!r}, messages=[{{'role': 'user'}}])",
    "curl": lambda s: f"curl https://api.openai.com/v1/models -H \"Authorization: Bearer {s.text}\" -d '{{}}'",
    "setting": lambda s: f"bad environment: PORT=80 {s.name.upper()}={s.text} HOME=/root",
    "setting in json": lambda s: json.dumps({"region": "eu", s.name: s.text, "model": "gpt-4o"}),
    "setting in yaml": lambda s: f"region: eu\n{s.name}: {s.text}\nmodel: gpt-4o",
    "as the rule has it": lambda s: f"upstream said: {s.match}",
    "as the rule has it in json": lambda s: json.dumps({"message": f"upstream said: {s.match}"}),
}
ALONE: Planting = {
    "in prose": lambda s: f"Request of {s.text} was refused for model gpt-4o",
    "as an item": lambda s: json.dumps({"message": "refused", "seen": ["gpt-4o", s.text]}),
    "in a path": lambda s: f"404 Not Found for url https://gw.example/v1/{s.text}/chat",
}


def plantings(secret: Secret) -> Iterator[tuple[str, str]]:
    """Put a secret in each message; without a word of its name only where its rule needs none."""
    for place, message in {**MESSAGES, **(ALONE if secret.has_form else {})}.items():
        if secret.rule not in NOT_A_KEY or place.startswith("as the rule"):
            yield place, message(secret)


def measure(redact: Callable[[str], str], count: int = PER_RULE) -> tuple[int, list[tuple[str, str, str]]]:
    """Return how many messages were tried, and rule, place and what was left for each that gave a piece away."""
    tried, leaks = 0, []
    for rule in rules():
        for secret in secrets_of(rule, count):
            for place, text in plantings(secret):
                tried += 1
                left = redact(text)
                if secret.left_in(left) is not None:
                    leaks.append((rule["id"], place, left))
    return tried, leaks


def take_over(source: Path) -> None:
    """Write the rules of a newer release, with its licence, which stands two directories above."""
    tomllib = importlib.import_module("tomllib")
    found = tomllib.loads(source.read_text())["rules"]
    kept = [
        {"id": rule["id"], "regex": rule.get("regex", "")}
        | ({"entropy": rule["entropy"]} if "entropy" in rule else {})
        | ({"group": rule["secretGroup"]} if "secretGroup" in rule else {})
        for rule in found
    ]
    licence = (source.parent.parent / "LICENSE").read_text().splitlines()
    lines = ",\n".join(json.dumps(rule) for rule in kept)
    head = json.dumps({"source": "gitleaks, config/gitleaks.toml", "license": licence}, indent=1)[:-2]
    RULES.write_text(f'{head},\n "rules": [\n{lines}\n]}}\n')


def main() -> None:
    """Take over rules, or print the figure and where it is lost."""
    if sys.argv[1:]:
        take_over(Path(sys.argv[1]))
        return
    from otel_failover._core.text.redaction import redact

    tried, leaks = measure(redact)
    said = [f"{len(rules())} rules, {tried} messages, {len(leaks)} leaks: {1 - len(leaks) / tried:.4f}"]
    said += [str(Counter(leak[which] for leak in leaks).most_common(60)) for which in (0, 1)]
    sys.stdout.write("\n".join((*said, "")))


if __name__ == "__main__":
    main()
