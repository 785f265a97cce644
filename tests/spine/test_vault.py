"""The master key: where it comes from, what it gives, and what is refused."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raingauge.errors import DataDirectoryError, SettingError
from raingauge.vault import Vault

GIVEN = base64.b64encode(bytes(range(32))).decode()


def test_the_first_start_makes_a_key_that_stays(tmp_path: Path) -> None:
    """Every start derives the same keys, and only the owner can read the file."""
    first = Vault.open(tmp_path / "data", "")
    assert first.subkey("identity") == Vault.open(tmp_path / "data", "").subkey("identity")
    assert 0o700 == stat.S_IMODE((tmp_path / "data").stat().st_mode)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert {"master.key": 0o600, "master.check": 0o600} == modes


def test_two_first_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """Whoever comes second takes the key of the first."""
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(lambda _: Vault.open(tmp_path, ""), range(8)))
    assert 1 == len({vault.subkey("x") for vault in vaults})
    assert ["master.check", "master.key"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_given_key_leaves_no_key_in_the_directory(tmp_path: Path) -> None:
    """With the key in the environment a stolen disk is worth nothing."""
    Vault.open(tmp_path, GIVEN)
    assert ["master.check"] == [path.name for path in tmp_path.iterdir()]
    assert bytes(range(32)).hex().encode() not in (tmp_path / "master.check").read_bytes()


def test_subkeys_differ_by_purpose_and_by_master_key(tmp_path: Path) -> None:
    """Knowing one derived key says nothing about another."""
    vault, other = Vault(bytes(32)), Vault(bytes(range(32)))
    assert 3 == len({vault.subkey("identity"), vault.subkey("people"), other.subkey("identity")})
    assert 32 == len(vault.subkey("identity"))


def test_a_wrapped_key_opens_for_its_purpose_only() -> None:
    """What was wrapped comes back unchanged, or not at all."""
    vault = Vault(bytes(32))
    wrapped = vault.wrap(b"k" * 32, b"one")
    assert b"k" * 32 == vault.unwrap(wrapped, b"one")
    assert wrapped != vault.wrap(b"k" * 32, b"one")
    for bad in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:5], b""):
        with pytest.raises(DataDirectoryError):
            vault.unwrap(bad, b"one")
    with pytest.raises(DataDirectoryError):
        vault.unwrap(wrapped, b"two")
    with pytest.raises(DataDirectoryError):
        Vault(bytes(range(32))).unwrap(wrapped, b"one")


@pytest.mark.parametrize(
    "text", ["short", "A" * 42, "not base64 at all, but long enough to be!!!", "é" * 44, GIVEN * 2]
)
def test_a_setting_that_is_no_key_is_named_but_not_shown(tmp_path: Path, text: str) -> None:
    """The message says which setting is wrong and how to make a right one, without its value."""
    with pytest.raises(SettingError, match="RAINGAUGE_MASTER_KEY") as refusal:
        Vault.open(tmp_path, text)
    assert text not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It says what to do."""
    Vault.open(tmp_path, "")
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(DataDirectoryError, match="chmod 600"):
        Vault.open(tmp_path, "")


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    """A new key would make everything stored unreadable, so the start stops."""
    Vault.open(tmp_path, "")
    (tmp_path / "master.key").unlink()
    with pytest.raises(DataDirectoryError, match="missing"):
        Vault.open(tmp_path, "")
    assert not (tmp_path / "master.key").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"QUJD"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Half a key is no key."""
    Vault.open(tmp_path, "")
    (tmp_path / "master.key").write_bytes(content)
    with pytest.raises(DataDirectoryError, match="damaged"):
        Vault.open(tmp_path, "")


def test_another_key_than_last_time_is_refused(tmp_path: Path) -> None:
    """Whether it comes from the setting or the file."""
    Vault.open(tmp_path, "")
    with pytest.raises(DataDirectoryError, match="RAINGAUGE_MASTER_KEY is not the master key"):
        Vault.open(tmp_path, GIVEN)
    (tmp_path / "master.key").write_text(GIVEN)
    with pytest.raises(DataDirectoryError, match=r"master\.key is not the master key"):
        Vault.open(tmp_path, "")
