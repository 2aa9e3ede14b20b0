"""Secrets out of texts and JSON values, in linear time, and nothing else."""

import pytest

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.redaction import REDACTED, Redactor, beginning

LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z"
SECRETS = [
    f"sk-{LETTERS}",
    f"sk-proj-{LETTERS}_-{LETTERS}",
    f"sk-ant-api03-{LETTERS}-{LETTERS}",
    f"AIza{LETTERS}abcd",
    "AKIAIOSFODNN7EXAMPLE",
    f"ghp_{LETTERS}12345",
    f"github_pat_{LETTERS}_{LETTERS}",
    f"glpat-{LETTERS}",
    "xoxb-123456789012-abcdefghij",
    f"hf_{LETTERS}",
    f"lsv2_pt_{LETTERS}_0123456789",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{LETTERS}",
    "xapp-1-A0B1C2D3E4-1234567890123-abcdef",
    f"gsk_{LETTERS}",
    f"xai-{LETTERS}",
    f"pplx-{LETTERS}",
    f"r8_{LETTERS}",
    f"npm_{LETTERS}",
    f"sk_live_{LETTERS}",
    f"rk_test_{LETTERS}",
    f"pypi-AgEIcHlwaS5vcmc{LETTERS}",
    f"SG.{LETTERS[:22]}.{LETTERS}",
    f"ya29.{LETTERS}",
    f"GOCSPX-{LETTERS}",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:12])
def test_tokens(secret):
    """Tokens that say what they are go wherever they stand, and only they."""
    assert Redactor().text(f"key={secret}, next") == f"key={REDACTED}, next"
    assert Redactor().text(f'"{secret}"') == f'"{REDACTED}"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {REDACTED}"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", f"'authorization': 'Basic {REDACTED}'"),
        (f"authorization: {LETTERS}", f"authorization: {REDACTED}"),
        (f"sent bearer {LETTERS}.", f"sent bearer {REDACTED}"),
        (f"x-api-key: {LETTERS}", f"x-api-key: {REDACTED}"),
        (f"https://a.b/?api_key={LETTERS}&q=1", f"https://a.b/?api_key={REDACTED}&q=1"),
        (f'{{"client_secret": "{LETTERS}"}}', f'{{"client_secret": "{REDACTED}"}}'),
        (f"aws_secret_access_key = {LETTERS}/+", f"aws_secret_access_key = {REDACTED}"),
        (f"Name=x;AccountKey={LETTERS}==;Suffix=y", f"Name=x;AccountKey={REDACTED};Suffix=y"),
        (f"https://a.b/c?sv=1&sig={LETTERS}%3D&x=1", f"https://a.b/c?sv=1&sig={REDACTED}&x=1"),
        (f"https://hooks.slack.com/services/T0/B0/{LETTERS}", f"https://hooks.slack.com/services/{REDACTED}"),
        ("PGPASSWORD=swordfish psql", f"PGPASSWORD={REDACTED} psql"),
        ("password: sword4fish", f"password: {REDACTED}"),
        (
            "postgresql://db/x?user=ann&password=swordfish&a=1",
            f"postgresql://db/x?user=ann&password={REDACTED}&a=1",
        ),
        ("MY_TOKEN=abcdefgh1\nA=1", f"MY_TOKEN={REDACTED}\nA=1"),
        ("postgresql://ann:p@ss@db.example/x", f"postgresql://ann:{REDACTED}@db.example/x"),
    ],
)
def test_what_names_a_secret_stays(text, expected):
    """Headers, parameters and URLs keep their names."""
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "secret", [*SECRETS, f"api_key={LETTERS}", "://ann:swordfish@db"], ids=lambda s: s[:12]
)
@pytest.mark.parametrize("form", ["\\u{:04x}", "\\\\u{:04X}", "%{:02X}"])
def test_escaped(secret, form):
    """A key that is spelled in escapes, whole or in part, is one all the same."""
    for cut in (0, 2, 7):
        escaped = secret[:cut] + "".join(form.format(ord(letter)) for letter in secret[cut:])
        clean = Redactor().text(f'say "{escaped}" twice')
        assert REDACTED in clean
        assert escaped[-12:] not in clean
        assert secret[-6:] not in clean.replace("@db", "")


@pytest.mark.parametrize("text", ["100% of \\u0041 and %20 or \\\\u00e9", "\\" * 20 + "u0041"])
def test_escapes_without_a_secret_stay(text):
    """They are only undone to find a key."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize("end", ["-----END RSA PRIVATE KEY-----\nbye", ""], ids=["whole", "cut off"])
def test_private_keys(end):
    """A private key goes, also one whose end is missing."""
    text = Redactor().text(f"hi\n-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-1\nMIIE{LETTERS}==\n{end}")
    assert LETTERS not in text
    assert "MIIE" not in text
    assert text.endswith(end)


@pytest.mark.parametrize(
    "text",
    [
        "a risk-free, task-based approach to low-risk-high-reward",
        "The authorization: you need one. Bearer of good news. Asia, client, access.",
        "see http://example.com:8080/a@b and mail ann@example.com",
        "The password: forgotten by many. Your password is asked for; pwd: no, password = none",
        "The token count is token=12; output_tokens: 345",
        "sha256:1f0c1f0c1f0c1f0c",
        "",
    ],
)
def test_prose_stays(text):
    """Text without secrets is left as it is."""
    assert Redactor().text(text) == text


def test_values():
    """In nested data: texts everywhere, keys too, and whatever stands under a secret name."""
    assert Redactor().json(
        {"a": [f"x {SECRETS[0]}"], SECRETS[1]: 1, "headers": {"X-API-Key": "k", "apiKey": ["k1", "k2"]}}
    ) == {"a": [f"x {REDACTED}"], REDACTED: 1, "headers": {"X-API-Key": REDACTED, "apiKey": [REDACTED] * 2}}
    for name in ("password", "db_password", "clientSecret", "Authorization", "access_token"):
        assert Redactor().json({name: "x"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "value",
    [
        {"input_tokens": 12, "output_tokens": 3, "token": 7, "tokens": ["a", "b"]},
        {"token": "hello", "total_tokens": "12", "secret": True, "password": None, "api_key": ""},
        {"key": "TC001", "secretary": "Ann", "password_resets": "3"},
    ],
)
def test_numbers_and_words_stay(value):
    """Counts of tokens are metrics, and a word under ``token`` is a word."""
    assert Redactor().json(value) == value


def test_own_patterns():
    """The user's patterns work beside the built-in ones."""
    assert Redactor([r"CUST-\d+"]).text(f"CUST-42 {SECRETS[0]}") == f"{REDACTED} {REDACTED}"


@pytest.mark.parametrize("place", range(170, 200))
def test_the_beginning_holds_no_half_of_a_secret(place):
    """What is cut before it is redacted must not keep the part of a key that no pattern knows."""
    for secret in SECRETS:
        cut = beginning(f"{'long ' * (place // 5)}{secret} and so on, and on, and on", 200)
        assert len(cut) <= 200
        assert secret[:7] not in Redactor().text(cut)


def test_the_beginning_of_a_text():
    """A short text stays, a long one ends at a word, and one without spaces between its signs anywhere."""
    assert beginning(" as it is ", 9) == "as it is"
    assert beginning("some more words", 8) == "some…"
    assert beginning("答" * 300, 200) == "答" * 199 + "…"


@pytest.mark.parametrize("pattern", ["(", "x*"])
def test_bad_patterns(pattern):
    """One that doesn't compile, or matches everywhere, is named."""
    with pytest.raises(SettingsError) as caught:
        Redactor([pattern])
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize("before", ["", "bearer", "://u:", "eyJ", "-----BEGIN PRIVATE KEY-----"])
def test_linear_time(before):
    """A megabyte of what a pattern could start with takes no time that anybody notices; this test ends."""
    for piece in (
        "a",
        "@",
        " ",
        "-",
        "sk-",
        "eyJ.",
        "://a:",
        "authorization:",
        "api_key=",
        "_KEY",
        "password=",
        "password:a",
        "\\",
        "\\u00",
        "%",
        "SG.a",
    ):
        Redactor().text(before + piece * (1_000_000 // len(piece)))
