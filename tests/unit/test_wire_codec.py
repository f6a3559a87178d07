"""Decoding what strangers send: errors are bounded in number, size and cost."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.codec import WireError, decode
from agent.wire.enrollment import EnrollmentRequest
from agent.wire.report import Report
from agent.wire.work import OperationEvent, Work

GOOD = {
    "token": "t",
    "csr": "c",
    "environment": "deploy-os",
    "macs": ["52:54:00:12:34:56"],
    "uuid": "",
    "agent_version": "1",
}


def refusal(**changes) -> str:
    with pytest.raises(WireError) as caught:
        decode(EnrollmentRequest, json.dumps(GOOD | changes).encode())
    return str(caught.value)


def test_each_bad_field_is_named():
    assert refusal(macs=["x"] * 10 + [3], uuid=5) == (
        "not a EnrollmentRequest: invalid value for type, expected str @ $.macs[10]; "
        "invalid value for type, expected str @ $.uuid"
    )


def test_a_million_bad_items_cost_what_ten_cost():
    body = json.dumps(GOOD | {"macs": [0] * 1_000_000}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as caught:
            decode(EnrollmentRequest, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value).count("expected str") == 10
    assert peak < 5 * len(body) + 2_000_000


def test_a_long_value_does_not_come_back():
    assert len(refusal(token="x" * 4_000_000)) < 300
    assert len(refusal(environment="x" * 4_000_000)) < 300


@pytest.mark.parametrize("macs", ["52:54:00:12:34:56", {"52:54:00:12:34:56": 1}, None, 5])
def test_a_list_is_a_list(macs):
    assert refusal(macs=macs) == (
        "not a EnrollmentRequest: invalid value for type, expected tuple @ $.macs"
    )


def test_what_no_database_can_hold_is_refused():
    assert "$.uuid" in refusal(uuid="\ud800")
    event = {"attempt": 2**63, "kind": "done"}
    with pytest.raises(WireError, match=r"\$\.attempt"):
        decode(OperationEvent, json.dumps(event).encode())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.sampled_from([EnrollmentRequest, Report, OperationEvent, Work]), _JSON | st.binary())
def test_garbage_raises_one_error_of_bounded_size(kind, value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        decode(kind, body)
    except WireError as error:
        assert len(str(error)) < 3000  # noqa: PT017 - decoding may also succeed


@given(
    st.dictionaries(st.sampled_from(sorted(GOOD)), _JSON, min_size=1),
)
def test_damaged_fields_raise_one_error_of_bounded_size(changes):
    try:
        decode(EnrollmentRequest, json.dumps(GOOD | changes).encode())
    except WireError as error:
        assert len(str(error)) < 3000  # noqa: PT017 - decoding may also succeed
