"""People with browsers: a session cookie or a JWT instead of a token.

    Authorization: Bearer <JWT>       ─▶ member      the caller says it on purpose
    cookie                            ─▶ session  ┐  a browser sends these by itself, also when a strange page makes
    Cf-Access-Jwt-Assertion: <JWT>    ─▶ member   ┘  it ask: writes must prove that they come from our own pages

The first that is there counts; a cookie whose session has ended is as good as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

from raingauge.auth.credential import Credential
from raingauge.auth.jwts import Issuer
from raingauge.errors import Reason, Refused
from raingauge.settings import PUBLIC_URL, Settings

COOKIE: Final = "raingauge_session"
ASSERTION_HEADER: Final = "cf-access-jwt-assertion"
CSRF_HEADER: Final = "x-raingauge-csrf"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Directory(Protocol):
    """Sessions and members in memory."""

    def find_session(self, cookie: str) -> Credential | None: ...
    def find_member(self, email: str) -> Credential | None: ...


class Visitors:
    """Finds out who a visitor is. Header names are lower case."""

    def __init__(self, directory: Directory, settings: Settings) -> None:
        """Raises SettingError when the issuer of JWTs is set up by halves."""
        self._directory = directory
        self._public = urlsplit(settings[PUBLIC_URL])
        self._issuer = Issuer.configured(settings)

    async def identify(
        self, jwt: str | None, method: str, scheme: str, headers: Mapping[str, str]
    ) -> Credential | None:
        """The caller, or None when nothing says who it is. `jwt` is what the Authorization header carries.

        Raises Refused(UNAUTHORIZED, NOT_A_MEMBER), and Refused(CROSS_SITE) for a write that one of our own pages
        would not make.
        """
        if jwt is not None:
            return await self._member(jwt)
        cookie = cookie_value(headers.get("cookie", ""), self.cookie_name(scheme))
        credential = self._directory.find_session(cookie) if cookie else None
        if credential is None and self._issuer and headers.get(ASSERTION_HEADER):
            credential = await self._member(headers[ASSERTION_HEADER])
        if credential and method not in SAFE_METHODS:
            if not headers.get(CSRF_HEADER):
                raise Refused(Reason.CROSS_SITE, "Writes of a browser need the header X-Raingauge-CSRF: 1.")
            self.refuse_cross_site(scheme, headers)
        return credential

    def refuse_cross_site(self, scheme: str, headers: Mapping[str, str]) -> None:
        """Raises Refused(CROSS_SITE) when a browser says that another site's page makes the request."""
        # https://www.w3.org/TR/fetch-metadata/: browsers send it where the connection is secure, and pages cannot.
        site = headers.get("sec-fetch-site")
        if site is None:
            origin = headers.get("origin")
            own = (f"{scheme}://{headers.get('host', '')}", f"{self._public.scheme}://{self._public.netloc}")
            site = "same-origin" if origin is None or origin in own else "cross-site"
        if site not in ("same-origin", "none"):
            raise Refused(Reason.CROSS_SITE, "Another site's page must not write here.")

    def secure(self, scheme: str) -> bool:
        """Whether cookies may only travel over TLS."""
        return "https" in (scheme, self._public.scheme)

    def cookie_name(self, scheme: str) -> str:
        """With the prefix by which browsers keep a secure cookie from being set by other hosts of the domain."""
        return f"__Host-{COOKIE}" if self.secure(scheme) else COOKIE

    async def _member(self, jwt: str) -> Credential:
        if self._issuer is None:
            raise Refused(Reason.UNAUTHORIZED, "This server accepts no JWTs.")
        member = self._directory.find_member(await self._issuer.email_of(jwt))
        if member is None:
            raise Refused(Reason.NOT_A_MEMBER, "This e-mail address is not a member of any customer; ask an admin.")
        return member


def cookie_value(header: str, name: str) -> str:
    """The value of a cookie (RFC 6265 section 4.2), or the empty string."""
    for pair in header.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""
