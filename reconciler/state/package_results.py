"""What became of packages, among the results of a step."""

from collections.abc import Iterable, Mapping
from json import dumps, loads

from agent.wire.codec import WireError, decode
from agent.wire.package import PackageResult

PACKAGES = "packages"
"""Under which an agent says it: a list as JSON."""


def package_results(result: Mapping[str, str]) -> tuple[PackageResult, ...]:
    """Return the results of packages that a step's result has; what nobody can read is left out."""
    try:
        found = loads(result.get(PACKAGES, "[]"))
    except ValueError:
        return ()
    return readable_results(found if isinstance(found, list) else [])


def readable_results(found: Iterable[object]) -> tuple[PackageResult, ...]:
    """Return what can be read of results that were kept as JSON data."""
    results = []
    for each in found:
        try:
            results.append(decode(PackageResult, dumps(each).encode()))
        except WireError:  # of a newer agent
            continue
    return tuple(results)
