"""Settings: one table for options, environment and errors."""

from __future__ import annotations

import pytest

from raingauge.errors import SettingError
from raingauge.settings import (
    CORE_KNOBS,
    LOG_LEVEL,
    MASTER_KEY,
    PORT,
    QUEUE_MAX_BYTES,
    Settings,
    load,
)


def test_defaults_hold_without_any_value() -> None:
    """A server starts without being configured."""
    assert load(CORE_KNOBS, environment={})[PORT] == PORT.default


def test_an_option_wins_over_the_environment() -> None:
    """What is typed for this start counts more than what stands in a file."""
    settings = load(CORE_KNOBS, {"port": 5000}, {"RAINGAUGE_PORT": "6000"})
    assert settings[PORT] == 5000


def test_the_environment_wins_over_the_default() -> None:
    """A variable needs no option."""
    assert load(CORE_KNOBS, {"port": None}, {"RAINGAUGE_PORT": "6000"})[PORT] == 6000


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("RAINGAUGE_PORT", "many", "expected a whole number"),
        ("RAINGAUGE_PORT", "70000", "0 to 65535"),
        ("RAINGAUGE_QUEUE_MAX_BYTES", "0", "greater than 0"),
        ("RAINGAUGE_LOG_LEVEL", "loud", "one of"),
        ("RAINGAUGE_BODY_TIMEOUT_SECONDS", "soon", "expected a number"),
    ],
)
def test_a_bad_value_is_named_with_its_key(variable: str, value: str, part: str) -> None:
    """The error says which key, which value and what is expected."""
    with pytest.raises(SettingError) as caught:
        load(CORE_KNOBS, environment={variable: value})
    assert variable in str(caught.value)
    assert repr(value) in str(caught.value) or value in str(caught.value)
    assert part in str(caught.value)


def test_a_misspelt_variable_stops_the_start() -> None:
    """A limit that nobody reads is no limit."""
    with pytest.raises(SettingError, match="RAINGAUGE_QUEUE_MAXBYTES: no such setting"):
        load(CORE_KNOBS, environment={"RAINGAUGE_QUEUE_MAXBYTES": "5"})


def test_a_secret_is_not_repeated_in_its_error() -> None:
    """A key with a typo must not end in a log."""
    assert "hunter2" not in MASTER_KEY.shown("hunter2")


def test_names_are_unique() -> None:
    """Two knobs with one name would shadow each other."""
    names = [knob.name for knob in CORE_KNOBS]
    assert sorted(set(names)) == sorted(names)


def test_settings_of_other_tables_fall_back_to_their_default() -> None:
    """A part can be built alone with `Settings()`."""
    assert (Settings()[QUEUE_MAX_BYTES], Settings()[LOG_LEVEL]) == (QUEUE_MAX_BYTES.default, "info")
