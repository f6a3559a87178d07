"""Whether a package is for this system. Pure."""

from agent.packages.adapter import SystemFacts
from agent.wire.package import PackageTarget, WantedPackage


def is_applicable(wanted: WantedPackage, facts: SystemFacts) -> bool:
    """Return whether one of the package's targets fits, or it names none."""
    return not wanted.targets or any(fits(target, facts) for target in wanted.targets)


def fits(target: PackageTarget, facts: SystemFacts) -> bool:
    """Return whether all that the target names is so here."""
    return (
        (not target.family or target.family in facts.families)
        and (
            not target.versions
            or any(
                _begins(own, wanted, ".") for wanted in target.versions for own in facts.versions
            )
        )
        and (not target.architecture or target.architecture == facts.architecture)
        and (
            not target.language
            or any(_begins(_plain(own), _plain(target.language), "-") for own in facts.languages)
        )
    )


def words_of(facts: SystemFacts) -> str:
    """Return the system in words: ``debian 12 amd64 en-US``."""
    parts = (facts.families[:1], facts.versions[:1], (facts.architecture,), facts.languages[:1])
    return " ".join(word for part in parts for word in part if word)


def _begins(own: str, wanted: str, separator: str) -> bool:
    return own == wanted or own.startswith(wanted + separator)


def _plain(language: str) -> str:
    """Return ``pt-br`` for ``pt_BR.UTF-8``."""
    return language.partition(".")[0].partition("@")[0].replace("_", "-").lower()
