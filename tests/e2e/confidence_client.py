"""Run by the Confidence provider's own interpreter: resolve flags of a made-up account, log over gRPC, tell the outcome.

python confidence_client.py HOST:PORT TOKEN  ──▶  {"version", "values", "metrics"} as JSON
"""

from __future__ import annotations

import json
import sys

import grpc
import httpx
from confidence.flag_logger import GrpcFlagLogger
from confidence.proto.confidence.flags.admin.v1 import resolver_pb2 as admin
from confidence.provider import ConfidenceProvider
from confidence.version import __version__
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

KEY = bytes(range(32))
NONCE = bytes(12)
CLIENT = "clients/raingauge"
CLIENT_SECRET = "of the flags, and not our token"
SEGMENT = "segments/everybody"


def state(secret: str) -> bytes:
    """An account with one flag that everybody gets and one that is archived, for one client."""
    resolver = admin.ResolverState()
    resolver.clients.add(name=CLIENT)
    credential = resolver.client_credentials.add(name=f"{CLIENT}/clientCredentials/one")
    credential.client_secret.secret = secret
    resolver.segments_no_bitsets.add(name=SEGMENT)
    resolver.bitsets.add(segment=SEGMENT, full_bitset=True)
    for name, condition in (("flags/rain", admin.Flag.ACTIVE), ("flags/old", admin.Flag.ARCHIVED)):
        flag = resolver.flags.add(name=name, state=condition, clients=[CLIENT])
        flag.schema.schema["millimetres"].int_schema.SetInParent()
        variant = flag.variants.add(name=f"{name}/variants/wet")
        variant.value.update({"millimetres": 12})
        rule = flag.rules.add(
            name=f"{name}/rules/one", segment=SEGMENT, enabled=True, targeting_key_selector="targeting_key"
        )
        rule.assignment_spec.bucket_count = 1
        assignment = rule.assignment_spec.assignments.add(assignment_id=variant.name)
        assignment.variant.variant = variant.name
        assignment.bucket_ranges.add(lower=0, upper=1)
    account = admin.ClientResolverState(state=resolver.SerializeToString(), account="accounts/raingauge")
    return NONCE + AESGCM(KEY).encrypt(NONCE, account.SerializeToString(), None)


def main(target: str, token: str) -> None:
    content = state(CLIENT_SECRET)
    with grpc.insecure_channel(target) as channel:
        provider = ConfidenceProvider(
            CLIENT_SECRET,
            encryption_key=KEY.hex(),
            flag_logger=GrpcFlagLogger(token, channel=channel),
            http_client=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=content))),
            log_poll_interval=3600.0,
            state_poll_interval=3600.0,
        )
        api.set_provider_and_wait(provider)
        flags = api.get_client()
        asked = [("rain.millimetres", f"user-{number}") for number in range(5)]
        asked += [("old.millimetres", "user-1"), ("unknown.millimetres", "user-1"), ("rain.millimetres", "user-1")]
        values = [flags.get_integer_value(key, -1, EvaluationContext(targeting_key=user)) for key, user in asked]
        values.append(flags.get_boolean_value("rain.millimetres", False, EvaluationContext(targeting_key="user-2")))
        provider.shutdown()
        metrics = provider.get_prometheus_metrics()
        json.dump({"version": __version__, "values": values, "metrics": metrics}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
