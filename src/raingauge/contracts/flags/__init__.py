"""Confidence flag resolver telemetry."""

from raingauge.contract import Contract
from raingauge.contracts.flags.connect import CONNECTIONS
from raingauge.contracts.flags.decode import person_key
from raingauge.contracts.flags.exposition import families
from raingauge.contracts.flags.intake import INTAKES
from raingauge.contracts.flags.knobs import FLAGS_FORWARDING, FLAGS_KNOBS
from raingauge.contracts.flags.reads import counts, latency, resolves, versions
from raingauge.contracts.flags.rollups import FLAG_COUNT_TOTALS, FLAG_TOTALS
from raingauge.contracts.flags.tables import FLAG_COUNTS, FLAG_DELTAS, FLAG_EXPOSURES

FLAGS = Contract(
    name="flags",
    title="Feature flags",
    intakes=INTAKES,
    tables=(FLAG_DELTAS, FLAG_EXPOSURES, FLAG_COUNTS),
    rollups=(FLAG_TOTALS, FLAG_COUNT_TOTALS),
    knobs=FLAGS_KNOBS,
    connections=CONNECTIONS,
    prometheus=families,
    forwarding=FLAGS_FORWARDING,
    person_keys=lambda name, _customer, identity_key: (person_key(name, identity_key),),
    handlers=(latency, resolves, counts, versions),
)
