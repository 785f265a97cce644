"""Who is it, and may they send that much? The same for ingest routes and for the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from raingauge.auth.credential import Credential
from raingauge.contract import Intake, Scope
from raingauge.edge.limits import DailyCounts, Rate
from raingauge.edge.ports import Directory
from raingauge.errors import Reason, Refused
from raingauge.settings import FAILED_AUTH_PER_IP, PUBLIC_CUSTOMER, RATE_PER_IP, RATE_PER_TOKEN, Settings


class Gate:
    """Credentials and rates."""

    def __init__(self, directory: Directory, settings: Settings) -> None:
        self._directory = directory
        self._public_customer = settings[PUBLIC_CUSTOMER]
        self._failed = Rate(settings[FAILED_AUTH_PER_IP])
        self._per_token = Rate(settings[RATE_PER_TOKEN])
        self._per_address = Rate(settings[RATE_PER_IP])
        self._daily = DailyCounts()

    def find(self, token: str) -> Credential | None:
        return self._directory.find(token)

    def touch(self, credential: Credential) -> None:
        """Note that a credential was used."""
        self._directory.touch(credential, datetime.now(UTC))

    def count_failure(self, client_key: str) -> None:
        """Note a refused credential. Raises Refused(RATE_LIMITED) when one address tries too many.

        Only failures are counted and only failures are refused, so nobody is locked out by a neighbour's guesses.
        """
        _raise_after(self._failed.take(client_key), "Too many refused credentials.")

    def owner(self, intake: Intake, token: str | None, client_key: str) -> tuple[Credential | None, str]:
        """The credential, if there is one, and the customer that the rows of this request belong to.

        Raises Refused(UNAUTHORIZED, FORBIDDEN or RATE_LIMITED). A credential that is presented must be valid, or
        rows would silently go to the wrong customer; only where everybody's rows go to one fixed customer anyway
        does none matter.
        """
        if intake.public_customer:
            return None, intake.public_customer
        credential = self._directory.find(token) if token else None
        if credential:
            if not credential.may(Scope.INGEST):
                raise Refused(Reason.FORBIDDEN, "This credential may not send data.")
            return credential, credential.customer
        if token:
            self.count_failure(client_key)
        elif intake.public and self._directory.customer_exists(self._public_customer):
            return None, self._public_customer
        raise Refused(Reason.UNAUTHORIZED, "A valid credential is needed.")

    def check_rates(self, credential: Credential | None, client_key: str) -> None:
        """Raises Refused(RATE_LIMITED)."""
        if credential:
            _raise_after(self._per_token.take(credential.token_id), "Too many requests with this credential.")
        _raise_after(self._per_address.take(client_key), "Too many requests from this address.")

    def reserve_daily(self, intake: Intake, credential: Credential | None) -> bool:
        """Count one message of the customer's 24 hours; whether anything was counted.

        Raises Refused(DAILY_CAP).
        """
        cap = intake.daily_cap(credential.tier) if intake.daily_cap and credential else None
        if cap is None or credential is None:
            return False
        key = (credential.customer, intake.name)
        if not self._daily.reserve(key, cap):
            raise Refused(
                Reason.DAILY_CAP,
                "The most messages of this tier in 24 hours were sent.",
                retry_after_seconds=self._daily.wait_seconds(key),
                extra={"tier": credential.tier, "cap": cap},
            )
        return True

    def release_daily(self, intake: Intake, credential: Credential) -> None:
        """The reserved message was not accepted."""
        self._daily.release((credential.customer, intake.name))

    def seed_daily(self, intake_name: str, customer: str, counts: Sequence[tuple[float, int]]) -> None:
        """See `Edge.seed_daily`."""
        self._daily.seed((customer, intake_name), counts)


def _raise_after(wait_seconds: int, detail: str) -> None:
    if wait_seconds:
        raise Refused(Reason.RATE_LIMITED, detail, retry_after_seconds=wait_seconds)
