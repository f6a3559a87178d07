"""What the words of package managers mean, for people. Pure.

They speak English here: every program runs in the C locale.
"""

import re

from attrs import frozen

from agent.errors import CodedError, TerminalError, TransientError


@frozen
class _Meaning:
    """A pattern in a program's output and what it means; groups of it may stand in the cause."""

    pattern: re.Pattern[str]
    code: str
    cause: str
    action: str
    passes: bool = False
    """Whether the same call may succeed later, so that it is no failed attempt."""


def _meaning(pattern: str, code: str, cause: str, action: str, *, passes: bool = False) -> _Meaning:
    return _Meaning(re.compile(pattern, re.MULTILINE), code, cause, action, passes)


_ROOM = "Make room there, and run it again"
_LOCK = "See what that process does; it is waited for again next time"
_TRUST = "Put the source's key on the machine, or take the source off"
_SOURCE = "Look at the network, the source's address and its server"
_NAME = "Compare name and version with what the machine's sources have"
_DEPENDENCY = "Bring what it depends on by a source, or by `requires`"
_SCRIPT = "See the end of the output; the script's own log may say more"

_DEBIAN = (
    _meaning(
        r"Could not get lock (\S+?)\. It is held by process (\d+) \(([^)]*)\)",
        *("RW214", "{0} was held by process {1} ({2}) all the time", _LOCK),
        passes=True,
    ),
    _meaning(
        r"dpkg: error: (dpkg frontend|.*) lock was locked by another process with pid (\d+)",
        *("RW214", "the {0} lock was held by process {1} all the time", _LOCK),
        passes=True,
    ),
    _meaning(
        r"You don't have enough free space in (\S+?)\.?$",
        *("RW213", "there is no room in {0}", _ROOM),
        passes=True,
    ),
    _meaning(
        r"(?:^|: )([^:\n]*): No space left on device|No space left on device",
        *("RW213", "the disk became full {0}", _ROOM),
        passes=True,
    ),
    _meaning(
        r"^dpkg: error processing (?:archive|package) (\S+) \(--\w+\):\n (?:installed|new) .*?"
        r"(pre|post)-?(installation|removal) script subprocess returned error exit status (\d+)",
        *("RW218", "the {1}-{2} script of {0} failed with status {3}", _SCRIPT),
    ),
    _meaning(
        r"(?:installed|new) (\S+) package (pre|post)-?(installation|removal) script subprocess "
        r"(?:returned error exit status|was killed by signal) (.+)$",
        *("RW218", "the {1}-{2} script of {0} ended with {3}", _SCRIPT),
    ),
    _meaning(
        r"conffile '?(\S*?)'?.*end of file on stdin at conffile prompt"
        r"|end of file on stdin at conffile prompt",
        "RW221",
        "a changed configuration file cannot be asked about {0}",
        "Merge the file by hand on the machine, and run it again",
    ),
    _meaning(  # before "is not signed", which apt says of these too
        r"NO_PUBKEY (\w+)",
        *("RW216", "a source is signed with the key {0}, which is not trusted here", _TRUST),
    ),
    _meaning(
        r"following signatures (?:were invalid|couldn't be verified)",
        *("RW216", "the signature of a source does not fit", _TRUST),
    ),
    _meaning(
        r"^E: The repository '(.+)' (?:is not signed|does not have a Release file|is no longer "
        r"signed)",
        *("RW216", "the source {0} is not signed", _TRUST),
    ),
    _meaning(
        r"^E: There were unauthenticated packages",
        *("RW216", "the package comes from a source that is not signed", _TRUST),
    ),
    _meaning(
        r"^E: (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate)",
        *("RW217", "no source of this machine has {0}{1}", _NAME),
    ),
    _meaning(
        r"^E: Version '(.+)' for '(\S+)' was not found",
        *("RW217", "no source of this machine has {1} in version {0}", _NAME),
    ),
    _meaning(
        r"package architecture \((\S+)\) does not match system \((\S+)\)",
        *("RW220", "the package is for {0}, and the system is {1}", "Name its `targets`"),
    ),
    _meaning(
        r"is not a Debian (?:format archive|package archive)|Invalid archive member|"
        r"unexpected end of file in|Unsupported file .* given",
        *("RW220", "the file is no Debian package", "See what was published under its name"),
    ),
    _meaning(
        r"^E: Failed to fetch (\S+) +(.*)$",
        *("RW219", "{0} cannot be read: {1}", _SOURCE),
        passes=True,
    ),
    _meaning(
        r"^E: Packages need to be removed but remove is disabled",
        *("RW215", "other packages would have to be removed for it", _DEPENDENCY),
    ),
    _meaning(
        r"^ (\S+) ?: (?:Pre)?(?:Depends|Conflicts|Breaks): (.+)$",
        *("RW215", "{0} needs {1}", _DEPENDENCY),
    ),
    _meaning(
        r"dependency problems|unmet dependencies|held broken packages",
        *("RW215", "what it depends on is not there, or contradicts what is", _DEPENDENCY),
    ),
)
_RPM = (
    _meaning(
        r"Waiting for process with pid (\d+) to finish",
        *("RW214", "the list of packages was held by process {0} all the time", _LOCK),
        passes=True,
    ),
    _meaning(
        r"System management is locked by the application with pid (\d+) \((.*?)\)",
        *("RW214", "the list of packages was held by process {0} ({1}) all the time", _LOCK),
        passes=True,
    ),
    _meaning(
        r"can't create transaction lock on (\S+)",
        *("RW214", "{0} was held by another process", _LOCK),
        passes=True,
    ),
    _meaning(
        r"At least (\S+) more space needed on the (\S+) filesystem",
        *("RW213", "{1} has {0} too little", _ROOM),
        passes=True,
    ),
    _meaning(
        r"needs (\S+) (?:more space )?on the (\S+) filesystem",
        *("RW213", "{1} has no room for {0}", _ROOM),
        passes=True,
    ),
    _meaning(
        r"No space left on device",
        *("RW213", "the disk became full", _ROOM),
        passes=True,
    ),
    _meaning(
        r"%(\w+)\((\S+?)\) scriptlet failed, "
        r"(?:exit status|signal) (\d+)",
        *("RW218", "the %{0} script of {1} failed with {2}", _SCRIPT),
    ),
    _meaning(
        r"Package (\S+) is not signed|Public key for (\S+) is not installed|"
        r"GPG check FAILED|Signature verification failed|package is not signed|"
        r"you do not have any GPG public keys installed",
        *("RW216", "the package or its source is not signed by who is trusted {0}{1}", _TRUST),
    ),
    _meaning(
        r"(?:Unable to find a match|No match for argument): (.+)$",
        *("RW217", "no source of this machine has {0}", _NAME),
    ),
    _meaning(
        r"There are no enabled repositor|No repositories defined",
        *("RW217", "this machine has no sources", _NAME),
    ),
    _meaning(
        r"No provider of '(.+?)' found|Package '(.+?)' not found",
        *("RW217", "no source of this machine has {0}{1}", _NAME),
    ),
    _meaning(
        r"is intended for a different (?:architecture|operating system)|"
        r"does not have a compatible architecture",
        *("RW220", "the package is for another architecture", "Name its `targets`"),
    ),
    _meaning(
        r"Failed to download metadata for repo '(.+?)'|Cannot download (\S+)|"
        r"(?:Download|Curl) error|Valid metadata not found at specified URL",
        *("RW219", "a source cannot be read: {0}{1}", _SOURCE),
        passes=True,
    ),
    _meaning(
        r"nothing provides (.+?) needed by (\S+)",
        *("RW215", "{1} needs {0}", _DEPENDENCY),
    ),
    _meaning(
        r"^\s*(\S.*?) is needed by (\S+)$",
        *("RW215", "{1} needs {0}", _DEPENDENCY),
    ),
    _meaning(
        r"Failed dependencies|conflicting requests|Problem: ",
        *("RW215", "what it depends on is not there, or contradicts what is", _DEPENDENCY),
    ),
)


def of_debian(name: str, output: str) -> CodedError | None:
    """Return what apt or dpkg mean; None where nobody knows. ``name`` is the package's."""
    return _first(_DEBIAN, name, output)


def of_rpm(name: str, output: str) -> CodedError | None:
    """Return what dnf, zypper or rpm mean; None where nobody knows."""
    return _first(_RPM, name, output)


def _first(meanings: tuple[_Meaning, ...], name: str, output: str) -> CodedError | None:
    for meaning in meanings:
        if match := meaning.pattern.search(output):
            words = [" ".join((group or "").split()) for group in match.groups()] or [""]
            cause = meaning.cause.format(*words, "", "", "").strip()
            kind = TransientError if meaning.passes else TerminalError
            return kind(meaning.code, f"{name}: {cause}", meaning.action)
    return None
