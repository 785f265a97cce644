"""JWTs of Cloudflare Access or another OpenID Connect provider: whose e-mail address do they prove?

Nothing in a token is believed before its signature is checked, except which key to check it with. What a JWT must be
follows RFC 8725 (best current practices): the algorithm from our list, not from the token; issuer, audience and
expiry always.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    PyJWTError,
)

from raingauge.auth.keys import SigningKeys
from raingauge.control.members import normalised
from raingauge.errors import Reason, Refused, SettingError
from raingauge.settings import ACCESS_AUDIENCE, ACCESS_ISSUER, ACCESS_JWKS_URL, Settings

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Asymmetric ones only: with a shared secret, whoever checks a token could also make one."""

LEEWAY_SECONDS: Final = 60
"""How far the issuer's clock and ours may differ."""

ACCESS_DOMAIN: Final = ".cloudflareaccess.com"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Issuer:
    """The one issuer whose JWTs are believed."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` says how old the keys are. Raises SettingError when only some of the three settings are given, or the keys' address is unsafe."""
        self._issuer = settings[ACCESS_ISSUER]
        self._audience = settings[ACCESS_AUDIENCE]
        for knob in (ACCESS_ISSUER, ACCESS_AUDIENCE, ACCESS_JWKS_URL):
            if not settings[knob]:
                raise SettingError(f"{knob.env}: is needed too, so that JWTs can be checked")
        url = urlsplit(settings[ACCESS_JWKS_URL])
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
            raise SettingError(f"{ACCESS_JWKS_URL.env}={settings[ACCESS_JWKS_URL]!r}: must be an https:// address")
        # Access only knows addresses that the person's identity provider has proved, and has no claim that says so.
        self._proves_emails = (urlsplit(self._issuer).hostname or "").endswith(ACCESS_DOMAIN)
        self._keys = SigningKeys(settings[ACCESS_JWKS_URL], clock)

    @classmethod
    def configured(cls, settings: Settings) -> Issuer | None:
        """The issuer that the settings name, or None when they name none. Raises SettingError."""
        knobs = (ACCESS_ISSUER, ACCESS_AUDIENCE, ACCESS_JWKS_URL)
        return cls(settings) if any(settings[knob] for knob in knobs) else None

    async def email_of(self, token: str) -> str:
        """The normalised e-mail address that the token proves. Raises Refused(UNAUTHORIZED)."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.find(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise _refused("is signed with a key that the issuer does not publish")
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (PyJWTError, RecursionError, OverflowError) as error:
            raise _refused(_COMPLAINTS.get(type(error), "is not valid")) from None
        return self._email(claims)

    def _email(self, claims: dict[str, Any]) -> str:
        # Some providers write the boolean as text.
        verified = claims.get("email_verified", self._proves_emails) in (True, "true")
        email = claims.get("email")
        if not isinstance(email, str) or not verified:
            raise _refused("does not prove an e-mail address")
        try:
            return normalised(email)
        except ValueError:
            raise _refused("does not prove an e-mail address") from None


def _refused(complaint: str) -> Refused:
    return Refused(Reason.UNAUTHORIZED, f"The JWT {complaint}.")


_COMPLAINTS: Final[dict[type[Exception], str]] = {
    ExpiredSignatureError: "has expired",
    ImmatureSignatureError: "is not valid yet",
    InvalidAudienceError: "is for another audience",
    InvalidIssuerError: "comes from another issuer",
}
