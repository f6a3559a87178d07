"""The rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "providers", "reconciler", "specs")
# NetworkManager has its name from its own makers.
DRAWERS = re.compile(r"(^|_)(utils?|helpers?|commons?|(?<!network_)managers?|misc)(_|$)")
LONGEST_FUNCTION = 100
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError\b")

# The hundreds of the error codes that a package, or one folder of it, may use.
CODES = {
    "agent": "2456",
    "agent/commands": "25",
    "agent/imaging": "4",
    "agent/packages": "2",
    "agent/upgrade": "6",
    "agent/windows": "2",
    "providers": "8",
    "providers/content": "2",
    "providers/agent_package": "68",
    "providers/deploy_os": "8",
    "providers/imaging": "4",
    "providers/lab": "8",
    "providers/netboot": "3",
    "providers/package_source": "2",
    "providers/power": "6",
    "reconciler": "25679",
    "specs": "1",
}


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def component(path: Path) -> str:
    """Return whose error codes a module uses: a folder of a package, or all of the package."""
    first, second, *_ = path.relative_to(ROOT).parts
    folder = f"{first}/{second}"
    return folder if folder in CODES or first == "reconciler" else first


def codes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^RW\d{3}$", node.value)


def test_no_module_is_a_drawer_for_everything() -> None:
    everywhere = [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    parts = {part for path in everywhere for part in path.relative_to(ROOT).with_suffix("").parts}
    assert [part for part in sorted(parts) if DRAWERS.search(part)] == []


def test_no_function_is_longer_than_a_person_can_hold() -> None:
    long = [
        f"{named(path)}:{node.lineno} {node.name} has {length} lines"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def test_nothing_is_left_unfinished() -> None:
    unfinished = [
        f"{named(path)}:{number} {line.strip()}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert unfinished == []


def test_an_error_code_belongs_to_one_component() -> None:
    owners: dict[str, set[str]] = {}
    for path in modules():
        for code in codes(path):
            owners.setdefault(code, set()).add(component(path))
    assert {code: owner for code, owner in owners.items() if len(owner) > 1} == {}


def test_an_error_code_is_in_its_components_range() -> None:
    strays = [
        f"{named(path)} {code}"
        for path in modules()
        for code in codes(path)
        if code[2] not in CODES.get(component(path), CODES.get(path.relative_to(ROOT).parts[0], ""))
    ]
    assert strays == []


def test_public_names_change_only_on_purpose() -> None:
    public = {}
    for path in modules():
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                public[path.parent.relative_to(ROOT).as_posix()] = ast.literal_eval(node.value)
    assert public == {
        "specs/yaml": ["Document", "LoadedFile", "Section", "load_file", "load_section"],
    }
