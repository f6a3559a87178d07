"""Changes of a branch that look harmless: what overwrites a disk because of them is said."""

import pytest
from builders.changes import changed_values
from builders.world import NOW

from reconciler.planning.difference import wanted_difference
from reconciler.planning.item import Risk
from specs.compile.fleet import compile_fleet

REVIEWED = """\
kind: Fleet
metadata: {name: f}
spec: {defaults: {network: n}}
---
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/16}
---
kind: Group
metadata: {name: web}
spec:
  assign: [{scenario: renew, run: one}]
---
kind: Group
metadata: {name: vault}
spec:
  protect: true
  assign: [{scenario: renew, run: one}]
---
kind: Group
metadata: {name: lab}
---
kind: Image
metadata: {name: golden}
---
kind: Image
metadata: {name: "kept-{machine}"}
---
kind: Scenario
metadata: {name: renew}
spec:
  steps:
    - backup: {image: "kept-{machine}"}
    - restore: {image: golden}
---
kind: Scenario
metadata: {name: wipe}
spec: {steps: [{restore: {image: golden}}]}
---
kind: Hold
metadata: {name: freeze}
spec:
  select: {groups: [web]}
  owner: ops
  reason: sale
  until: 2027-06-01T00:00:00Z
---
kind: Schedule
metadata: {name: weekly}
spec:
  select: {groups: [lab]}
  action: {scenario: wipe}
  when: {cron: 0 3 * * sun, timeZone: UTC}
  approved: destructive
---
kind: Machine
metadata: {name: web-1}
spec: {group: web, hardware: {macs: ["02:00:00:00:00:01"]}}
---
kind: Machine
metadata: {name: vault-1}
spec: {group: vault, hardware: {macs: ["02:00:00:00:00:02"]}}
---
kind: Machine
metadata: {name: lab-1}
spec: {group: lab, hardware: {macs: ["02:00:00:00:00:03"]}}
""".replace("kind:", "apiVersion: rackwright/v1alpha1\nkind:")


SECOND_HOLD = """\
---
apiVersion: rackwright/v1alpha1
kind: Hold
metadata: {name: two}
spec: {select: {groups: [web]}, owner: o, reason: r, until: "2027-07-01T00:00:00Z"}
"""


def compared(old, new):
    """Return what one text changes against another."""
    sides = [{"f.yaml": text.encode()} for text in (old, new)]
    fleets = [compile_fleet(files, "1").fleet for files in sides]
    return wanted_difference(*fleets, changed_values(*sides), NOW)


def reviewed(*changes):
    text = REVIEWED
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return compared(REVIEWED, text)


def told(made):
    """Return class, machines, disks and the changed value of each cause."""
    return [
        (str(each.risk), each.names, each.disks, each.change.shown if each.change else "")
        for each in made.causes
    ]


@pytest.mark.parametrize(
    ("changes", "machine", "value"),
    [
        (
            [("00:01", "00:09"), ("00:02", "00:01"), ("00:09", "00:02")],
            "web-1",
            "spec.hardware.macs[0]",
        ),
        ([("2027-06-01T", "2026-12-01T")], "web-1", "spec.until"),
        (
            [("  until: 2027-06-01T00:00:00Z", "  until: 2020-01-01T00:00:00Z")],
            "web-1",
            "spec.until",
        ),
        ([("* * sun", "* * *")], "lab-1", "spec.when.cron"),
        (
            [
                (
                    '    - backup: {image: "kept-{machine}"}\n    - restore: {image: golden}',
                    "    - restore: {image: golden}",
                )
            ],
            "web-1",
            "spec.steps[0]",
        ),
        ([("  protect: true\n", "")], "vault-1", "spec.protect"),
        ([("  protect: true\n", "  protect: false\n")], "vault-1", "spec.protect"),
    ],
    ids=["board", "hold ends soon", "hold ended", "cron", "no backup", "unsaid", "unprotected"],
)
def test_a_small_change_by_which_a_disk_is_overwritten_is_destructive(changes, machine, value):
    made = reviewed(*changes)
    first = made.causes[0]
    assert (first.risk, first.change.shown) == (Risk.DESTRUCTIVE, value)
    assert machine in first.names
    assert made.exit_code == 3


def test_the_approval_of_a_schedule_is_what_lets_it_overwrite():
    unapproved = ("  approved: destructive\n", "")
    assert told(reviewed(unapproved))[0][:3] == ("DISRUPTIVE", ("lab-1",), 0)
    made = compared(REVIEWED.replace(*unapproved), REVIEWED)
    assert told(made) == [("DESTRUCTIVE", ("lab-1",), 1, "spec.approved")]


@pytest.mark.parametrize(
    "changes",
    [
        [("{name: lab}\n", "{name: lab}\nspec: {protect: true}\n")],
        [("  until: 2027-06-01T", "  until: 2027-09-01T")],
        [
            (
                "{name: vault}\nspec:\n  protect: true\n",
                "{name: vault}\nspec:\n  protect: true # x\n",
            )
        ],
    ],
    ids=["protected", "held longer", "comment"],
)
def test_what_only_keeps_work_back_is_not_destructive(changes):
    assert all(each.risk is Risk.SAFE for each in reviewed(*changes).causes)


def test_a_hold_that_goes_while_protection_or_a_longer_hold_stays_frees_nothing():
    vault = ("select: {groups: [web]}", "select: {groups: [vault]}")
    second = (
        "kind: Image\nmetadata: {name: golden}\n",
        "kind: Image\nmetadata: {name: golden}\n" + SECOND_HOLD,
    )
    gone = ("until: 2027-06-01T", "until: 2026-12-01T")
    for kept in (vault, second):
        text = REVIEWED.replace(*kept)
        made = compared(text, text.replace(*gone))
        assert made.counts[Risk.DESTRUCTIVE] == 0


def test_an_expected_change_does_not_hide_another_on_the_same_machine():
    made = reviewed(
        (
            "  protect: true\n  assign: [{scenario: renew, run: one}]",
            "  assign: [{scenario: renew, run: two}]",
        )
    )
    found = {(str(each.risk), each.change.shown) for each in made.causes if "vault-1" in each.names}
    assert ("DESTRUCTIVE", "spec.protect") in found
    assert any(value.startswith("spec.assign") for _, value in found)
    assert made.counts[Risk.DESTRUCTIVE] == 1


def test_a_machine_whose_nic_is_exchanged_is_the_same_machine():
    more = ('macs: ["02:00:00:00:00:01"]', 'macs: ["02:00:00:00:00:01", "02:00:00:00:00:11"]')
    made = reviewed(more)
    assert made.causes == ()
