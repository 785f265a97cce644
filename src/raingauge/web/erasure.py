"""What admins take out for good: people and whole customers, by the code behind `raingauge forget` and `customer delete`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from raingauge.contract import Person
from raingauge.control import customers
from raingauge.errors import Conflict, Reason, Refused
from raingauge.web.account import Accounts, AnyRequest
from raingauge.web.management import admins_only
from raingauge.web.shape import credential_of

if TYPE_CHECKING:
    from raingauge.system import Forgotten


class PersonShown(msgspec.Struct, frozen=True):
    """`key` is the keyed hash that facts hold, `name` what it stands for."""

    key: str
    name: str


class PeopleShown(msgspec.Struct, frozen=True):
    """People in the order of their names; `more` says that not all of them are listed."""

    people: list[PersonShown]
    more: bool


class ToForget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`person` is an e-mail address, another id that was sent, or a keyed hash; `facts` asks for the rows too."""

    person: Annotated[str, msgspec.Meta(min_length=1, max_length=400, pattern=r"\S")]
    facts: bool = False


class Erased(msgspec.Struct, frozen=True):
    """How many names, and how many rows of which tables, were deleted."""

    names: int
    rows: dict[str, int]


class CustomerDeleted(msgspec.Struct, frozen=True):
    customer_id: str
    tokens: int
    rows: int


@dataclass(frozen=True, slots=True)
class Erasing:
    """What these routes ask of the running system.

    `people` lists the people of a customer and whether there are more, `forget` takes what a person is called,
    customers, and whether rows go too; `erase` deletes the facts of a customer and says how many rows of each table.
    """

    people: Callable[[str], tuple[list[Person], bool]]
    forget: Callable[[str, Sequence[str], bool], Forgotten]
    erase: Callable[[str], Mapping[str, int]]


def router(erasing: Erasing) -> Router:
    """All of these routes; only for admins."""

    @get("/people", summary="List people", sync_to_thread=True)
    def list_people(request: AnyRequest) -> PeopleShown:
        """The readable names that are kept of people in the caller's customer."""
        people, more = erasing.people(credential_of(request).customer)
        return PeopleShown([PersonShown(one.key, one.name) for one in people], more)

    @post("/people/forget", summary="Forget a person", status_code=200, sync_to_thread=True)
    def forget_person(request: AnyRequest, data: JSONBody[ToForget]) -> Erased:
        """Delete the readable name of a person and, if asked, every row about this person. There is no way back."""
        forgotten = erasing.forget(data.person.strip(), [credential_of(request).customer], data.facts)
        return Erased(forgotten.names, forgotten.rows)

    @delete("/customers/{customer_id:str}", summary="Delete a customer", status_code=200, sync_to_thread=True)
    def delete_customer(
        request: AnyRequest, customer_id: FromPath[str], accounts: NamedDependency[Accounts]
    ) -> CustomerDeleted:
        """Delete a customer, its tokens, members, names and facts. Only for operators, and never their own."""
        caller = credential_of(request)
        if not accounts.directory.operates(caller):
            raise Refused(Reason.FORBIDDEN, "Only an admin of the first customer may do this.")
        if customer_id == caller.customer:
            raise Conflict("this customer looks after the installation and stays")
        with accounts.change() as db:
            deleted = customers.delete(db, customer_id)
        return CustomerDeleted(customer_id, deleted, sum(erasing.erase(customer_id).values()))

    return Router(
        "/api", route_handlers=[list_people, forget_person, delete_customer], guards=[admins_only], tags=["settings"]
    )
