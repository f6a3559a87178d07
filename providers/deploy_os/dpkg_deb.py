"""dpkg-deb: what is inside a Debian package file."""

from pathlib import Path

from providers.deploy_os import command

_FIELDS = 5


def files_of(archive: Path, log: Path) -> list[str]:
    """Return the paths of the files and links in a package, relative to the root. RW857."""
    try:
        return parse_contents(command.run(["dpkg-deb", "--contents", str(archive)], log))
    except command.CommandFailedError as error:
        raise error.as_terminal("RW857", "Run the build again without its cache") from error


def parse_contents(lines: list[str]) -> list[str]:
    """Return the paths in a listing like ``tar -tv`` makes, directories left out."""
    paths = []
    for line in lines:
        fields = line.split(maxsplit=_FIELDS)
        if len(fields) > _FIELDS and not line.startswith("d"):
            path = fields[_FIELDS].split(" -> ")[0].split(" link to ")[0]
            paths.append(path.removeprefix("./"))
    return paths
