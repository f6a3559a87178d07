"""Which kernel modules go into the RAM disk, and the firmware they ask for. Pure.

The chosen ones bring what they depend on (``depends=`` in their ``.modinfo``) and what
they would like loaded before or after them (``softdep=``, by name or by alias).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from providers.deploy_os import elf


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """What a module says about itself. Names have underscores, as the kernel writes them."""

    depends: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()


class MissingModuleError(ValueError):
    """A module depends on one that the kernel's package does not have."""


def parse_modinfo(data: bytes) -> ModuleInfo:
    """Return what the module file ``data`` says in its ``.modinfo`` section."""
    fields: dict[str, list[str]] = {}
    for entry in elf.section(data, ".modinfo").split(b"\0"):
        key, _, value = entry.decode("utf-8", "replace").partition("=")
        fields.setdefault(key, []).append(value)
    depends = [name for value in fields.get("depends", []) for name in value.split(",") if name]
    softdeps = [
        word
        for value in fields.get("softdep", [])
        for word in value.split()
        if word not in {"pre:", "post:"}
    ]
    return ModuleInfo(
        depends=tuple(map(_normal, depends)),
        softdeps=tuple(softdeps),
        aliases=tuple(fields.get("alias", [])),
        firmware=tuple(fields.get("firmware", [])),
    )


def name_of(path: str) -> str:
    """Return a module's name: ``xhci_hcd`` for ``drivers/usb/host/xhci-hcd.ko``."""
    return _normal(PurePosixPath(path).stem)


def closure(
    chosen: Iterable[str],
    modules: Mapping[str, ModuleInfo],
    builtin: frozenset[str],
) -> set[str]:
    """Return ``chosen`` and all they bring along.

    ``modules`` has every module of the kernel by path, ``builtin`` the names of those
    that are part of the kernel itself. MissingModuleError when a dependency is neither.
    """
    by_name = {name_of(path): path for path in modules}
    by_alias: dict[str, list[str]] = {}
    for path, info in modules.items():
        for alias in info.aliases:
            by_alias.setdefault(alias, []).append(path)
    kept: set[str] = set()
    waiting = list(chosen)
    while waiting:
        path = waiting.pop()
        if path in kept:
            continue
        kept.add(path)
        for name in modules[path].depends:
            if name in by_name:
                waiting.append(by_name[name])
            elif name not in builtin:
                raise MissingModuleError(f"{path} depends on {name}, which this kernel lacks")
        for word in modules[path].softdeps:
            if _normal(word) in by_name:
                waiting.append(by_name[_normal(word)])
            waiting.extend(by_alias.get(word, ()))
    return kept


def firmware_of(
    kept: Iterable[str], modules: Mapping[str, ModuleInfo], exists: Callable[[str], bool]
) -> set[str]:
    """Return the firmware files that ``kept`` ask for, as far as Debian has them.

    Modules also name files of older drivers' releases and of cards nobody sells;
    that one is missing is normal.
    """
    wanted = {name for path in kept for name in modules[path].firmware}
    return {name for name in wanted if exists(name)}


def _normal(name: str) -> str:
    return name.replace("-", "_")
