"""Signing in and out, and who one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection as SqlConnection

from raingauge.auth.credential import Credential, Via
from raingauge.auth.directory import Directory
from raingauge.auth.visitors import Visitors
from raingauge.contract import Connection, Scope
from raingauge.control import links, sessions, tokens
from raingauge.control.database import Database
from raingauge.control.sessions import Owner
from raingauge.edge.limits import Rate
from raingauge.errors import Reason, Refused
from raingauge.settings import PUBLIC_URL, SESSION_DAYS, SESSION_IDLE_DAYS, Settings
from raingauge.web import pages
from raingauge.web.shape import credential_of

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the account and settings routes stand on; built once by the composition root."""

    settings: Settings
    database: Database
    directory: Directory
    visitors: Visitors
    connections: Mapping[str, Connection]
    failures: Rate
    clock: Callable[[], datetime]

    def base_url(self, request: AnyRequest) -> str:
        """The address by which the caller reaches this server, without a slash at the end."""
        return self.settings[PUBLIC_URL].rstrip("/") or f"{request.scope['scheme']}://{request.headers.get('host', '')}"

    @contextmanager
    def change(self) -> Iterator[SqlConnection]:
        """A transaction whose outcome this server knows when it ends; others follow within a second."""
        with self.database.write() as db:
            yield db
        self.directory.refresh()


class Me(msgspec.Struct, frozen=True):
    """The caller. `operator` says that it may also look after other customers."""

    customer: str
    customer_name: str
    tier: str
    email: str | None
    role: Literal["admin", "member", "token"]
    scopes: list[Scope]
    via: Via
    operator: bool


class PastedToken(msgspec.Struct, frozen=True):
    token: str


@get("/api/me", summary="Who am I", tags=["account"], sync_to_thread=False)
def me(request: AnyRequest, accounts: NamedDependency[Accounts]) -> Me:
    """Who the caller is, for which customer, and with which rights."""
    return _described(accounts, credential_of(request))


@get("/signin/{code:str}", include_in_schema=False, sync_to_thread=True)
def use_link(request: AnyRequest, code: FromPath[str], accounts: NamedDependency[Accounts]) -> Response[bytes]:
    """Sign in with a one-time link."""
    with accounts.change() as db:
        owner = links.use(db, code, now=accounts.clock())
        cookie = _session(accounts, db, owner) if owner else ""
    # The token that a link was made for may have been revoked since.
    if accounts.directory.find_session(cookie) is None:
        return Response(pages.USED_LINK, status_code=410, media_type=MediaType.HTML, headers=pages.HEADERS)
    return Response(b"", status_code=303, headers={"Location": "/"}, cookies=[_cookie(accounts, request, cookie)])


@post("/api/session", summary="Sign in with a token", tags=["account"], sync_to_thread=True)
def sign_in(request: AnyRequest, data: JSONBody[PastedToken], accounts: NamedDependency[Accounts]) -> Response[Me]:
    """Paste a token with the scope `read` once; the session ends when the token does."""
    _refuse_cross_site(accounts, request)
    credential = accounts.directory.find(data.token.strip())
    if credential is None:
        if wait_seconds := accounts.failures.take(request.scope["state"]["client_key"]):
            raise Refused(Reason.RATE_LIMITED, "Too many refused credentials.", retry_after_seconds=wait_seconds)
        raise Refused(Reason.UNAUTHORIZED, "This token is unknown, revoked or expired.")
    if not credential.may(Scope.READ):
        raise Refused(Reason.FORBIDDEN, "This token lacks the scope read.")
    with accounts.change() as db:
        cookie = _session(accounts, db, Owner(token_id=credential.token_id))
    found = accounts.directory.find_session(cookie)
    if found is None:
        raise Refused(Reason.UNAUTHORIZED, "This token is unknown, revoked or expired.")
    return Response(_described(accounts, found), cookies=[_cookie(accounts, request, cookie)])


@delete("/api/session", summary="Sign out", tags=["account"], status_code=204, sync_to_thread=True)
def sign_out(request: AnyRequest, accounts: NamedDependency[Accounts]) -> Response[None]:
    """End the session of this browser. Without one, nothing happens."""
    _refuse_cross_site(accounts, request)
    credential: Credential | None = request.scope["state"].get("credential")
    if credential and credential.session:
        with accounts.change() as db:
            sessions.end(db, credential.session)
    return Response(None, cookies=[_cookie(accounts, request, "")])


def router() -> Router:
    """These routes. In a router, because litestar wraps synchronous handlers that share a path twice without one."""
    return Router("/", route_handlers=[me, use_link, sign_in, sign_out])


def _described(accounts: Accounts, credential: Credential) -> Me:
    customer = accounts.directory.customer(credential.customer)
    return Me(
        customer=credential.customer,
        customer_name=customer.name if customer else "",
        tier=credential.tier,
        email=credential.email or None,
        role="token" if not credential.email else "admin" if credential.may(Scope.ADMIN) else "member",
        scopes=tokens.in_order(credential.scopes),
        via=credential.via,
        operator=accounts.directory.operates(credential),
    )


def _refuse_cross_site(accounts: Accounts, request: AnyRequest) -> None:
    """For routes that need no credential. Raises Refused(CROSS_SITE)."""
    refusal = request.scope["state"].get("refusal")
    if refusal is not None and refusal.reason is Reason.CROSS_SITE:
        raise refusal
    accounts.visitors.refuse_cross_site(request.scope["scheme"], request.headers)


def _session(accounts: Accounts, db: SqlConnection, owner: Owner) -> str:
    return sessions.start(
        db,
        owner,
        lifetime=timedelta(days=accounts.settings[SESSION_DAYS]),
        idle=timedelta(days=accounts.settings[SESSION_IDLE_DAYS]),
        now=accounts.clock(),
    )


def _cookie(accounts: Accounts, request: AnyRequest, value: str) -> Cookie:
    """The session's cookie; an empty value takes it away.

    Lax rather than Strict: who comes from a link in a chat would otherwise arrive signed out. Writes are protected
    by more than that, see `raingauge.auth.visitors`.
    """
    scheme = request.scope["scheme"]
    return Cookie(
        key=accounts.visitors.cookie_name(scheme),
        value=value,
        path="/",
        max_age=int(accounts.settings[SESSION_DAYS] * 86_400) if value else 0,
        httponly=True,
        secure=accounts.visitors.secure(scheme),
        samesite="lax",
    )
