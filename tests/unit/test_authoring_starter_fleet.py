"""What `rackwright init` writes."""

import json

from builders.world import NOW
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from reconciler.authoring.starter_fleet import SCHEMA_FILE, modeline, starter_fleet
from reconciler.planning.plan import exit_code
from reconciler.planning.planner import plan
from reconciler.state.observed import Observed
from specs.compile.fleet import compile_fleet
from specs.kinds import KINDS
from specs.schema import json_schema


def test_a_new_fleet_is_valid_without_a_warning_and_has_nothing_to_do() -> None:
    files = {path: text.encode() for path, text in starter_fleet("lab").items()}
    result = compile_fleet(files, "r")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    assert list(result.fleet.machines) == ["node-01"]
    assert result.fleet.machines["node-01"].protect
    assert exit_code(plan(result.fleet, Observed(), NOW)) == 0


def test_a_new_fleet_still_compiles_with_its_commented_lines_in_force() -> None:
    files = starter_fleet("lab")
    machines = files["machines.yaml"].replace("  # assign:", "  assign:")
    machines = machines.replace("  #   - scenario:", "    - scenario:")
    machines = machines.replace("  #     run:", "      run:")
    result = compile_fleet(
        {path: text.encode() for path, text in {**files, "machines.yaml": machines}.items()}, "r"
    )
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    assert [each.scenario for each in result.fleet.machines["node-01"].assignments] == [
        "capture-golden"
    ]


def test_every_document_names_the_schema_that_lies_beside() -> None:
    files = starter_fleet("lab")
    for path, text in files.items():
        if path != SCHEMA_FILE:
            assert text.startswith("# yaml-language-server: $schema=.rackwright/schema.json\n")
    assert json.loads(files[SCHEMA_FILE]) == json_schema()


def test_every_document_fits_the_schema_which_knows_all_kinds() -> None:
    files = starter_fleet("lab")
    schema = json.loads(files.pop(SCHEMA_FILE))
    validator = Draft7Validator(schema)
    seen = set()
    for path, text in files.items():
        for document in YAML(typ="safe").load_all(text):
            assert [error.message for error in validator.iter_errors(document)] == [], path
            seen.add(document["kind"])
            assert list(validator.iter_errors({**document, "spce": 1})), "anything would fit"
    assert seen == {"Fleet", "Network", "Group", "Machine", "Scenario", "Image"}
    assert all(f'"{kind}"' in json.dumps(schema) for kind in KINDS)


def test_a_file_in_a_folder_finds_the_schema_above() -> None:
    assert modeline("sites/tokyo/machines.yaml") == (
        "# yaml-language-server: $schema=../../.rackwright/schema.json\n"
    )
