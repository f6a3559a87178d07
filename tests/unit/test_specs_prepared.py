"""Prepared checks of Machine documents: they accept what the model accepts, and mean the same."""

import json
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from reconciler.compiled.compile import compile_index
from specs.compile.machine_context import (
    InvalidPartError,
    MachineContext,
    compile_part,
    machine_claims,
)
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledMachine
from specs.kinds import KINDS
from specs.kinds.machine import MachineSpec
from specs.kinds.power import Power
from specs.prepared import PREPARED, Prepared, StandIn, prepare
from specs.types.secret import SecretReference
from specs.validate.document import define
from specs.yaml import Document, load_file
from specs.yaml.scalars import Plain
from tests.broken.case import BASE, cases

ROOT = Path(__file__).parents[2]
PREPARED_MACHINE = Prepared(prepare())
TEXTS = [
    *("node-0713", "tokyo/row2/rack07", "52:54:00:12:34:56", "52-54-00-AB-CD-EF", "10.20.7.13/24"),
    *("4c4c4544-0042-3510-8052-b4c04f4e4a32", "mac:52:54:00:12:34:56", "wake-on-lan", "manual"),
    *("redfish", "ipmi", "webhook", "https://power.example.net/hook", "bmc-0713.example.net", ""),
    *("Machine", "rackwright/v1alpha1", "A", "a b", "x" * 64, "x" * 257, "2026-11", "00:00:00"),
]
FULL: dict[str, Any] = {
    "apiVersion": "rackwright/v1alpha1",
    "kind": "Machine",
    "metadata": {"name": "node-0713", "labels": {"role": "compute", "rack": 7}},
    "spec": {
        "group": "tokyo/row2/rack07",
        "hardware": {
            "macs": ("52:54:00:12:34:56", "52-54-00-AB-CD-EF"),
            "uuid": "4c4c4544-0042-3510-8052-b4c04f4e4a32",
            "serial": "5CG8243XYZ",
            "formerly": ("mac:52:54:00:12:34:57",),
        },
        "identity": {
            "hostname": "Node-0713",
            "domain": "Tokyo.example.net",
            "addresses": ("10.20.7.13/24",),
        },
        "network": "tokyo-a",
        "power": {
            "driver": "redfish",
            "address": "10.20.200.13",
            "username": "rackwright",
            "password": SecretReference("bmc/rack07"),
        },
        "assign": ({"scenario": "golden-compute", "run": 3},),
        "protect": True,
    },
}
WITHOUT_SECRETS: dict[str, Any] = {
    **FULL,
    "spec": {
        **FULL["spec"],
        "power": {"driver": "webhook", "url": "https://power.example.net/hook"},
    },
}
WITH_SECRETS = b"""\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-0713}
spec:
  group: tokyo/row2/rack07
  hardware: {macs: ["52:54:00:12:34:56"]}
  power:
    username: rackwright
    password: !secret bmc/rack07
    driver: redfish
    address: 10.20.200.13
"""
SURROUNDINGS = b"""\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: tokyo-a}
spec: {subnet: 10.20.7.0/24, dhcp: {mode: server, range: 10.20.7.10-10.20.7.20}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: tokyo/row2/rack07}
spec: {network: tokyo-a, power: {driver: wake-on-lan}, labels: {site: tokyo}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: golden-compute}
spec: {steps: [{inspectDisks: {}}]}
"""
scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.text(max_size=4),
    st.just(SecretReference("bmc/rack07")),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(tuple), st.dictionaries(st.sampled_from(TEXTS), inner)
    ),
    max_leaves=4,
)


def context() -> MachineContext:
    """Return what machines of the lab's fleet and of ``FULL`` can be compiled with."""
    lab = {path.name: path.read_bytes() for path in (ROOT / "examples/lab/fleet").glob("*.yaml")}
    compiled = compile_index({**lab, "site.yaml": SURROUNDINGS})
    assert compiled is not None
    return compiled[1].context


def machines_in(files: Mapping[str, bytes]) -> Iterator[Document]:
    for name, content in files.items():
        for document in load_file(name, content).documents:
            if isinstance(document.data, dict) and document.data.get("kind") == PREPARED:
                yield document


def examples() -> list[Document]:
    """Return the Machine documents of all examples and of the corpus of broken fleets."""
    paths = sorted((ROOT / "examples").rglob("*.yaml"))
    places = [{str(path.relative_to(ROOT)): path.read_bytes()} for path in paths]
    fleets = [BASE, *(case.files for case in cases()), *places]
    return [document for files in fleets for document in machines_in(files)]


EXAMPLES = examples()
CONTEXT = context()


def plain(value: Any) -> Any:
    """Return what a model or a stand-in holds: its fields, and which of them were written."""
    if isinstance(value, BaseModel | StandIn):
        fields = {name: plain(part) for name, part in vars(value).items()}
        return type(value).__name__, list(fields.items()), value.model_fields_set
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return type(value), value


def agrees(data: Plain) -> bool:
    """Assert that model and stand-in are equal; return whether the document is sound."""
    found = PREPARED_MACHINE.sound(PREPARED, data)
    try:
        model = KINDS[PREPARED].model_validate(data)
    except ValidationError:
        assert found is None
        return False
    assert isinstance(found, StandIn)
    assert plain(found) == plain(model)
    return True


def test_a_document_with_every_field_needs_no_model() -> None:
    assert agrees(FULL)
    assert set(FULL["spec"]) == set(MachineSpec.model_fields)


def test_a_document_with_the_least_has_the_defaults_of_the_model() -> None:
    spec = {"group": "a", "hardware": {"macs": ("52:54:00:12:34:56",)}}
    assert agrees({**FULL, "metadata": {"name": "a"}, "spec": spec})


def test_all_documents_of_the_examples_and_of_broken_fleets_are_judged_alike() -> None:
    judged = [agrees(document.data) for document in EXAMPLES]
    assert judged.count(True) > 100
    assert judged.count(False) > 50


def changed(data: st.DataObject, value: Plain) -> Plain:
    """Return a document in which one value at any depth is another one, or gone, or new."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(value)))
        action = data.draw(st.sampled_from(["within"] * 6 + ["gone", "renamed"]))
        if action == "within":
            return {**value, key: changed(data, value[key])}
        rest = {name: part for name, part in value.items() if name != key}
        return rest if action == "gone" else {**rest, data.draw(st.text(max_size=3)): value[key]}
    if isinstance(value, tuple) and value and data.draw(st.integers(0, 5)):
        index = data.draw(st.integers(0, len(value) - 1))
        return (*value[:index], changed(data, value[index]), *value[index + 1 :])
    return data.draw(anything)


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_documents_with_random_changes_are_judged_alike(data: st.DataObject) -> None:
    document: Plain = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        document = changed(data, document)
    agrees(document)


@given(anything)
@settings(deadline=None, max_examples=100)
def test_random_values_are_judged_alike(data: Plain) -> None:
    agrees(data)


def outcome(document: Document, prepared: Prepared) -> tuple[object, ...]:
    """Return all that becomes of a document: its problems, its claims, its machine."""
    diagnostics = Diagnostics()
    found = define(document, diagnostics, NearestNames(), prepared)
    said = (found.kind, found.name, found.invalid, tuple(map(str, diagnostics.in_order())))
    try:
        claims = machine_claims(found)
        machines, warnings = compile_part([found], CONTEXT)
    except InvalidPartError:
        return said
    (machine,) = machines.values()
    return (*said, claims, machine, dict(machine.origins), warnings)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_documents_with_random_changes_mean_the_same(data: st.DataObject) -> None:
    document: Plain = WITHOUT_SECRETS
    for _ in range(data.draw(st.integers(0, 2))):
        document = changed(data, document)
    text = json.dumps(document, default=lambda secret: secret.name)
    for loaded in load_file("m.yaml", text.encode()).documents:
        assert outcome(loaded, PREPARED_MACHINE) == outcome(loaded, Prepared())


def test_documents_of_examples_and_of_broken_fleets_mean_the_same() -> None:
    outcomes = [outcome(document, PREPARED_MACHINE) for document in EXAMPLES]
    assert outcomes == [outcome(document, Prepared()) for document in EXAMPLES]
    assert any(isinstance(part, CompiledMachine) for found in outcomes for part in found)


def test_the_power_block_keeps_its_settings_in_the_order_of_the_language() -> None:
    (document,) = load_file("m.yaml", WITH_SECRETS).documents
    found = outcome(document, PREPARED_MACHINE)
    assert found == outcome(document, Prepared())
    (machine,) = (part for part in found if isinstance(part, CompiledMachine))
    assert machine.power_driver == "redfish"
    assert list(machine.power_settings.items()) == [
        ("address", "10.20.200.13"),
        ("password", "!secret bmc/rack07"),
        ("username", "rackwright"),
    ]
    fields = [name for name in machine.origins if name.startswith("power.")]
    assert fields == [
        f"power.{name}" for name in Power.model_fields if name not in {"url", "token"}
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        pickle.dumps(None),
        pickle.dumps({"type": "nothing that is known"}),
        pickle.dumps({"type": "function-plain", "function": {"function": os.getpid}}),
        prepare()[:-100],
        prepare().replace(b"specs.types.text", b"specs.types.none"),
    ],
)
def test_of_damaged_or_foreign_data_nothing_is_prepared(data: bytes) -> None:
    assert Prepared(data).sound(PREPARED, FULL) is None


def test_a_module_that_may_be_named_does_not_lead_to_what_it_imports() -> None:
    check = {"type": "no-info", "function": re.escape}
    written = pickle.dumps({"type": "function-plain", "function": check}, 4)
    named = (b"\x8c\x02re\x94\x8c\x06escape", b"\x8c\x15specs.types.host_name\x94\x8c\tre.escape")
    data = written[:2] + written[11:].replace(*named)  # without the size of its frame
    assert Prepared(data).sound(PREPARED, "text") is None


def test_only_machines_are_prepared() -> None:
    assert PREPARED_MACHINE.sound("Group", FULL) is None
