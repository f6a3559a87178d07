"""Rows are kept under a digest of the code that makes them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler
from reconciler.compiled import version
from reconciler.compiled.version import OWN, digest_of_code, program_version
from tests.unit.git_repository import GitRepository

ROOT = Path(__file__).parents[2]
LAB = ROOT / "examples/lab/fleet"


@pytest.fixture
def code(tmp_path: Path) -> tuple[Path, ...]:
    """Return copies of our folders of code that rows depend on."""
    for number, folder in enumerate(OWN):
        shutil.copytree(folder, tmp_path / str(number))
    return tuple(tmp_path / str(number) for number in range(len(OWN)))


def test_any_module_that_changes_makes_another_version(code: tuple[Path, ...]) -> None:
    first = digest_of_code(code, [])
    modules = [module for folder in code for module in folder.rglob("*.py")]
    assert {"fleet.py", "cache.py", "codec.py", "builder.py", "expand.py"} <= {
        module.name for module in modules
    }
    for module in modules:
        text = module.read_text("utf-8")
        module.write_text(f"{text}# changed\n", "utf-8")
        assert digest_of_code(code, []) != first, module
        module.write_text(text, "utf-8")
    assert digest_of_code(code, []) == first


def test_a_module_that_is_added_moved_or_removed_makes_another_version(
    code: tuple[Path, ...],
) -> None:
    found = {digest_of_code(code, [])}
    module = code[0] / "fleet.py"
    found.add(digest_of_code(code, [module]))
    shutil.copy(module, code[0] / "new.py")
    found.add(digest_of_code(code, []))
    module.rename(code[0] / "moved.py")
    found.add(digest_of_code(code, []))
    (code[0] / "moved.py").unlink()
    found.add(digest_of_code(code, []))
    assert len(found) == 5


@pytest.mark.parametrize("package", ["pydantic", "pydantic_core", "ruamel"])
def test_another_version_of_what_reads_documents_makes_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    known = program_version.__wrapped__()
    folder = tmp_path / package / ("yaml" if package == "ruamel" else "")
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert program_version.__wrapped__() != known
    assert program_version.__wrapped__() == known


def test_what_rows_depend_on_is_in_the_folders_that_are_looked_at() -> None:
    """What ``reconciler.compiled`` imports of the rest of the house gives files, not rows."""
    top = Path(reconciler.__file__).parent
    allowed = ("reconciler.compiled.", "reconciler.git.", "reconciler.errors", "specs.")
    for module in (top / "compiled").glob("*.py"):
        for line in module.read_text("utf-8").splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith(("reconciler", "agent", "providers")):
                assert words[1].startswith(allowed), f"{module.name}: {line}"
    assert (top.parent / "specs", top / "compiled") == version.OWN


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("specs/compile/machines.py", "**said},\n", '**said, "group": "elsewhere"},\n'),
        ("specs/compile/scenarios.py", '"Scenario", meaning', '"Scenery", meaning'),
        ("reconciler/state/operation.py", "digest_size=16", "digest_size=15"),
        ("reconciler/planning/scenario_work.py", "str(last + 1)", "str(last + 2)"),
    ],
)
def test_a_plan_is_right_whatever_code_changed_and_nothing_has_to_be_deleted(
    git_repository: GitRepository, tmp_path: Path, module: str, before: str, after: str
) -> None:
    git_repository.commit("The fleet", {each.name: each.read_text() for each in LAB.glob("*.yaml")})
    house = tmp_path / "house"
    for package in ("agent", "providers", "reconciler", "specs"):
        shutil.copytree(ROOT / package, house / package)

    def planned(state: str) -> dict[str, object]:
        command = [sys.executable, "-m", "reconciler.cli", "plan", "--format", "json"]
        done = subprocess.run(
            [*command, "--repo", git_repository.path, "--state", tmp_path / state],
            capture_output=True,
            text=True,
            cwd=house,
            check=False,
        )
        assert done.stderr == ""
        document: dict[str, object] = json.loads(done.stdout)
        return {key: value for key, value in document.items() if key != "madeAt"}

    first = planned("state")
    path = house / module
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    assert planned("state") == planned("new state")
    assert planned("state") != first
