import subprocess
import sys
from pathlib import Path

import pytest
import zstandard.backend_c

from providers.deploy_os import elf

LIBRARY = Path(zstandard.backend_c.__file__)


def test_a_library_names_what_it_is_linked_against() -> None:
    found = elf.linkage(LIBRARY.read_bytes())

    assert found is not None
    assert "libc.so.6" in found.needed
    assert found.interpreter == ""


def test_a_program_names_its_loader() -> None:
    found = elf.linkage(Path("/bin/ls").read_bytes())

    assert found is not None
    assert found.interpreter == "/lib64/ld-linux-x86-64.so.2"


def test_a_script_is_not_linked_against_anything() -> None:
    assert elf.linkage(b"#!/bin/sh\n") is None


def test_a_library_without_its_sections_is_smaller_and_still_works(tmp_path: Path) -> None:
    whole = LIBRARY.read_bytes()
    small = elf.without_sections(whole)
    copy = tmp_path / "zstandard"
    copy.mkdir()
    (copy / "__init__.py").touch()
    (copy / LIBRARY.name).write_bytes(small)

    program = "import zstandard.backend_c as z; print(z.ZstdCompressor().compress(b'x').hex()[:8])"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said == "28b52ffd\n"
    assert len(small) < len(whole) / 4
    assert elf.linkage(small) == elf.linkage(whole)


@pytest.mark.parametrize("length", [6, 63, 64, 65, 200, 500])
def test_a_truncated_file_raises_one_error_only(length: int) -> None:
    data = LIBRARY.read_bytes()[:length]

    with pytest.raises(elf.MalformedElfError, match=r"^malformed ELF file: "):
        elf.linkage(data)
    with pytest.raises(elf.MalformedElfError, match=r"^malformed ELF file: "):
        elf.section(data, ".modinfo")
