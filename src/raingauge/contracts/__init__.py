"""The contracts this server speaks: the only place that names them.

Adding one is adding a folder and a name to the tuple.
"""

from raingauge.contract import Contract
from raingauge.contracts.analytics import ANALYTICS
from raingauge.contracts.flags import FLAGS
from raingauge.contracts.loopgain import LOOPGAIN
from raingauge.contracts.otlp import OTLP

CONTRACTS: tuple[Contract, ...] = (LOOPGAIN, OTLP, FLAGS, ANALYTICS)
