"""What admins manage on the settings page: tokens, members, connections and customers.

An admin is a caller with the scope `admin`. It manages its own customer. Admins of the installation's first customer,
the operators, also see and add customers; they cannot reach into one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import Router, delete, get, post, put
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection as SqlConnection

from raingauge.contract import Scope
from raingauge.control import customers, links, members, tokens
from raingauge.control.customers import Customer, Tier
from raingauge.control.members import Member, Role
from raingauge.control.sessions import Owner
from raingauge.control.tokens import Issued, Token
from raingauge.errors import Conflict, NotFound, Reason, Refused
from raingauge.settings import SIGNIN_LINK_SECONDS
from raingauge.web.account import Accounts, AnyRequest
from raingauge.web.shape import credential_of
from raingauge.web.snippets import Part, parts

GRACE_MAX_SECONDS: Final = 90 * 86_400

Text = Annotated[str, msgspec.Meta(max_length=200)]
Email = Annotated[str, msgspec.Meta(max_length=members.EMAIL_MAX_CHARS)]


class TokenShown(msgspec.Struct, frozen=True):
    """A token without its text. `state` is `valid`, `expired` or `revoked`; `replaced_by` its successor's id."""

    token_id: str
    label: str
    scopes: list[Scope]
    state: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    replaced_by: str | None


class TokenIssued(msgspec.Struct, frozen=True):
    """A new token with its text, which is shown this once."""

    token: str
    token_id: str
    label: str
    scopes: list[Scope]
    expires_at: datetime | None


class NewToken(msgspec.Struct, frozen=True):
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)]
    label: Text = ""
    expires_days: Annotated[float, msgspec.Meta(gt=0, le=36_500)] | None = None


class Rotation(msgspec.Struct, frozen=True):
    """How long the old token stays valid."""

    grace_seconds: Annotated[int, msgspec.Meta(ge=0, le=GRACE_MAX_SECONDS)] = 3_600


class MemberShown(msgspec.Struct, frozen=True):
    email: str
    role: Role
    created_at: datetime


class NewMember(msgspec.Struct, frozen=True):
    email: Email
    role: Role = Role.MEMBER


class NewRole(msgspec.Struct, frozen=True):
    role: Role


class SigninLink(msgspec.Struct, frozen=True):
    """A link that signs a member in once, for the admin to pass on."""

    url: str
    expires_at: datetime


class ConnectionShown(msgspec.Struct, frozen=True):
    """A client that can be connected. `form` is the syntax of its snippet, `scope` what its token may do.

    `family` names the client with which it is shown, or is empty.
    """

    client: str
    title: str
    form: str
    scope: Scope
    family: str


class Connected(msgspec.Struct, frozen=True):
    """Text to paste into a client. It holds a new token, which is shown this once.

    `parts` say the same for each shell, and for the clients that are shown with this one.
    """

    client: str
    text: str
    token_id: str
    parts: list[Part]


class CustomerShown(msgspec.Struct, frozen=True):
    customer_id: str
    name: str
    tier: str
    created_at: datetime
    last_seen_at: datetime | None


class NewCustomer(msgspec.Struct, frozen=True):
    """`admin_email` becomes its first member."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    admin_email: Email
    tier: Tier | None = None


class CustomerAdded(msgspec.Struct, frozen=True):
    customer: CustomerShown
    link: SigninLink


def admins_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Raises Refused before anything of the request is looked at."""
    if not credential_of(connection).may(Scope.ADMIN):
        raise Refused(Reason.FORBIDDEN, "Only an admin may do this.")


# ---- tokens ------------------------------------------------------------------------------------------------


@get("/tokens", summary="List tokens", sync_to_thread=True)
def list_tokens(request: AnyRequest, accounts: NamedDependency[Accounts]) -> list[TokenShown]:
    """The tokens of the caller's customer, oldest first, also those that have ended."""
    with accounts.database.read() as db:
        return [_token(accounts, one) for one in tokens.listed(db, credential_of(request).customer)]


@post("/tokens", summary="Issue a token", sync_to_thread=True)
def issue_token(request: AnyRequest, data: JSONBody[NewToken], accounts: NamedDependency[Accounts]) -> TokenIssued:
    """A new token. Its text cannot be shown again."""
    now = accounts.clock()
    with accounts.change() as db:
        return _issued(
            tokens.issue(
                db,
                credential_of(request).customer,
                label=_printable("label", data.label),
                scopes=data.scopes,
                expires_at=now + timedelta(days=data.expires_days) if data.expires_days else None,
                now=now,
            )
        )


@post("/tokens/{token_id:str}/rotate", summary="Rotate a token", sync_to_thread=True)
def rotate_token(
    request: AnyRequest, token_id: FromPath[str], data: JSONBody[Rotation], accounts: NamedDependency[Accounts]
) -> TokenIssued:
    """A new token in place of an old one, which ends after the grace."""
    with accounts.change() as db:
        _own_token(db, request, token_id)
        try:
            grace = timedelta(seconds=data.grace_seconds)
            return _issued(tokens.rotate(db, token_id, grace=grace, now=accounts.clock()))
        except NotFound as ended:
            raise Conflict(str(ended)) from None


@post("/tokens/{token_id:str}/revoke", summary="Revoke a token", status_code=200, sync_to_thread=True)
def revoke_token(request: AnyRequest, token_id: FromPath[str], accounts: NamedDependency[Accounts]) -> TokenShown:
    """End a token at once, and the sessions that were started with it."""
    with accounts.change() as db:
        _own_token(db, request, token_id)
        return _token(accounts, tokens.revoke(db, token_id, now=accounts.clock()))


# ---- members -----------------------------------------------------------------------------------------------


@get("/members", summary="List members", sync_to_thread=True)
def list_members(request: AnyRequest, accounts: NamedDependency[Accounts]) -> list[MemberShown]:
    """Who may sign in for the caller's customer."""
    with accounts.database.read() as db:
        return [_member(one) for one in members.listed(db, credential_of(request).customer)]


@post("/members", summary="Add a member", sync_to_thread=True)
def add_member(request: AnyRequest, data: JSONBody[NewMember], accounts: NamedDependency[Accounts]) -> MemberShown:
    """Let somebody sign in, through Access or OpenID Connect where that is set up, else with a sign-in link."""
    with accounts.change() as db:
        return _member(_added(db, accounts, credential_of(request).customer, data.email, data.role))


@put("/members/{email:str}", summary="Change a member's role", sync_to_thread=True)
def change_role(
    request: AnyRequest, email: FromPath[str], data: JSONBody[NewRole], accounts: NamedDependency[Accounts]
) -> MemberShown:
    """Takes effect at once. The last admin stays one."""
    with accounts.change() as db:
        return _member(members.set_role(db, credential_of(request).customer, email, data.role))


@delete("/members/{email:str}", summary="Remove a member", status_code=204, sync_to_thread=True)
def remove_member(request: AnyRequest, email: FromPath[str], accounts: NamedDependency[Accounts]) -> None:
    """Ends the member's sessions at once. The last admin cannot be removed."""
    with accounts.change() as db:
        members.remove(db, credential_of(request).customer, email)


@post("/members/{email:str}/signin-link", summary="Make a sign-in link", sync_to_thread=True)
def make_link(request: AnyRequest, email: FromPath[str], accounts: NamedDependency[Accounts]) -> SigninLink:
    """A link that signs a member in once. Whoever opens it first is signed in: pass it on with care."""
    with accounts.database.write() as db:
        member = members.find(db, email)
        if member.customer_id != credential_of(request).customer:
            raise NotFound("nobody with this e-mail address is a member")
        return _link(db, accounts, request, member)


# ---- connections and customers -----------------------------------------------------------------------------


@get("/connections", summary="List clients that can be connected", sync_to_thread=False)
def list_connections(accounts: NamedDependency[Accounts]) -> list[ConnectionShown]:
    """What `raingauge connect` lists."""
    known = accounts.connections.values()
    return [ConnectionShown(one.client, one.title, one.form, one.scope, one.family) for one in known]


@post("/connections/{client:str}", summary="Connect a client", sync_to_thread=True)
def connect(request: AnyRequest, client: FromPath[str], accounts: NamedDependency[Accounts]) -> Connected:
    """Settings or a snippet for a client, with a new token of its own."""
    connection = accounts.connections.get(client)
    if connection is None:
        raise Refused(Reason.NOT_FOUND, "No such client.")
    with accounts.change() as db:
        issued = tokens.issue(
            db,
            credential_of(request).customer,
            label=f"connect {connection.client}",
            scopes=[connection.scope],
            now=accounts.clock(),
        )
    url = accounts.base_url(request)
    family = [connection, *(one for one in accounts.connections.values() if one.family == client)]
    return Connected(
        client=client,
        text=connection.snippet(url, issued.text),
        token_id=issued.record.token_id,
        parts=parts(family, url, issued.text),
    )


@get("/customers", summary="List customers", sync_to_thread=True)
def list_customers(request: AnyRequest, accounts: NamedDependency[Accounts]) -> list[CustomerShown]:
    """All customers for an operator, the caller's own for any other admin."""
    caller = credential_of(request)
    with accounts.database.read() as db:
        if accounts.directory.operates(caller):
            return [_customer(one) for one in customers.listed(db)]
        return [_customer(customers.find(db, caller.customer))]


@post("/customers", summary="Add a customer", sync_to_thread=True)
def add_customer(
    request: AnyRequest, data: JSONBody[NewCustomer], accounts: NamedDependency[Accounts]
) -> CustomerAdded:
    """A customer with its first admin and a sign-in link for that person. Only for operators."""
    if not accounts.directory.operates(credential_of(request)):
        raise Refused(Reason.FORBIDDEN, "Only an admin of the first customer may do this.")
    with accounts.change() as db:
        added = customers.create(db, _printable("name", data.name), tier=data.tier, now=accounts.clock())
        member = _added(db, accounts, added.customer_id, data.admin_email, Role.ADMIN)
        return CustomerAdded(_customer(added), _link(db, accounts, request, member))


def router() -> Router:
    """All of these routes. One application each: a router belongs to the one that it is registered with."""
    return Router(
        "/api",
        route_handlers=[
            list_tokens, issue_token, rotate_token, revoke_token,
            list_members, add_member, change_role, remove_member, make_link,
            list_connections, connect, list_customers, add_customer,
        ],
        guards=[admins_only],
        tags=["settings"],
    )  # fmt: skip


def _own_token(db: SqlConnection, request: AnyRequest, token_id: str) -> None:
    """Raises Refused(NOT_FOUND) for a token of another customer, as for one that does not exist."""
    try:
        found: Token | None = tokens.find(db, token_id)
    except NotFound:
        found = None
    if found is None or found.customer_id != credential_of(request).customer:
        raise Refused(Reason.NOT_FOUND, "No such token.")


def _added(db: SqlConnection, accounts: Accounts, customer_id: str, email: str, role: Role) -> Member:
    try:
        return members.add(db, customer_id, email, role, now=accounts.clock())
    except ValueError:
        raise Refused(Reason.INVALID_PARAMETER, "email: not an e-mail address") from None


def _link(db: SqlConnection, accounts: Accounts, request: AnyRequest, member: Member) -> SigninLink:
    now, lifetime = accounts.clock(), timedelta(seconds=accounts.settings[SIGNIN_LINK_SECONDS])
    code = links.issue(db, Owner(email=member.email), lifetime=lifetime, now=now)
    return SigninLink(links.address(accounts.base_url(request), code), now + lifetime)


def _printable(name: str, text: str) -> str:
    if not text.isprintable():
        raise Refused(Reason.INVALID_PARAMETER, f"{name}: must not contain control characters")
    return text.strip()


def _token(accounts: Accounts, token: Token) -> TokenShown:
    return TokenShown(
        token_id=token.token_id,
        label=token.label,
        scopes=tokens.in_order(token.scopes),
        state=token.state(accounts.clock()),
        created_at=token.created_at,
        last_used_at=token.last_used_at,
        expires_at=token.expires_at,
        replaced_by=token.replaced_by or None,
    )


def _issued(issued: Issued) -> TokenIssued:
    record = issued.record
    return TokenIssued(issued.text, record.token_id, record.label, tokens.in_order(record.scopes), record.expires_at)


def _member(member: Member) -> MemberShown:
    return MemberShown(member.email, member.role, member.created_at)


def _customer(customer: Customer) -> CustomerShown:
    return CustomerShown(customer.customer_id, customer.name, customer.tier, customer.created_at, customer.last_seen_at)
