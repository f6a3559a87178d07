"""Which lines of a branch cause what it changes of what is wanted."""

import json

from builders.changes import changed_lines, changed_values
from builders.world import NOW
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from reconciler.planning.difference import wanted_difference
from reconciler.planning.wanted_work import WantedWork
from specs.compile.fleet import compile_fleet

HEAD = "apiVersion: rackwright/v1alpha1\n"
GROUPS = ("lab", "lab/a", "lab/a/x", "lab/b")
ROLES = ("blue", "green")
NETWORK = f"{HEAD}kind: Network\nmetadata: {{name: lab}}\nspec: {{subnet: 10.77.0.0/16}}\n"
SITE = NETWORK + "".join(
    f"---\n{HEAD}kind: Image\nmetadata: {{name: {name}}}\n" for name in ("one", "two")
)
ASSIGNMENTS = st.dictionaries(st.sampled_from(("plain", "look")), st.sampled_from(("1", "2"))).map(
    lambda runs: [{"scenario": scenario, "run": run} for scenario, run in runs.items()]
)
_OPTIONAL = {
    "labels": st.fixed_dictionaries({"role": st.sampled_from(ROLES)}),
    "protect": st.booleans(),
    "assign": ASSIGNMENTS,
}
STEPS = st.sampled_from(
    (
        [{"inspectDisks": {}}],
        [{"restore": {"image": "one"}}],
        [{"restore": {"image": "two"}}],
        [{"inspectDisks": {}}, {"restore": {"image": "one"}}],
    )
)
SCENARIOS = st.fixed_dictionaries(
    {"steps": STEPS},
    optional={"options": st.fixed_dictionaries({"timeout": st.sampled_from(("1h", "2h"))})},
)
BY_LABEL = {"labels": st.fixed_dictionaries({"role": st.sampled_from(ROLES)})}
BY_GROUP = {"groups": st.just(["lab/a"])}
SELECTORS = st.one_of(
    *(st.fixed_dictionaries(each) for each in (BY_LABEL, BY_GROUP, BY_LABEL | BY_GROUP))
)


def document(kind, name, spec, **metadata):
    """A document on many lines, so that every value has a line of its own."""
    said = {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    lines = ["apiVersion: rackwright/v1alpha1"]
    for key, value in said.items():
        lines += written(key, value, 0)
    return "\n".join([*lines, ""])


def written(key, value, depth):
    space = "  " * depth
    if isinstance(value, dict) and value:
        yield f"{space}{key}:"
        for inner, part in value.items():
            yield from written(inner, part, depth + 1)
    elif isinstance(value, list) and value:
        yield f"{space}{key}:"
        yield from (f"{space}  - {json.dumps(each)}" for each in value)
    else:
        yield f"{space}{key}: {json.dumps(value)}"


@st.composite
def fleets(draw):
    """The documents of a revision, by kind and name: specs, and cells for the rows of a table."""
    found = {}
    for group in GROUPS:
        spec = draw(st.fixed_dictionaries({}, optional=_OPTIONAL))
        found["Group", group] = {**({"network": "lab"} if group == "lab" else {}), **spec}
    for number in (1, 2):
        spec = draw(st.fixed_dictionaries({"group": st.sampled_from(GROUPS)}, optional=_OPTIONAL))
        spec["hardware"] = {"macs": [f"52:54:00:77:00:{number:02}"]}
        if draw(st.integers(0, 5)):
            found["Machine", f"node-{number}"] = spec
    for name in ("plain", "look"):
        found["Scenario", name] = draw(SCENARIOS)
    target = {"select": draw(SELECTORS), "run": draw(st.sampled_from(("1", "2")))}
    found["Scenario", "chosen"] = {**draw(SCENARIOS), "targets": [target]}
    if draw(st.booleans()):
        hold = {"until": "2026-12-24", "owner": "me", "reason": "because"}
        found["Hold", "freeze"] = {"select": draw(SELECTORS), **hold}
    group = draw(st.sampled_from(GROUPS))
    found["MachineTable", "rows"] = {"defaults": {"group": group}, "csv": "rows.csv"}
    for name in ("row-1", "row-2"):
        cells = draw(st.sampled_from(("", *ROLES))), draw(st.sampled_from(("", "true", "false")))
        found["Row", name] = f"{name},52:54:00:78:00:0{name[-1]},{','.join(cells)}\n"
    return found


def files_of(found, cut=0):
    """A revision's files; the first ``cut`` documents stand in one of their own."""
    documents = [
        document(
            kind, name, {k: v for k, v in spec.items() if k != "labels"}, labels=spec["labels"]
        )
        if kind == "Machine" and "labels" in spec
        else document(kind, name, spec)
        for (kind, name), spec in found.items()
        if kind != "Row"
    ]
    rows = "".join(cells for (kind, _), cells in found.items() if kind == "Row")
    parts = {"a.yaml": documents[:cut], "b.yaml": documents[cut:]}
    yaml = {path: "---\n".join(texts).encode() for path, texts in parts.items() if texts}
    table = f"name,macs,label.role,protect\n{rows}".encode()
    return {"site.yaml": SITE.encode(), **yaml, "rows.csv": table}


def compiled(files):
    fleet = compile_fleet(files, "1").fleet
    assume(fleet is not None)
    return fleet


def wanted_of(fleet, name):
    wanted = WantedWork(fleet, NOW)
    machine = fleet.machines.get(name)
    return wanted.of(wanted.key(machine), machine)


def differing(base, ours):
    """The machines of which other work is wanted, or under other conditions."""
    found = []
    for name in {*base.machines, *ours.machines}:
        was, now = wanted_of(base, name), wanted_of(ours, name)
        both = base.machines.get(name), ours.machines.get(name)
        known = [{*each.hardware_identities} if each else {"any"} for each in both]
        is_other = all(both) and not known[0] & known[1]
        if (was != now and (was.work or now.work)) or (is_other and now.work):
            found.append(name)
    return sorted(found)


@given(fleets(), fleets(), st.integers(0, 9), st.integers(0, 9))
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_every_machine_of_which_other_work_is_wanted_has_one_cause_on_a_changed_line(
    before, after, cut, other_cut
):
    old, new = files_of(before, cut), files_of(after, other_cut)
    base, ours = compiled(old), compiled(new)
    made = wanted_difference(base, ours, changed_values(old, new), NOW)
    explained = {name for cause in made.causes for name in cause.names}
    assert sorted(explained) == differing(base, ours)
    assert sum(made.counts.values()) == len(explained)
    removed, added = changed_lines(old, new)
    for cause in made.causes:
        note(str(cause))
        assert cause.is_exact
        for place in cause.places:
            side = removed if cause.change.is_removed else added
            assert place.line in side[place.file]


def with_decoy(kind, spec):
    """The same with a label that nothing asks for."""
    if kind not in {"Group", "Machine"}:
        return spec
    return {**spec, "labels": {"decoy": "changed", **spec.get("labels", {})}}


@given(fleets(), fleets(), st.data())
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_the_one_document_that_matters_is_the_cause_whatever_else_the_branch_edits(
    before, other, data
):
    edited = data.draw(st.sampled_from(sorted(before.keys() & other.keys())))
    after = {
        key: other[key] if key == edited else with_decoy(key[0], spec)
        for key, spec in before.items()
    }
    old, new = files_of(before), files_of(after)
    base, ours = compiled(old), compiled(new)
    made = wanted_difference(base, ours, changed_values(old, new), NOW)
    explained = {name for cause in made.causes for name in cause.names}
    assert sorted(explained) == differing(base, ours)
    for cause in made.causes:
        note(str(cause))
        assert cause.is_exact
        kind, name = edited
        if kind in {"Row", "MachineTable"}:
            assert cause.change.kind == "Machine"
            assert (cause.places[0].file == "rows.csv") == (kind == "Row")
        else:
            assert (cause.change.kind, cause.change.name) == (kind, name)


def test_the_lines_that_git_tells_are_those_that_differ():
    old = b"".join(b"%d\n" % number for number in range(40))
    new = old.replace(b"7\n", b"seven\n").replace(b"12\n", b"").replace(b"20\n", b"20\nmore\n")
    removed, added = (side["a.yaml"] for side in changed_lines({"a.yaml": old}, {"a.yaml": new}))
    assert [line for line in range(1, 41) if line in removed] == [8, 13, 18, 28, 38]
    left = new.splitlines()
    assert [left[line - 1] for line in range(1, len(left) + 1) if line in added] == [
        b"seven",
        b"1seven",
        b"more",
        b"2seven",
        b"3seven",
    ]
