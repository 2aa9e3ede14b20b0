"""Secrets out of texts: what is stored or shown must not hold keys, tokens or passwords.

All patterns run in linear time on any text: quantifiers are bounded or possessive, and what may start
anywhere in a long run of characters is anchored to the run's beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pytest_promptune.core.errors import SettingsError

#: Characters of a text that is worth remembering.
_SHORT = 100

#: What stands where a secret was.
REDACTED = "[redacted]"

#: Where a text was cut, the characters that may belong to one secret.
_CUT_WORD = re.compile(r"[!-~]++\Z")

_KEY_NAME = (
    r"(?:api[_\-]?key|access[_\-]?token|client[_\-]?secret|auth[_\-]?token"
    r"|(?:secret_?)?access_?key|account_?key)"
)
_PASSWORD_NAME = r"(?:password|passwd|passphrase|pwd)"
_EQUALS = r"[\"']?\s{0,4}[:=]\s{0,4}[\"']?"

#: Pattern, and what a text in lower case must contain for it to match: looking for that is much faster.
#: The groups ``a`` and ``b`` of a pattern stay, in front of the secret and behind it.
_RULES = tuple(
    (re.compile(pattern), frozenset(hints))
    for pattern, *hints in (
        # OpenAI (sk-proj- too), Anthropic (sk-ant-), and many that imitate them
        (r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_\-]{16,}+", "sk-"),
        # Google
        (r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_\-]{30,}+", "aiza"),
        # AWS
        (r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}", "akia", "asia"),
        # GitHub, GitLab
        (r"(?<![A-Za-z0-9])gh[opsur]_[A-Za-z0-9]{20,}+", "gho_", "ghp_", "ghs_", "ghu_", "ghr_"),
        (r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{20,}+", "github_pat_"),
        (r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_\-]{16,}+", "glpat-"),
        # Slack, with the addresses of its web hooks; Hugging Face, LangSmith
        (r"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)-[A-Za-z0-9\-]{10,}+", "xox", "xapp"),
        (r"(?P<a>hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}+", "hooks.slack"),
        (r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}+", "hf_"),
        (r"(?<![A-Za-z0-9])lsv2_[a-z]{2}_[A-Za-z0-9_]{16,}+", "lsv2_"),
        # Groq, xAI, Perplexity, Replicate, Stripe, npm, PyPI, SendGrid, Google's OAuth
        (
            r"(?<![A-Za-z0-9])(?:gsk|xai|pplx|r8|npm)[_\-][A-Za-z0-9]{20,}+",
            "gsk_",
            "xai-",
            "pplx-",
            "r8_",
            "npm_",
        ),
        (r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}+", "_live_", "_test_"),
        (r"(?<![A-Za-z0-9])pypi-[A-Za-z0-9_\-]{16,}+", "pypi-"),
        (r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_\-]{16,64}+\.[A-Za-z0-9_\-]{16,}+", "sg."),
        (r"(?<![A-Za-z0-9])(?:ya29\.|GOCSPX-)[A-Za-z0-9_\-]{16,}+", "ya29.", "gocspx-"),
        # Azure's signed addresses
        (r"(?P<a>[?&]sig=)[A-Za-z0-9%+/=]{16,}+", "sig="),
        # JSON web tokens
        (r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]{8,}+", "eyj"),
        # headers: the scheme stays, what follows goes
        (
            r"(?i)(?P<a>\bauthorization" + _EQUALS + r"(?:(?:basic|bearer|token|digest|apikey)\s{1,4}+))"
            r"[^\s\"',;]++",
            "authorization",
        ),
        (r"(?i)(?P<a>\bauthorization" + _EQUALS + r")[^\s\"',;]{16,}+", "authorization"),
        (r"(?i)(?P<a>\bbearer\s{1,4}+)[A-Za-z0-9._~+/=\-]{16,}+", "bearer"),
        # api_key=…, X-Api-Key: …, "client_secret": "…", ?access_token=…
        (
            rf"(?i)(?P<a>(?<![a-z]){_KEY_NAME}{_EQUALS})[^\s\"',;&]{{8,}}+",
            "key",
            "token",
            "secret",
        ),
        # OPENAI_API_KEY=…, as in environment files
        (
            r"(?P<a>_(?:KEY|SECRET|TOKEN|PASSWORD)\s{0,4}=\s{0,4}[\"']?)[^\s\"',;&]{8,}+",
            "_key",
            "_secret",
            "_token",
            "_password",
        ),
        # password=…, PGPASSWORD=…, ?password=…; after a colon only what is no word: "password: none"
        (rf"(?i)(?P<a>{_PASSWORD_NAME}[\"']?=[\"']?)[^\s\"',;&<>]{{4,}}+", "passw", "passphrase", "pwd"),
        (
            rf"(?i)(?P<a>(?<![a-z]){_PASSWORD_NAME}[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?)"
            r"(?=[^\s\"',;&<>]{0,64}?[0-9])[^\s\"',;&<>]{6,}+",
            "passw",
            "passphrase",
            "pwd",
        ),
        # scheme://user:password@host, up to the last @ before a slash
        (r"(?P<a>://[^\s/:@\"'<>]{0,128}+:)[^\s/\"'<>]{1,256}(?P<b>@)", "://"),
        # a private key; one that was cut off counts too
        (
            r"(?P<a>-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----)[^\-]*+(?:-(?!----)[^\-]*+)*+",
            "-----begin",
        ),
    )
)

#: Letters of a key that stand as escapes: ``\\u0073k-…`` in JSON within text, ``sk%2D…`` in addresses.
_ESCAPED = re.compile(
    r"(?:\\{1,8}+u00|%)(2[06bdef]|3[0-9abdf]|40|4[1-9a-f]|5[0-9a]|5f|6[1-9a-f]|7[0-9ae])", re.IGNORECASE
)

_HINTS = tuple(sorted(set().union(*(hints for _, hints in _RULES))))

_SECRET_NAMES = frozenset(
    {"authorization", "proxyauthorization", "cookie", "setcookie", "credentials", "token"}
)
_SECRET_ENDINGS = (
    "apikey",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "privatekey",
    "accesskey",
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "bearertoken",
    "sessiontoken",
    "idtoken",
)
#: Under the bare name ``token`` stand words as often as keys; a key is long and has no spaces.
_LONG_TOKEN = re.compile(r"\S{16,}")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")


def beginning(text: str, length: int) -> str:
    """The first characters of a text that isn't redacted yet; half a secret would not be recognised later."""
    text = text.strip()
    if len(text) <= length:
        return text
    return _CUT_WORD.sub("", text[: length - 1]).rstrip() + "…"


class Redactor:
    """Replaces secrets in texts and in plain JSON data by ``[redacted]``."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Compile the user's own patterns beside the built-in ones.

        Args:
            patterns: regular expressions; what one matches is replaced as a whole.

        Raises:
            SettingsError: for one that doesn't compile or matches the empty text, naming it.
        """
        #: The user's own.
        self.patterns = tuple(patterns)
        self._own = tuple(_compiled(pattern) for pattern in self.patterns)
        #: Names, ids and labels come again with every sample.
        self._short_text = lru_cache(maxsize=4096)(self._without_secrets)

    def text(self, text: str) -> str:
        """`text` without its secrets."""
        return self._short_text(text) if len(text) <= _SHORT else self._without_secrets(text)

    def _without_secrets(self, text: str) -> str:
        if "\\u00" in text or "%" in text:
            # A model that quotes JSON or an address may spell a key in escapes.
            plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
            if plain != text and (clean := self._replaced(plain)) != plain:
                return clean
        return self._replaced(text)

    def _replaced(self, text: str) -> str:
        lowered = text.lower()
        present = [hint for hint in _HINTS if hint in lowered]
        if present:
            for pattern, hints in _RULES:
                if not hints.isdisjoint(present):
                    text = pattern.sub(_replacement, text)
        for own in self._own:
            text = own.sub(REDACTED, text)
        return text

    def json(self, value: Any) -> Any:
        """Plain JSON data without its secrets: in all texts and keys, and texts under names as ``api_key``.

        Numbers, booleans and ``None`` stay whatever their name is: ``output_tokens`` is no secret.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._key(key): self._under(key, item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        return value

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) else key

    def _under(self, key: Any, value: Any) -> Any:
        """What stands under a name: texts under a secret name go as a whole, also in a list."""
        if isinstance(value, str):
            names_secret = isinstance(key, str) and value and _names_secret(key)
            if names_secret and (key.lower() != "token" or _LONG_TOKEN.fullmatch(value)):
                return REDACTED
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self._under(key, item) for item in value]
        return self.json(value)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingsError(
            f"redaction pattern {pattern!r}: not a regular expression ({error}). Mend it or leave it out."
        ) from None
    if compiled.match(""):
        raise SettingsError(
            f"redaction pattern {pattern!r}: matches the empty text, so it would replace nothing everywhere. "
            "Write + for *, or name the characters a secret has."
        )
    return compiled


def _replacement(match: re.Match[str]) -> str:
    kept = match.groupdict()
    return f"{kept.get('a') or ''}{REDACTED}{kept.get('b') or ''}"


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    letters = _NOT_LETTERS.sub("", name.lower())
    return letters in _SECRET_NAMES or letters.endswith(_SECRET_ENDINGS)
