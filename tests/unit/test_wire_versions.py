"""Server and agents of other versions: fields that only one of the two knows."""

import json

import pytest
from attrs import NOTHING, fields

from agent.wire.codec import decode, encode
from agent.wire.disk import DiskIdentity, DiskSelector
from agent.wire.enrollment import Enrollment, EnrollmentRequest
from agent.wire.renewal import RenewalRequest, RenewedCertificate
from agent.wire.report import ReportAnswer
from agent.wire.step import Backup, Finish, Restore, Run, UpgradeAgent
from agent.wire.work import Claim, OperationEvent, TimeLimit, Work
from tests.builders.world import a_report, an_installed_system
from tests.unit.test_system_work import a_fleet

MACHINE = a_fleet().machines["m"]
MESSAGES = [
    EnrollmentRequest("t", "csr", "installed", ("52:54:00:12:34:56",), "", "0.1.0"),
    Enrollment("m", "certificate", "authority"),
    a_report(MACHINE, installed=an_installed_system(MACHINE, "")),
    ReportAnswer("", "value"),
    RenewalRequest("csr"),
    RenewedCertificate("certificate", "authority"),
    Claim(2),
    OperationEvent(1, 2, "step-done", 0, result={"agent": "0.3.0"}),
    Work(
        "op-1",
        1,
        (
            Backup("golden", DiskSelector(serial="S")),
            Restore("golden", "a" * 64, DiskIdentity("naa.5", "S", "pci-0000:00:04.0", 1000)),
            Run(("true",), (0,), 60, 60),
            UpgradeAgent("0.3.0", 60),
            Finish("reboot"),
        ),
        (TimeLimit(0, 1, 60),),
    ),
]


def of_a_newer_peer(value, *, is_message=True):
    """Return JSON with a field in each message that no version has so far."""
    if isinstance(value, list):
        return [of_a_newer_peer(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {
        name: of_a_newer_peer(each) if name != "result" else each for name, each in value.items()
    }
    return inner | {"added_later": {"by": ["two", "versions"]}} if is_message else inner


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_what_a_newer_peer_says_besides_is_left_aside(message):
    body = of_a_newer_peer(json.loads(encode(message)))
    assert decode(type(message), json.dumps(body).encode()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_what_an_older_peer_does_not_say_has_a_default(message):
    body = json.loads(encode(message))
    for field in fields(type(message)):
        if field.default is not NOTHING:
            del body[field.name]
    read = decode(type(message), json.dumps(body).encode())
    assert all(getattr(read, name) == getattr(message, name) for name in body)


# What agents and servers of 0.1 said, as it was: two minor versions before 0.3.
OF_0_1 = [
    (
        EnrollmentRequest,
        '{"token":"t","csr":"c","environment":"installed","macs":[],"uuid":"","agent_version":"0.1"}',
    ),
    (Enrollment, '{"machine":"m","certificate":"c","authority":"a"}'),
    (ReportAnswer, '{"finished":"2026-07-01T12:00:00+00:00"}'),
    (Claim, '{"attempt":1}'),
    (OperationEvent, '{"attempt":1,"sequence":2,"kind":"done","step":0}'),
    (Work, '{"operation":"o","attempt":1,"steps":[{"type":"finish","action":"stay"}]}'),
]


@pytest.mark.parametrize(("kind", "text"), OF_0_1, ids=lambda each: getattr(each, "__name__", ""))
def test_messages_of_two_minor_versions_ago_are_understood(kind, text):
    decode(kind, text.encode())
