"""Raingauge: a self-hosted telemetry receiver for AI agents and developer tools."""

from importlib.metadata import version

__version__ = version("raingauge")
