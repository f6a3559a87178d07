"""The version under which compiled fleets are kept."""

from pathlib import Path

import pytest

from reconciler.compiled.version import program_version


def test_another_pydantic_makes_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = program_version()
    for package in ("pydantic", "pydantic_core"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            other = program_version.__wrapped__()
        assert other != known
        known = other
    assert program_version.__wrapped__() == program_version()
