"""The reads under `/api/analytics`."""

from typing import Any, Final

from raingauge.contracts.analytics.reads.active_users import active_users
from raingauge.contracts.analytics.reads.errors import errors
from raingauge.contracts.analytics.reads.funnel import funnel
from raingauge.contracts.analytics.reads.modules import modules
from raingauge.contracts.analytics.reads.retention import retention
from raingauge.contracts.analytics.reads.sessions import sessions
from raingauge.contracts.analytics.reads.versions import versions

HANDLERS: Final[tuple[Any, ...]] = (active_users, modules, funnel, errors, sessions, retention, versions)

__all__ = ["HANDLERS", "active_users", "errors", "funnel", "modules", "retention", "sessions", "versions"]
