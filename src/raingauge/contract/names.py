"""Names that all sides of a contract share."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Where an item ended. received = stored + duplicate + rejected + quarantined once the queue is empty."""

    RECEIVED = "received"
    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class Scope(StrEnum):
    """What a credential may do. `ADMIN` includes the other two."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"
