"""Documents that validate in full although nothing acts on them yet."""

import pytest
from builders.kinds_reference import example_document

from specs.compile.fleet import compile_fleet
from specs.compile.unsupported import FIELDS
from specs.diagnostics.position import Position
from specs.fleet import (
    Budget,
    CompiledFleet,
    InspectDisksStep,
    UnsupportedDocument,
    UnsupportedStep,
)

UNSUPPORTED = [kind for kind in FIELDS if "spec" in FIELDS[kind]]
HEAD = "apiVersion: rackwright/v1alpha1\n"
SUM = "9f" * 32
NETWORK = f"{HEAD}kind: Network\nmetadata: {{name: n}}\nspec: {{subnet: 10.0.0.0/24}}\n---\n"
GROUP = f"{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{network: n}}\n---\n"
IMAGE = f"{HEAD}kind: Image\nmetadata: {{name: golden}}\n---\n"


def document(kind: str, spec: str) -> str:
    return f"{HEAD}kind: {kind}\nmetadata: {{name: x}}\nspec:\n{spec}"


def fleet_of(text: str) -> CompiledFleet:
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in compile_fleet({"f.yaml": text.encode()}, "r").diagnostics]


SYSTEM = document(
    "OperatingSystem",
    f"  family: debian\n  version: 12.5.0\n  media:\n    tree: https://deb.example.net/debian\n"
    f'    kernel: {{url: "https://deb.example.net/linux", sha256: {SUM}}}\n'
    f'    initrd: {{url: "https://deb.example.net/initrd.gz", sha256: {SUM}}}\n',
)
INSTALLER = document(
    "Installer",
    "  operatingSystem: x\n  format: preseed\n"
    "  users: [{name: ops, password: !secret install/ops}]\n",
)
PACKAGE = document(
    "Package",
    "  type: application\n  version: 4.2.0\n  targets: [{family: windows, language: ja}]\n"
    "  setup: {command: [msiexec, /i, a.msi], rebootNeeded: [3010], timeout: 30m}\n"
    "  detect:\n    - file: {path: 'C:\\Program Files\\A\\a.exe', version: 4.2.0}\n"
    "    - registry: {key: 'HKLM\\SOFTWARE\\A'}\n",
)
SOURCE = document(
    "PackageSource",
    "  url: https://p.example.net/lab\n"
    f"  signers: ['ed25519:{'A' * 43}=']\n  maxRate: 100Mbit/s\n"
    "  schedule: {cron: 0 3 * * *, timeZone: Asia/Tokyo}\n",
)
POLICY = document(
    "UpdatePolicy",
    "  select: {groups: [lab]}\n  packages: [x]\n  checks: {at: ['12:15'], atStartup: true}\n"
    "  install: {when: logged-off, windows: [{days: [sat], begin: '22:00', end: '05:00'}]}\n",
)
SCHEDULE = document(
    "Schedule",
    "  select: {groups: [lab]}\n  action: {power: off}\n"
    "  when:\n    cron: 30 22 * * mon-fri\n    timeZone: Asia/Tokyo\n    missed: run-once\n"
    "    holidays: {dates: [2026-12-24]}\n",
)
VARIANT = document("DeployOS", "  models: [{vendor: NEC*}]\n  packages: [firmware-bnx2x]\n")
EVERY = (SYSTEM, INSTALLER, PACKAGE, SOURCE, POLICY, SCHEDULE, VARIANT)
ALL = "---\n".join(EVERY)
MACHINE = (
    f"---\n{HEAD}kind: Machine\nmetadata: {{name: m}}\nspec:\n  group: lab\n"
    '  hardware: {macs: ["52:54:00:00:00:01"]}\n'
)


def test_a_document_without_provider_compiles_to_why_it_has_no_effect() -> None:
    fleet = fleet_of(NETWORK + GROUP + ALL + MACHINE)
    assert [(each.kind, each.name, each.reason) for each in fleet.unsupported] == [
        ("DeployOS", "x", "variants of the RAM system are not built yet"),
        ("Installer", "x", "no provider installs operating systems yet"),
        ("OperatingSystem", "x", "no provider installs operating systems yet"),
    ]


def test_an_unsupported_document_knows_its_place() -> None:
    assert fleet_of(SYSTEM).unsupported == (
        UnsupportedDocument(
            "OperatingSystem",
            "x",
            "no provider installs operating systems yet",
            Position("f.yaml", 3, 18),
        ),
    )


STEPS = f"""  steps:
    - inspectDisks: {{}}
    - install: {{installer: x}}
    - firmware: {{method: redfish, file: {{url: "https://f.example.net/b.bin", sha256: {SUM}}}}}
    - prepareMaster: {{system: windows, administratorPassword: !secret windows/admin}}
"""


def test_a_step_without_provider_compiles_to_why_it_cannot_be_carried_out() -> None:
    text = NETWORK + GROUP + ALL + "---\n" + document("Scenario", STEPS) + MACHINE
    steps = fleet_of(text).scenarios["x"].steps
    assert steps[0] == InspectDisksStep()
    assert [(each.action, each.reason) for each in steps if isinstance(each, UnsupportedStep)] == [
        ("install", "no provider installs operating systems yet"),
        ("firmware", "no provider changes firmware yet"),
        ("prepareMaster", "no provider prepares masters yet"),
    ]


def test_what_an_unsupported_step_says_is_part_of_the_scenarios_meaning() -> None:
    one, two = (
        fleet_of(document("Scenario", f"  steps: [{{run: {{command: [{word}]}}}}]\n"))
        for word in ("date", "uptime")
    )
    assert one.scenarios["x"].digest != two.scenarios["x"].digest


def test_multicast_is_not_supported_yet() -> None:
    scenario = fleet_of(
        IMAGE
        + document(
            "Scenario",
            "  delivery: {mode: multicast, maxTargets: 20, maxWait: 5m, maxRate: 400Mbit/s}\n"
            "  steps: [{restore: {image: golden}}]\n",
        )
    ).scenarios["x"]
    assert scenario.unsupported == "no provider sends images by multicast yet"


def test_how_data_is_delivered_is_no_part_of_a_scenarios_meaning() -> None:
    steps = "  steps: [{restore: {image: golden}}]\n"
    plain = fleet_of(IMAGE + document("Scenario", steps)).scenarios["x"]
    sent = fleet_of(IMAGE + document("Scenario", steps + "  delivery: {mode: multicast}\n"))
    assert plain.unsupported == ""
    assert sent.scenarios["x"].digest == plain.digest


@pytest.mark.parametrize(
    ("power", "driver", "reason", "fields"),
    [
        ("{driver: wake-on-lan}", "wake-on-lan", "", {"power.driver"}),
        (
            "{driver: redfish, address: 10.9.0.1, username: a, password: !secret bmc/m}",
            "redfish",
            "no provider switches machines by Redfish yet",
            {"power.driver", "power.address", "power.username", "power.password"},
        ),
        (
            "{driver: ipmi, address: bmc-m.example.net, username: a, password: !secret bmc/m}",
            "ipmi",
            "no provider switches machines by IPMI yet",
            {"power.driver", "power.address", "power.username", "power.password"},
        ),
        (
            "{driver: webhook, url: 'https://power.example.net/hook'}",
            "webhook",
            "no provider switches machines by a webhook yet",
            {"power.driver", "power.url"},
        ),
    ],
)
def test_a_machine_says_why_its_power_driver_cannot_be_used(
    power: str, driver: str, reason: str, fields: set[str]
) -> None:
    own = fleet_of(NETWORK + GROUP + MACHINE[4:] + f"  power: {power}\n").machines["m"]
    inherited = fleet_of(
        NETWORK + GROUP.replace("network: n", f"network: n, power: {power}") + MACHINE[4:]
    ).machines["m"]
    for machine in (own, inherited):
        assert (machine.power_driver, machine.unsupported) == (driver, reason)
        assert {name for name in machine.origins if name.startswith("power")} == fields


def test_the_settings_of_a_bmc_are_part_of_a_machines_meaning_but_no_secret_value() -> None:
    def digest(address: str) -> str:
        power = f"  power: {{driver: ipmi, address: {address}, username: a, password: !secret b}}\n"
        return fleet_of(NETWORK + GROUP + MACHINE[4:] + power).machines["m"].digest

    assert digest("10.9.0.1") == digest("10.9.0.1")
    assert digest("10.9.0.1") != digest("10.9.0.2")


def test_a_nearer_power_block_replaces_every_field_of_the_outer_one() -> None:
    outer = "network: n, power: {driver: webhook, url: 'https://p.example.net/h'}"
    text = NETWORK + GROUP.replace("network: n", outer) + MACHINE[4:]
    machine = fleet_of(text + "  power: {driver: manual}\n").machines["m"]
    assert (machine.power_driver, machine.unsupported) == ("manual", "")
    assert {name for name in machine.origins if name.startswith("power")} == {"power.driver"}


def test_a_machine_names_the_hardware_whose_history_it_continues() -> None:
    text = (
        NETWORK
        + GROUP
        + MACHINE[4:].replace(
            '"]}',
            '"], formerly: ["mac:52-54-00-00-00-0A", "uuid:4C4C4544-0042-3510-8052-B4C04F4E4A32"]}',
        )
    )
    assert fleet_of(text).machines["m"].formerly == (
        "mac:52:54:00:00:00:0a",
        "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32",
    )


FLEET = """  budgets:
    destructive: {atOnce: 2, perHour: 30}
    disruptive: {atOnce: 5, perHour: 50}
    groups:
      - {group: lab, disruptive: {atOnce: 1, perHour: 3}}
    networks:
      - {network: n, imaging: {atOnce: 2}}
    scenarios:
      - {scenario: x, work: {atOnce: 7}}
  defaults: {network: n}
"""


def test_the_fleet_says_budgets() -> None:
    look = document("Scenario", "  steps: [{inspectDisks: {}}]\n---\n")
    settings = fleet_of(NETWORK + GROUP + look + document("Fleet", FLEET)).settings
    assert settings.budgets == (
        Budget("fleet", "", "work", 20, per_minute=30),
        Budget("fleet", "", "imaging", 5),
        Budget("fleet", "", "destructive", 2, 30),
        Budget("fleet", "", "disruptive", 5, 50),
        Budget("group", "lab", "disruptive", 1, 3),
        Budget("network", "n", "imaging", 2),
        Budget("scenario", "x", "work", 7, per_minute=30),
    )


def test_a_machine_has_the_default_network_where_no_level_says_another() -> None:
    bare = GROUP.replace("spec: {network: n}", "spec: {}")
    text = NETWORK + bare + document("Fleet", "  defaults: {network: n}\n") + MACHINE
    machine = fleet_of(text).machines["m"]
    assert machine.network == "n"
    assert machine.origins["network"].position == Position("f.yaml", 15, 23)
    assert machine.origins["network"].path == ("lab",)


@pytest.mark.parametrize(
    ("text", "diagnostics"),
    [
        (
            document("Fleet", "  commits: {verify: gpg}\n"),
            [
                (
                    "f.yaml:5:12: RW128 spec.commits.signers: verify: gpg without signers: "
                    "no commit would ever be valid\n"
                    "    hint: list at least one signer with name and key"
                )
            ],
        ),
        (
            GROUP + document("Fleet", "  budgets: {groups: [{group: lab}, {group: lab}]}\n"),
            [
                (
                    'f.yaml:4:17: RW141 spec.network: no Network is named "n"\n'
                    "    hint: add a Network document; there is none"
                ),
                (
                    "f.yaml:10:44: RW157 spec.budgets.groups[1].group: lab already has a budget at "
                    "f.yaml:10:30\n"
                    "    hint: merge the two"
                ),
            ],
        ),
        (
            document("Group", "  power: {driver: manual, address: 10.0.0.1}\n"),
            [
                (
                    "f.yaml:5:36: RW128 spec.power.address: means nothing to driver manual\n"
                    "    hint: remove it, or choose the driver that it belongs to"
                )
            ],
        ),
        (
            document("Group", "  power: {driver: ipmi, address: a, username: b, password: c}\n"),
            [
                (
                    "f.yaml:5:60: RW127 spec.power.password: must be a reference such as !secret "
                    "bmc/rack07, not the value\n"
                    "    hint: keep the value itself out of the repository; it stays in its history"
                )
            ],
        ),
        (
            document("Schedule", SCHEDULE.partition("spec:\n")[2].replace("30 22", "60 22")),
            [('f.yaml:8:11: RW128 spec.when.cron: "60" is not a minute\n    hint: from 0 to 59')],
        ),
        (
            document("Schedule", SCHEDULE.partition("spec:\n")[2].replace(" * * mon-fri", " * *")),
            [
                (
                    'f.yaml:8:11: RW128 spec.when.cron: "30 22 * *" has 4 fields, a recurring time '
                    "has 5\n"
                    "    hint: minute, hour, day of the month, month, day of the week: "
                    '"30 2 * * sat"'
                )
            ],
        ),
        (
            document(
                "Schedule",
                "  select: {machines: [m]}\n  action: {scenario: y, power: on}\n"
                "  when: {at: '2026-12-01T06:00:00Z', timeZone: UTC}\n",
            ),
            [
                (
                    "f.yaml:6:11: RW128 spec.action: wants exactly one of scenario and power\n"
                    "    hint: write one Schedule per action"
                ),
                (
                    "f.yaml:7:48: RW128 spec.when.timeZone: at says its offset itself\n"
                    "    hint: remove timeZone"
                ),
            ],
        ),
        (
            document("Installer", "  operatingSystem: y\n  format: preseed\n"),
            [
                (
                    "f.yaml:5:20: RW141 spec.operatingSystem: no OperatingSystem is named "
                    '"y"\n'
                    "    hint: add an OperatingSystem document; there is none"
                )
            ],
        ),
        (
            SYSTEM.replace(SUM, "9f", 1).replace("https://deb.example.net/debian", "http://a:b@c/"),
            [
                (
                    "f.yaml:8:11: RW128 spec.media.tree: the address has a user name or password "
                    "in it\n"
                    "    hint: take it out and change the password, since Git keeps it for ever; "
                    "where a login is possible, it has fields of its own"
                ),
                (
                    'f.yaml:9:60: RW128 spec.media.kernel.sha256: "9f" is not a SHA-256 checksum\n'
                    "    hint: 64 hexadecimal digits, as sha256sum prints"
                ),
            ],
        ),
        (
            document("Scenario", "  steps: [{files: {copy: [{source: ../x, target: etc}]}}]\n"),
            [
                (
                    'f.yaml:5:50: RW128 spec.steps[0].files.copy[0].target: "etc" is not a place '
                    "on a machine\n"
                    "    hint: an absolute path without .., for example /etc/motd or "
                    "C:\\Tools\\agent.ini"
                )
            ],
        ),
        (
            POLICY.replace("days: [sat]", "days: [saturday]").replace("[x]", "[]"),
            [
                (
                    "f.yaml:8:49: RW128 spec.install.windows[0].days[0]: must be one of mon, tue, "
                    'wed, thu, fri, sat, sun, not "saturday"\n'
                    '    hint: did you mean "sat"?'
                )
            ],
        ),
        (
            document("DeployOS", "  models: [{}]\n"),
            [
                (
                    "f.yaml:5:12: RW151 spec.models[0]: no model is matched\n"
                    "    hint: add vendor or product"
                )
            ],
        ),
    ],
)
def test_what_has_no_effect_yet_is_checked_all_the_same(text: str, diagnostics: list[str]) -> None:
    assert problems_of(text) == diagnostics


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_the_example_of_a_kind_without_provider_needs_only_what_it_refers_to(kind: str) -> None:
    assert set(example_document(kind)) == {"apiVersion", "kind", "metadata", "spec"}
