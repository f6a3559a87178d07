"""Programs of Windows that Wine lacks or only pretends: their calls, and documented forms."""

from builders.fake_windows import FakeWindows

from agent.commands.windows import dism, processes, reg, sc, sessions, shutdown, wmic, wusa
from agent.commands.windows.host import console_text
from agent.windows import services

QUSER = """\
 BENUTZERNAME          SITZUNGSNAME       ID  STATUS  LEERLAUF   ANMELDEZEIT
>administrator         console             1  Aktiv          .   29.11.2026 10:03
 jane doe              rdp-tcp#12          2  Aktiv       1:02   29.11.2026 10:05
 max                                       3  Getr.    2+03:04   27.11.2026 07:00
"""
SC_FRENCH = """\

SERVICE_NAME: Spooler
DISPLAY_NAME: Spouleur d'impression
        TYPE               : 110  WIN32_OWN_PROCESS  (interactive)
        ÉTAT               : 4  RUNNING
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        CODE_SORTIE_WIN32  : 0  (0x0)
        CODE_SORTIE_SERVICE: 0  (0x0)
        POINT_CONTRÔLE     : 0x0
        ASTUCE_ATTENTE     : 0x0

SERVICE_NAME: wuauserv
DISPLAY_NAME: Windows Update: manuel
        TYPE               : 20  WIN32_SHARE_PROCESS
        ÉTAT               : 1  STOPPED
        CODE_SORTIE_WIN32  : 1077  (0x435)
        CODE_SORTIE_SERVICE: 0  (0x0)
        POINT_CONTRÔLE     : 0x0
        ASTUCE_ATTENTE     : 0x0
"""
DISM = """\
Package Identity                                                    | State      | Release Type
------------------------------------------------------------------- | ---------- | ------------
Package_for_KB5031356~31bf3856ad364e35~amd64~~19041.3570.1.10       | Installed  | Update
Package_for_RollupFix~31bf3856ad364e35~amd64~~19041.3570.1.10       | Installed  | Security
Package_for_KB5015684~31bf3856ad364e35~amd64~~19041.1799.1.2        | Superseded | Update
"""


def test_shutdown_is_called_with_a_wait_a_comment_and_a_planned_reason():
    assert shutdown.restart_arguments(60, "Updates\nof  today", shutdown.HOTFIX) == [
        "shutdown.exe", "/r", "/t", "60", "/c", "Updates of today", "/d", "p:2:17",
    ]  # fmt: skip
    assert shutdown.power_off_arguments(-1, "") == [
        "shutdown.exe", "/s", "/t", "0", "/d", "p:4:1",
    ]  # fmt: skip
    assert len(shutdown.restart_arguments(0, "x" * 600)[5]) == 512
    assert shutdown.abort_arguments() == ["shutdown.exe", "/a"]


def test_wusa_dism_taskkill_and_msg_are_called_so_that_nobody_is_asked():
    assert wusa.install_arguments(r"C:\a.msu") == [
        "wusa.exe", r"C:\a.msu", "/quiet", "/norestart",
    ]  # fmt: skip
    assert wusa.remove_arguments(5031356) == [
        "wusa.exe", "/uninstall", "/kb:5031356", "/quiet", "/norestart",
    ]  # fmt: skip
    assert dism.add_arguments(r"C:\a b.cab")[3] == r"/packagepath:C:\a b.cab"
    assert processes.end_arguments(12) == ["taskkill.exe", "/t", "/f", "/pid", "12"]
    assert sessions.message_arguments("Save\nyour work", 60) == [
        "msg.exe", "*", "/time:60", "Save your work",
    ]  # fmt: skip


def test_sessions_are_read_from_the_documented_form_of_quser_in_german(tmp_path):
    windows = FakeWindows(tmp_path, {"quser": [(0, QUSER)]})
    assert [(each.user, each.session, each.number) for each in sessions.sessions(windows)] == [
        ("administrator", "console", 1),
        ("jane doe", "rdp-tcp#12", 2),
        ("max", "", 3),
    ]


def test_a_windows_without_quser_and_msg_is_told_from_one_without_users(tmp_path):
    assert sessions.sessions(FakeWindows(tmp_path)) is None
    assert sessions.sessions(FakeWindows(tmp_path, {"quser": [(1, "")]})) == ()
    assert not sessions.show_message(FakeWindows(tmp_path), "x", 1)


def test_services_are_read_by_numbers_from_the_documented_form_of_sc_in_french(tmp_path):
    services = sc.parse_query(console_text(SC_FRENCH.encode("cp850")))
    assert [(each.name, each.kind, each.state, each.exit_status) for each in services] == [
        ("Spooler", 0x110, sc.RUNNING, 0),
        ("wuauserv", 0x20, sc.STOPPED, 1077),
    ]
    assert sc.parse_query("[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\n") == ()
    assert sc.query(FakeWindows(tmp_path, {"sc": [(1060, "")]}), "none") is None


def test_installed_packages_are_read_from_the_documented_form_of_dism(tmp_path):
    found = dism.packages(FakeWindows(tmp_path, {"dism": [(0, DISM)]}))
    assert [dism.article(each) for each in found] == ["KB5031356", ""]
    assert dism.packages(FakeWindows(tmp_path, {"dism": [(740, DISM)]})) == ()


def test_processes_are_read_by_their_place_from_the_documented_form_of_tasklist():
    text = '"System Idle Process","0","Services","0","8 K"\n"a, b.exe","4321","Console","1","9 K"\n'
    assert [(each.name, each.number) for each in processes.parse_list(text)] == [
        ("System Idle Process", 0),
        ("a, b.exe", 4321),
    ]
    assert processes.parse_list('INFORMATION: Es werden keine "Aufgaben" ausgeführt.\n') == ()


def test_hotfixes_are_read_from_the_documented_forms_of_wmic_and_systeminfo():
    wide = "\ufeff\r\r\nHotFixID=KB5031356\r\r\n\r\r\nHotFixID=KB5015684\r\r\n".encode("utf-16-le")
    assert wmic.parse_property(console_text(wide), "HotFixID") == ("KB5031356", "KB5015684")
    german = '"VM","3 Hotfix(e) installiert.,[01]: KB5031356,[02]: KB5015684,[03]: File 1"\n'
    assert wmic.parse_hotfixes(german) == ("KB5031356", "KB5015684")


def test_the_registry_is_asked_in_the_view_that_is_wanted():
    assert reg.export_arguments(r"HKLM\Software\A b", r"C:\x.reg", 32) == [
        "reg.exe", "export", r"HKLM\Software\A b", r"C:\x.reg", "/y", "/reg:32",
    ]  # fmt: skip
    assert reg.add_arguments(r"HKLM\A", "", "REG_SZ", "x", 64) == [
        "reg.exe", "add", r"HKLM\A", "/ve", "/t", "REG_SZ", "/d", "x", "/f", "/reg:64",
    ]  # fmt: skip


def test_a_service_is_made_with_values_after_the_names_of_options():
    assert sc.create_arguments("Probe", '"C:\\a b.exe" x', "A probe")[7:9] == [
        "binPath=",
        '"C:\\a b.exe" x',
    ]
    assert sc.failure_arguments("Probe", 86400, (5, 300)) == [
        "sc.exe", "failure", "Probe", "reset=", "86400", "actions=", "restart/5000/restart/300000",
    ]  # fmt: skip


def test_a_service_that_is_there_gets_the_new_command_line(tmp_path):
    windows = FakeWindows(tmp_path, {"sc": [(0, "")]})
    windows.put(r"HKLM\SYSTEM\CurrentControlSet\Services\Probe")
    services.install_service(windows, "Probe", r"C:\new.exe", "A probe")
    services.install_service(windows, "Other", r"C:\new.exe", "A probe")
    made = [call[1:3] for call in windows.calls if call[0] == "sc.exe"]
    assert made == [
        ["config", "Probe"], ["failure", "Probe"], ["create", "Other"], ["failure", "Other"],
    ]  # fmt: skip
