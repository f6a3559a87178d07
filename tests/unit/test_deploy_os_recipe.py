import shutil
from pathlib import Path

import pytest

from agent.errors import TerminalError
from providers.deploy_os import base
from providers.deploy_os.recipe import (
    digest_of_folder,
    find_recipe,
    load_recipe,
    parse_recipe,
)

MINIMAL = {
    "suite": "bookworm",
    "compression_level": 3,
    "components": ["main"],
    "kernel_arguments": ["console=tty0"],
    "directories": ["proc"],
    "packages": ["busybox"],
    "distributions": ["attrs"],
    "files": ["usr/bin/busybox"],
    "modules": ["fs/ext4/*"],
    "links": {"bin": "usr/bin"},
    "boot_files": {"vmlinuz": "boot/vmlinuz-*"},
}


def test_the_shipped_recipe_loads_and_its_lock_file_has_every_distribution() -> None:
    recipe = load_recipe(find_recipe())

    assert recipe.kernel_arguments[:2] == ("console=tty0", "console=ttyS0,115200n8")
    assert len(base.digest_of(recipe)) == 64


def test_every_problem_of_a_recipe_is_named_at_once(tmp_path: Path) -> None:
    document = {**MINIMAL, "files": "usr/bin/busybox", "links": ["bin"], "modul": []}
    del document["suite"]

    with pytest.raises(ValueError, match="unknown key") as caught:
        parse_recipe(document, tmp_path, tmp_path)

    assert str(caught.value) == (
        "unknown key 'modul'; missing key 'suite'; 'files' is not a list of strings; "
        "'links' is not a table of strings"
    )


def test_a_file_that_is_no_toml_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("packages = [")

    with pytest.raises(TerminalError) as caught:
        load_recipe(tmp_path)

    assert caught.value.code == "RW851"
    assert caught.value.cause.startswith(f"{tmp_path}/recipe.toml is not a Deploy-OS recipe: ")


def test_the_base_does_not_depend_on_where_the_recipe_lies(tmp_path: Path) -> None:
    here = find_recipe()
    shutil.copytree(here, tmp_path / "recipe")
    shutil.copy(load_recipe(here).lock, tmp_path / "recipe" / "requirements.lock")

    moved = load_recipe(tmp_path / "recipe")

    assert moved.lock == tmp_path / "recipe" / "requirements.lock"
    assert base.digest_of(moved) == base.digest_of(load_recipe(here))


def test_a_folders_digest_ignores_byte_code_and_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("pass\n")
    before = digest_of_folder(tmp_path)

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    assert digest_of_folder(tmp_path) == before

    (tmp_path / "main.py").rename(tmp_path / "other.py")
    renamed = digest_of_folder(tmp_path)
    assert renamed != before

    (tmp_path / "other.py").write_text("pass \n")
    assert digest_of_folder(tmp_path) not in {before, renamed}
