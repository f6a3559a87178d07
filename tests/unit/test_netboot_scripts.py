import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from providers.netboot.boot_script import (
    GRUB_CONFIG,
    GRUB_LOCAL_DISK,
    GRUB_START_OVER,
    IPXE_LOCAL_DISK,
    grub_script,
    ipxe_script,
    kernel_command_line,
    parse_mac,
)
from tests.unit.netboot_world import CREDENTIALS, MAC

HTTP = "http://10.77.0.1:8080"
LINE = (
    "rackwright.server=https://10.77.0.1:8443 "
    "rackwright.pin=abababababababababababababababababababababababababababababababab "
    "rackwright.token=t0ken-0123456789_AB BOOTIF=01-52-54-00-12-34-56 "
    "console=tty0 console=ttyS0,115200n8 quiet nomodeset"
)


def test_the_command_line():
    assert kernel_command_line(CREDENTIALS, MAC, ["quiet", "nomodeset"]) == LINE


def test_the_ipxe_script():
    assert ipxe_script(LINE, HTTP) == (
        "#!ipxe\n"
        "echo Rackwright: starting the Deploy-OS\n"
        f"kernel http://10.77.0.1:8080/boot/files/vmlinuz initrd=initrd.img {LINE} || goto failed\n"
        "initrd --name initrd.img http://10.77.0.1:8080/boot/files/initrd.img || goto failed\n"
        "boot || goto failed\n"
        ":failed\n"
        "echo Rackwright: the transfer failed, going on to the local disk\n"
        "exit\n"
    )


def test_the_grub_script():
    assert grub_script(LINE) == (
        'echo "Rackwright: starting the Deploy-OS"\n'
        f"if linux /vmlinuz {LINE}; then\n"
        "  if initrd /initrd.img; then\n"
        "    boot\n"
        "  fi\n"
        "fi\n"
        'echo "Rackwright: the transfer failed, starting over"\n'
        "sleep 10\n"
        "reboot\n"
    )


def test_the_static_grub_configuration_asks_for_the_machines_own():
    assert GRUB_CONFIG == (
        "# Goes on with the machine's own configuration, made anew for each request.\n"
        "set timeout=0\n"
        "configfile /grub/machine/$net_default_mac\n"
        'echo "Rackwright: no answer from the boot server, starting over"\n'
        "sleep 10\n"
        "reboot\n"
    )


def test_the_scripts_for_the_local_disk():
    assert IPXE_LOCAL_DISK.endswith("\nexit\n")
    assert GRUB_START_OVER.endswith("\nsleep 10\nreboot\n")
    assert "chainloader ($disk)$loader" in GRUB_LOCAL_DISK
    assert GRUB_LOCAL_DISK.endswith("\nexit\n")
    for script in (IPXE_LOCAL_DISK, GRUB_START_OVER, GRUB_LOCAL_DISK, GRUB_CONFIG):
        assert "rackwright." not in script
        assert "vmlinuz" not in script


@pytest.mark.parametrize(
    "extra",
    [
        "a b",
        "x;reboot",
        "x\nboot",
        "x\n",
        "${net0/mac}",
        "$root",
        "x'y",
        'x"y',
        "x\\y",
        "x|y",
        "x&&y",
        "x#y",
        "{",
        "",
        "é",
    ],
)
def test_a_kernel_argument_that_a_boot_loader_could_read_as_code_is_refused(extra):
    with pytest.raises(TerminalError) as caught:
        kernel_command_line(CREDENTIALS, MAC, [extra])
    assert caught.value.code == "RW305"
    assert repr(extra) in caught.value.cause


@pytest.mark.parametrize("extra", ["rackwright.token=x", "initrd=other", "BOOTIF=01-00"])
def test_a_kernel_argument_that_is_set_per_machine_cannot_be_set_by_the_build(extra):
    with pytest.raises(TerminalError) as caught:
        kernel_command_line(CREDENTIALS, MAC, [extra])
    assert str(caught.value) == (
        f"RW305: the kernel argument {extra!r} would stand against one that is set per machine. "
        "Take it out of kernel_arguments in the DeployOS document."
    )


@pytest.mark.parametrize(
    "credentials",
    [
        replace(CREDENTIALS, server="https://10.77.0.1:8443 init=/bin/sh"),
        replace(CREDENTIALS, server="ftp://10.77.0.1"),
        replace(CREDENTIALS, pin="ab" * 31),
        replace(CREDENTIALS, pin="AB" * 32),
        replace(CREDENTIALS, token="short"),  # noqa: S106 (no secret)
        replace(CREDENTIALS, token="t0ken-0123456789_AB\n"),  # noqa: S106 (no secret)
    ],
)
def test_credentials_that_are_not_what_they_should_be_are_refused(credentials):
    with pytest.raises(TerminalError):
        kernel_command_line(credentials, MAC, [])


def test_a_refused_token_does_not_stand_in_the_message():
    wrong = "t0ken with a blank in it"
    with pytest.raises(TerminalError) as caught:
        kernel_command_line(replace(CREDENTIALS, token=wrong), MAC, [])
    assert wrong not in str(caught.value)
    assert "the token with 24 characters" in str(caught.value)


@pytest.mark.parametrize("http", ["http://10.77.0.1/${x}", "http://a b", "10.77.0.1"])
def test_an_http_address_that_could_be_code_is_refused(http):
    with pytest.raises(TerminalError):
        ipxe_script(LINE, http)


@given(st.lists(st.text(max_size=20), max_size=4))
def test_whatever_the_build_asks_for_the_command_line_is_words_of_safe_characters(extra):
    try:
        line = kernel_command_line(CREDENTIALS, MAC, extra)
    except TerminalError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._,:=/@+ -]+", line)
    assert len(line.split(" ")) == 6 + len(extra)


@pytest.mark.parametrize("text", [MAC, "52-54-00-12-34-56", "52:54:00:12:34:56".upper()])
def test_a_mac_is_read_as_grub_and_ipxe_write_it(text):
    assert parse_mac(text) == MAC


@pytest.mark.parametrize(
    "text", ["", "52:54:00:12:34", MAC + "\n", MAC + ":00", "../" + MAC, "x" * 17]
)
def test_what_is_no_mac_is_none(text):
    assert parse_mac(text) is None
