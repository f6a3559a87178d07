"""Logs of Windows Installer in several languages, in the forms that Microsoft documents."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.windows.msi_log import gist, read_log

ENGLISH = """\
=== Verbose logging started: 11/29/2026  10:03:05  Build type: SHIP UNICODE 5.00 ===
Action ended 10:03:05: LaunchConditions. Return value 1.
Action ended 10:03:06: FindRelatedProducts. Return value 0.
MSI (s) (A4:34) [10:03:07:123]: Note: 1: 1722 2: RunSetup 3: C:\\setup.exe 4: /q
Error 1722. There is a problem with this Windows Installer package. A program did not finish.
Action ended 10:03:07: RunSetup. Return value 3.
Action ended 10:03:07: INSTALL. Return value 3.
Property(S): ProductName = Probe
"""
GERMAN = """\
Aktion beendet um 10:03:05: LaunchConditions. Rückgabewert 1.
Produkt: Probe -- Fehler 1925. Sie haben nicht die notwendigen Berechtigungen.
Aktion beendet um 10:03:07: ProcessComponents. Rückgabewert 3.
Aktion beendet um 10:03:07: INSTALL. Rückgabewert 3.
"""
JAPANESE = """\
アクション終了 10:03:05: LaunchConditions。 戻り値 1。
アクション終了 10:03:07: InstallFiles。 戻り値 3。
アクション終了 10:03:07: INSTALL。 戻り値 3。
"""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            ENGLISH,
            (
                "the action RunSetup failed: error 1722: There is a problem with this Windows "
                "Installer package. A program did not finish."
            ),
        ),
        (
            GERMAN,
            (
                "the action ProcessComponents failed: error 1925: Sie haben nicht die notwendigen "
                "Berechtigungen."
            ),
        ),
        (JAPANESE, "the action InstallFiles failed"),
        ("nothing of the kind\n", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_the_action_that_failed_first_is_found_in_documented_forms(text, cause, encoding):
    data = text.replace("\n", "\r\n").encode(encoding)
    assert read_log(io.BytesIO(data)).cause == cause


def test_a_long_log_is_kept_to_its_end_and_still_has_its_cause():
    filling = "Property(S): A = " + "x" * 200
    lines = [*ENGLISH.splitlines(), *[filling] * 2000, "the end"]
    log = read_log(io.BytesIO("\r\n".join(lines).encode("utf-16")))
    assert log.action == "RunSetup"
    assert log.tail.endswith("\nthe end")
    assert len(log.tail) <= 12 << 10


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_log(data, wide):
    read_log(io.BytesIO((b"\xff\xfe" if wide else b"") + data))


@given(st.text("0123456789: .。Ae--Error\n", max_size=3000))
def test_no_text_takes_long(text):
    gist(text.splitlines())
