"""How resolvers are pointed here, and how a Prometheus server reads the totals."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from raingauge.contract import Connection, Scope

_JAVASCRIPT: Final = """\
import {{ OpenFeature }} from '@openfeature/server-sdk';
import {{ createConfidenceServerProvider }} from '@spotify-confidence/openfeature-server-provider-local';

// Flag logs go to Raingauge; everything else (the flags themselves) still comes from Confidence.
const flagLogs = new Set(['/v1/clientFlagLogs:write', '/v1/flagLogs:ingest']);
const fetchWithRaingauge = (input, init) => {{
  const {{ pathname }} = new URL(input);
  if (!flagLogs.has(pathname)) return fetch(input, init);
  const headers = new Headers(init?.headers);
  headers.set('Authorization', 'ClientSecret {token}');
  return fetch('{url}' + pathname, {{ ...init, headers }});
}};

await OpenFeature.setProviderAndWait(createConfidenceServerProvider({{
  flagClientSecret: process.env.CONFIDENCE_FLAG_CLIENT_SECRET,
  fetch: fetchWithRaingauge,
}}));
"""

_PYTHON: Final = """\
# Needs the server's gRPC port: RAINGAUGE_GRPC_PORT=4317. Flag logs go to Raingauge; the flags still come from Confidence.
import json
import os

import grpc
from confidence.flag_logger import GrpcFlagLogger
from confidence.provider import ConfidenceProvider
from openfeature import api

retries = {{"methodConfig": [{{
    "name": [{{"service": "confidence.flags.resolver.v1.InternalFlagLoggerService"}}],
    "retryPolicy": {{"maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "10s", "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"]}},
}}]}}
channel = grpc.insecure_channel("{host}:4317", [("grpc.service_config", json.dumps(retries))])
api.set_provider(ConfidenceProvider(
    os.environ["CONFIDENCE_FLAG_CLIENT_SECRET"],
    encryption_key=os.environ["CONFIDENCE_ENCRYPTION_KEY"],
    flag_logger=GrpcFlagLogger("{token}", channel=channel),
))
"""

_PROMETHEUS: Final = """\
scrape_configs:
  - job_name: raingauge
    scheme: {scheme}
    metrics_path: {path}/metrics
    authorization:
      credentials: {token}
    static_configs:
      - targets: ["{host}"]
"""


def _javascript(url: str, token: str) -> str:
    return _JAVASCRIPT.format(url=url, token=token)


def _python(url: str, token: str) -> str:
    return _PYTHON.format(host=urlsplit(url).hostname, token=token)


def _prometheus(url: str, token: str) -> str:
    address = urlsplit(url)
    return _PROMETHEUS.format(scheme=address.scheme, host=address.netloc, path=address.path, token=token)


CONNECTIONS: Final = (
    Connection("confidence", "Confidence flag resolvers (JavaScript provider)", "javascript", _javascript),
    Connection("confidence-python", "Confidence flag resolvers (Python provider, gRPC)", "python", _python),
    Connection("prometheus", "Prometheus, for GET /metrics", "yaml", _prometheus, Scope.READ),
)
