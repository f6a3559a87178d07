import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CodedError, TerminalError, TransientError
from providers.lab import control
from providers.lab.control import Request
from providers.lab.status import MachineStatus, RackStatus


@pytest.mark.parametrize(
    "request_",
    [Request("status"), Request("power-on", "node-01"), Request("screenshot", "n", "/home/é.png")],
)
def test_a_request_arrives_as_it_was_sent(request_):
    line = control.encode_request(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert control.decode_request(line) == request_


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{}\n", "there is no request b'{}\\n'"),
        (b'{"verb": "explode"}', "there is no request"),
        (b'{"verb": "reset", "machine": 7}', "there is no request"),
        (b"[]", "b'[]' is no JSON object"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_request_that_is_none_is_refused(line, words):
    with pytest.raises(CodedError) as caught:
        control.decode_request(line)
    assert words in str(caught.value)
    assert str(caught.value).startswith("RW814: the rack's supervisor cannot do this: ")


@given(st.binary(max_size=100))
def test_garbage_raises_one_kind_of_error(line):
    for decode in (control.decode_request, control.decode_answer):
        with pytest.raises(CodedError):
            decode(line)


@pytest.mark.parametrize("kind", [TerminalError, TransientError])
def test_an_error_arrives_as_it_was_raised(kind):
    line = control.encode_error(kind("RW805", "no such machine", "Name another"))
    with pytest.raises(kind) as caught:
        control.decode_answer(line)
    assert type(caught.value) is kind
    assert str(caught.value) == "RW805: no such machine. Name another."


def test_a_status_arrives_as_it_was_sent():
    status = RackStatus(
        directory="/lab",
        address="10.77.0.1/24",
        accelerator="tcg",
        machines=(
            MachineStatus("a", "bios", "on", "52:54:00:77:00:10", "/lab/a", "A", 1.5, ""),
            MachineStatus("b", "uefi", "off", "52:54:00:77:00:11", "/lab/b", "B", None, "it shut"),
        ),
    )
    line = control.encode_answer(status.as_json())
    assert RackStatus.from_json(control.decode_answer(line)) == status
