"""What all tests share: a test that cannot run has failed, and what fails leaves its traces."""

import os
import re
import shutil
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
UNIT = Path("tests/unit")
UNIT_SECONDS = 60  # generous: a hang shall end, a busy computer shall not matter
LAST_LINES = 40

settings.register_profile("rackwright", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "rackwright")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what runs in the background; the programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every unit test an end."""
    for item in items:
        if is_unit(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(UNIT_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to begin where programs are missing that only unit tests can do without."""
    if session.config.option.collectonly or all(is_unit(item) for item in session.items):
        return
    listed = (ROOT / ".ci/debian-packages").read_text()
    if missing := missing_programs(listed):
        raise pytest.UsageError(
            f"these tests need {', '.join(missing)}. Run as root: make packages"
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail, and not skip, what only root can do."""
    root_only = item.get_closest_marker("needs_root") or item.get_closest_marker("lab")
    if root_only and os.geteuid() != 0:
        pytest.fail("only root can run this test: sudo make test", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that skips itself outside the unit tests."""
    report = yield
    if report.skipped and not is_unit(collector):
        fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test outside the unit tests; add the consoles to a failed one."""
    del call
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not is_unit(item):
        fail(report)
    temporary = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and temporary is not None and (temporary / "consoles").is_dir():
        kept = ROOT / "build/consoles" / re.sub(r"[^A-Za-z0-9_.-]+", "-", item.nodeid)
        report.sections.append(("Consoles", keep(temporary / "consoles", kept)))
    return report


@pytest.fixture
def keep_consoles(tmp_path: Path) -> Path:
    """Return a directory whose ``*.log`` files are shown and kept when the test fails."""
    directory = tmp_path / "consoles"
    directory.mkdir()
    return directory


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn the report of a skip into that of a failure."""
    reason = report.longreprtext
    report.outcome = "failed"
    report.longrepr = f"skipped, but a test that cannot run has failed: {reason}"


def is_unit(node: pytest.Item | pytest.Collector) -> bool:
    """Tell whether a test, or a file of them, needs neither root nor programs."""
    return (ROOT / UNIT) in node.path.parents


def missing_programs(listed: str) -> list[str]:
    """Return what is not there of ``.ci/debian-packages``, with the package that has it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    missing = []
    for line in listed.splitlines():
        package, *signs = line.partition("#")[0].split() or [""]
        missing += [
            f"{sign} (package {package})"
            for sign in signs
            if not (Path(sign).exists() if sign[0] == "/" else shutil.which(sign, path=path))
        ]
    return missing


def keep(consoles: Path, kept: Path) -> str:
    """Copy the consoles to ``kept`` and return the ends of all logs, where links lead to one."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(consoles, kept, ignore_dangling_symlinks=True)
    parts = [f"kept in {kept}"]
    for log in sorted(path for path in consoles.rglob("*.log") if path.exists()):
        lines = log.read_text(errors="replace").splitlines()
        parts += [f"--- {log.relative_to(consoles)}, last {LAST_LINES} lines", *lines[-LAST_LINES:]]
    return "\n".join(parts)
