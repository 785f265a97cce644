"""JWTs of an identity provider, with keys fetched from a real server."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from raingauge.auth.jwts import LEEWAY_SECONDS, Issuer
from raingauge.auth.keys import KEEP_SECONDS, PAUSE_SECONDS, RENEW_SECONDS
from raingauge.control.members import Role
from raingauge.errors import Reason, Refused, SettingError
from raingauge.settings import Settings

Place = Any
Provider = Any
ASSERTION = "Cf-Access-Jwt-Assertion"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(provider: Provider, clock: Clock) -> Issuer:
    return Issuer(Settings(provider.settings()), clock)


def told(issuer: Issuer, token: str) -> str:
    """The e-mail address that a token proves, or why it proves none."""
    try:
        return asyncio.run(issuer.email_of(token))
    except Refused as refusal:
        return refusal.detail if refusal.reason is Reason.UNAUTHORIZED else str(refusal)


def unpadded(data: object) -> str:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


# ---- what is believed --------------------------------------------------------------------------------------


def test_a_good_token_proves_its_address(issuer: Issuer, provider: Provider) -> None:
    """Signature, issuer, audience and time are right; the address is compared in small letters."""
    assert "ada@example.com" == told(issuer, provider.sign(email="Ada@Example.com"))


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("RS512", lambda: rsa.generate_private_key(65537, 2048)),
        ("PS256", lambda: rsa.generate_private_key(65537, 2048)),
        ("ES256", lambda: ec.generate_private_key(ec.SECP256R1())),
        ("ES384", lambda: ec.generate_private_key(ec.SECP384R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate),
    ],
)
def test_keys_of_every_asymmetric_kind_work(
    provider: Provider, clock: Clock, algorithm: str, make: Callable[[], Any]
) -> None:
    """Providers choose their algorithm."""
    key = make()
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    provider.publish({**jwk, "kid": "mine", "alg": algorithm})
    issuer = Issuer(Settings(provider.settings()), clock)
    assert "ada@example.com" == told(issuer, provider.sign(key, key_id="mine", algorithm=algorithm))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"iss": "https://evil.example.com"}, "The JWT comes from another issuer."),
        ({"iss": "https://login.example.com/"}, "The JWT comes from another issuer."),
        ({"iss": None}, "The JWT is not valid."),
        ({"aud": "another application"}, "The JWT is for another audience."),
        ({"aud": []}, "The JWT is not valid."),
        ({"aud": None}, "The JWT is not valid."),
        ({"exp": 1}, "The JWT has expired."),
        ({"exp": None}, "The JWT is not valid."),
        ({"exp": "soon"}, "The JWT is not valid."),
        ({"exp": float("inf")}, "The JWT is not valid."),
        ({"nbf": 9_999_999_999}, "The JWT is not valid yet."),
        ({"iat": 9_999_999_999}, "The JWT is not valid yet."),
        ({"email": None}, "The JWT does not prove an e-mail address."),
        ({"email": ["ada@example.com"]}, "The JWT does not prove an e-mail address."),
        ({"email": "nobody"}, "The JWT does not prove an e-mail address."),
        ({"email_verified": False}, "The JWT does not prove an e-mail address."),
        ({"email_verified": None}, "The JWT does not prove an e-mail address."),
        ({"email_verified": "false"}, "The JWT does not prove an e-mail address."),
    ],
)
def test_a_token_that_is_wrong_in_one_thing_proves_nothing(
    issuer: Issuer, provider: Provider, change: dict[str, Any], complaint: str
) -> None:
    """Each check stands on its own, and the answer says which one failed."""
    assert complaint == told(issuer, provider.sign(**change))


def test_clocks_may_differ_a_little(issuer: Issuer, provider: Provider) -> None:
    """A minute is forgiven, two are not."""
    now = int(time.time())
    assert "ada@example.com" == told(issuer, provider.sign(exp=now - LEEWAY_SECONDS // 2))
    assert "ada@example.com" == told(issuer, provider.sign(nbf=now + LEEWAY_SECONDS // 2))
    assert "The JWT has expired." == told(issuer, provider.sign(exp=now - 2 * LEEWAY_SECONDS))
    assert "The JWT is not valid yet." == told(issuer, provider.sign(nbf=now + 2 * LEEWAY_SECONDS))


def test_access_need_not_say_that_it_checked_the_address(provider: Provider, clock: Clock) -> None:
    """Cloudflare Access has no such claim; where it says no, no is believed all the same."""
    provider.issuer = "https://team.cloudflareaccess.com"
    issuer = Issuer(Settings(provider.settings()), clock)
    assert "ada@example.com" == told(issuer, provider.sign(email_verified=None))
    assert "The JWT does not prove an e-mail address." == told(issuer, provider.sign(email_verified=False))


def forged(provider: Provider, published: rsa.RSAPrivateKey) -> dict[str, str]:
    """Tokens that someone without the provider's key can make."""
    good = provider.sign()
    head, body, signature = good.split(".")
    public = published.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    from hashlib import sha256
    from hmac import digest

    def hs256(secret: bytes) -> str:
        start = f"{unpadded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{body}"
        return f"{start}.{unpadded(digest(secret, start.encode(), sha256))}"

    other_claims = unpadded(provider.claims(email="boss@example.com"))
    return {
        "no algorithm": f"{unpadded({'alg': 'none', 'kid': 'first'})}.{body}.",
        "no algorithm, otherwise written": f"{unpadded({'alg': 'nOnE', 'kid': 'first'})}.{body}.",
        "public key as secret": hs256(public),
        "empty secret": hs256(b""),
        "other claims": f"{head}.{other_claims}.{signature}",
        "no signature": f"{head}.{body}.",
        "key of the token's own": provider.sign(rsa.generate_private_key(65537, 2048)),
        "key sent along": jwt.encode(
            provider.claims(), rsa.generate_private_key(65537, 2048), "RS256", {"kid": "first", "jku": provider.url}
        ),
        "unknown critical extension": jwt.encode(
            provider.claims(), published, "RS256", {"kid": "first", "crit": ["x"], "x": 1}
        ),
        "no key id": jwt.encode(provider.claims(), published, "RS256"),
        "two dots only": "..",
        "not base64": "é.é.é",
        "deep header": f"{unpadded(b'[' * 40_000)}.{body}.{signature}",
        "header is a list": f"{unpadded([])}.{body}.{signature}",
        "key id is a number": f"{unpadded({'alg': 'RS256', 'kid': 7})}.{body}.{signature}",
    }


def test_forged_tokens_prove_nothing(issuer: Issuer, provider: Provider) -> None:
    """Nobody gets in without a signature by a published key, whatever stands in the token's header."""
    from conftest import rsa_key  # type: ignore[import-not-found]

    for how, token in forged(provider, rsa_key(0)).items():
        assert told(issuer, token).startswith("The JWT "), how


# ---- where the keys come from ------------------------------------------------------------------------------


def test_rotated_keys_are_fetched_when_they_are_first_met(issuer: Issuer, provider: Provider, clock: Clock) -> None:
    """A token signed with a new key works at once; the old key stops working as soon as the set is renewed."""
    from conftest import public_jwk, rsa_key

    old, new = provider.sign(), provider.sign(rsa_key(1), key_id="second")
    assert "ada@example.com" == told(issuer, old)
    provider.publish(public_jwk(rsa_key(1), "second"))
    clock.now += PAUSE_SECONDS
    assert "ada@example.com" == told(issuer, new)
    clock.now += PAUSE_SECONDS
    assert told(issuer, old).startswith("The JWT is signed with a key")


def test_made_up_key_ids_cause_no_traffic(issuer: Issuer, provider: Provider, clock: Clock) -> None:
    """However many tokens with unknown keys come, the provider is asked at most once in a while."""
    assert "ada@example.com" == told(issuer, provider.sign())
    asked = provider.asked
    clock.now += PAUSE_SECONDS
    for number in range(50):
        assert told(issuer, provider.sign(key_id=f"made-up-{number}")).startswith("The JWT is signed with a key")
    assert asked + 1 == provider.asked


def test_an_outage_locks_nobody_out(issuer: Issuer, provider: Provider, clock: Clock) -> None:
    """The last good keys work for a day; then they are not trusted any more, until the provider answers again."""
    token = provider.sign(exp=9_999_999_999)
    assert "ada@example.com" == told(issuer, token)
    provider.status = 503
    for _ in range(3):
        clock.now += RENEW_SECONDS + PAUSE_SECONDS
        assert "ada@example.com" == told(issuer, token)
    clock.now += KEEP_SECONDS
    assert told(issuer, token).startswith("The JWT is signed with a key")
    provider.status = 200
    clock.now += PAUSE_SECONDS
    assert "ada@example.com" == told(issuer, token)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"keys": []}', b'{"keys": 7}', b"x" * 2_000_000, b"[" * 100_000])
def test_a_provider_that_answers_nonsense_changes_nothing(
    issuer: Issuer, provider: Provider, clock: Clock, body: bytes
) -> None:
    """A captive portal or a broken deployment must not throw the good keys away."""
    assert "ada@example.com" == told(issuer, provider.sign())
    provider.body = body
    clock.now += PAUSE_SECONDS
    assert told(issuer, provider.sign(key_id="unknown")).startswith("The JWT is signed with a key")
    assert "ada@example.com" == told(issuer, provider.sign())


def test_keys_that_are_not_for_signing_are_left_out(provider: Provider, clock: Clock) -> None:
    """Neither a key for encryption nor a shared secret makes a signature good."""
    from conftest import public_jwk, rsa_key

    secret = base64.urlsafe_b64encode(b"s" * 32).decode()
    provider.publish(
        {"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"},
        public_jwk(rsa_key(0), "first") | {"use": "enc"},
        public_jwk(rsa_key(1), "second"),
    )
    issuer = Issuer(Settings(provider.settings()), clock)
    assert told(issuer, provider.sign()).startswith("The JWT is signed with a key")
    assert "The JWT is not valid." == told(issuer, provider.sign(b"s" * 32, key_id="shared", algorithm="HS256"))
    assert "ada@example.com" == told(issuer, provider.sign(rsa_key(1), key_id="second"))


@pytest.mark.parametrize("missing", ["access_issuer", "access_audience", "access_jwks_url"])
def test_a_half_set_up_issuer_stops_the_start(provider: Provider, missing: str) -> None:
    """Without an audience, a token for any other application would be good here."""
    with pytest.raises(SettingError, match=f"RAINGAUGE_{missing.upper()}"):
        Issuer.configured(Settings(provider.settings(**{missing: ""})))


@pytest.mark.parametrize("url", ["http://login.example.com/certs", "file:///etc/keys", "ftp://127.0.0.1/x", "certs"])
def test_keys_are_fetched_over_tls(provider: Provider, url: str) -> None:
    """Who could change the keys on their way could sign in as anybody."""
    with pytest.raises(SettingError, match="https"):
        Issuer.configured(Settings(provider.settings(access_jwks_url=url)))


# ---- members behind tokens ---------------------------------------------------------------------------------


def outcome(answer: Any) -> tuple[int, str]:
    """Status and error code."""
    return answer.status_code, answer.json().get("error", "") if answer.content else ""


@pytest.mark.parametrize("role", [*Role])
def test_the_address_decides_customer_and_role(secured: Place, trusted: Provider, role: Role) -> None:
    """The same person through Access and with a bearer token."""
    secured.member("ada@example.com", role)
    token = trusted.sign()
    answers = [
        secured.browser(**headers).get("/api/me").json()
        for headers in ({ASSERTION: token}, {"Authorization": f"Bearer {token}"})
    ]
    assert answers[0] == answers[1]
    assert (secured.customer, "ada@example.com", str(role), "oidc") == tuple(
        answers[0][name] for name in ("customer", "email", "role", "via")
    )
    expected = 200 if role is Role.ADMIN else 403
    assert expected == secured.browser(**{ASSERTION: token}).get("/api/members").status_code


def test_strangers_are_told_what_they_lack(secured: Place, trusted: Provider) -> None:
    """Proved, but nobody's member: a code of its own; public pages still open."""
    stranger = secured.browser(Authorization=f"Bearer {trusted.sign(email='stranger@example.com')}")
    assert (403, "not_a_member") == outcome(stranger.get("/api/me"))
    assert 200 == stranger.get("/health").status_code


def test_bad_bearer_jwts_are_guesses(open_place: Callable[..., Place], provider: Provider) -> None:
    """They are limited like any other refused credential; an unknown person is none."""
    place = open_place(**provider.settings(failed_auth_per_ip=3))
    stranger = place.browser(Authorization=f"Bearer {provider.sign(email='stranger@example.com')}")
    assert [403] * 5 == [stranger.get("/api/me").status_code for _ in range(5)]
    visitor = place.browser(Authorization=f"Bearer {provider.sign(exp=1)}")
    assert [401, 401, 401, 429] == [visitor.get("/api/me").status_code for _ in range(4)]


def test_access_is_protected_like_a_cookie(secured: Place, trusted: Provider) -> None:
    """Access turns a cookie of its own into the header, so strange pages can cause it; a bearer token they cannot."""
    secured.member("ada@example.com", Role.ADMIN)
    token = trusted.sign()
    through_access = secured.browser(**{ASSERTION: token})
    assert (403, "cross_site_refused") == outcome(through_access.post("/api/tokens", {"scopes": ["read"]}))
    headers = {"X-Raingauge-CSRF": "1"}
    assert 201 == through_access.post("/api/tokens", {"scopes": ["read"]}, headers=headers).status_code
    bearer = secured.browser(Authorization=f"Bearer {token}")
    assert 201 == bearer.post("/api/tokens", {"scopes": ["read"]}).status_code


def test_telemetry_is_not_sent_with_jwts(secured: Place, trusted: Provider) -> None:
    """Ingest takes tokens only."""
    secured.member("ada@example.com", Role.ADMIN)
    visitor = secured.browser(Authorization=f"Bearer {trusted.sign()}")
    assert 401 == visitor.post("/v1/traces", {}).status_code


def test_without_an_issuer_no_jwt_is_believed(open_place: Callable[..., Place], provider: Provider) -> None:
    """Not even one for the right person; the Access header is then anybody's and means nothing."""
    place = open_place()
    place.member("ada@example.com", Role.ADMIN)
    token = provider.sign()
    assert 401 == place.browser(Authorization=f"Bearer {token}").get("/api/me").status_code
    assert 401 == place.browser(**{ASSERTION: token}).get("/api/me").status_code
    assert 0 == provider.asked
