"""Where the values of ``!secret`` references come from, and that nothing shows them."""

import os
from pathlib import Path

import pytest

from reconciler.errors import SecretError
from reconciler.trust.secrets import MOST_BYTES, Secrets, SecretValue

NAME = "packages/mirror"


def put(folder: Path, value: str = "s3cret\n", name: str = NAME, mode: int = 0o600) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    path.chmod(mode)
    return path


def refused(secrets: Secrets, name: str = NAME) -> SecretError:
    with pytest.raises(SecretError) as caught:
        secrets.resolve(name)
    return caught.value


def test_the_first_place_that_has_it_counts(tmp_path: Path) -> None:
    credentials, first, second = (tmp_path / name for name in ("credentials", "first", "second"))
    put(second, "of the second")
    environment = {"RACKWRIGHT_SECRET_PACKAGES_MIRROR": "of the environment"}
    assert Secrets([], environment).resolve(NAME).value == "of the environment"
    assert Secrets([first, second], environment).resolve(NAME).value == "of the second"
    put(first, "of the first")
    assert Secrets([first, second], environment).resolve(NAME).value == "of the first"
    put(credentials, "of systemd", "packages.mirror", mode=0o440)
    environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert Secrets([first, second], environment).resolve(NAME).value == "of systemd"


def test_one_line_break_at_the_end_is_not_part_of_it(tmp_path: Path) -> None:
    for written, value in (("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a")):
        put(tmp_path, written)
        assert Secrets([tmp_path], {}).resolve(NAME).value == value


def test_one_that_is_nowhere_names_the_places_that_were_looked_at(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials/rackwright.service"}
    error = refused(Secrets([tmp_path, tmp_path / "b"], environment))
    assert str(error) == (
        f"RW986: the secret {NAME} is in none of: systemd's credential packages.mirror, "
        f"{tmp_path}/packages/mirror, {tmp_path}/b/packages/mirror, the environment's "
        "RACKWRIGHT_SECRET_PACKAGES_MIRROR. Put it into one of these, for the server's user "
        "alone (chmod 0600)."
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_reach_is_not_used(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path, mode=mode)
    error = refused(Secrets([tmp_path], {"RACKWRIGHT_SECRET_PACKAGES_MIRROR": "x"}))
    assert error.code == "RW987"
    assert error.cause == f"{path} has mode {mode:04o}, so that other users may reach it"
    assert error.action.endswith(f"chmod 0600 {path}")


def test_a_folder_in_which_others_may_exchange_it_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path)
    path.parent.chmod(0o777)
    assert refused(Secrets([tmp_path], {})).cause.startswith(f"{path.parent} has mode 0777")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_not_used(tmp_path: Path) -> None:
    path = put(tmp_path)
    os.chown(path, 65_534, 65_534)
    assert refused(Secrets([tmp_path], {})).cause == (
        f"{path} belongs to the user 65534, who may change it"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * (MOST_BYTES + 1)])
def test_what_is_no_small_text_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path)
    path.write_bytes(content)
    error = refused(Secrets([tmp_path], {}))
    assert error.code == "RW987"
    assert "xxx" not in str(error)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    assert refused(Secrets([tmp_path], {})).code == "RW987"


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "a//b", "a/../b", ""])
def test_no_reference_leads_out_of_the_folders(tmp_path: Path, name: str) -> None:
    assert refused(Secrets([tmp_path], {}), name).cause.endswith("cannot name a secret")


def test_a_value_is_not_printed() -> None:
    value = SecretValue("a file", "s3cret")
    assert "s3cret" not in f"{value} {value!r}"
