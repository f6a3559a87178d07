"""Values of our own data classes as bytes, and back."""

import io
import pickle
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.fleet.cache_error import CacheError

if TYPE_CHECKING:
    from specs.machine_context import MachineContext
    from specs.resolve.inherited import Inherited

_OURS = "specs."
_VALUES = frozenset(
    {
        ("array", "_array_reconstructor"),
        ("array", "array"),
        ("builtins", "frozenset"),
        ("copyreg", "_reconstructor"),
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("ipaddress", "IPv4Address"),
        ("ipaddress", "IPv4Interface"),
        ("ipaddress", "IPv4Network"),
        ("types", "MappingProxyType"),
    }
)


class PickledGroups(Mapping[str, "Inherited"]):
    """What groups hand down, each read when it is asked for.

    A fleet has a thousand groups, and a commit touches the machines of one or two.
    """

    def __init__(self, pickled: Mapping[str, bytes]) -> None:
        self._pickled = pickled
        self._read: dict[str, Inherited] = {}

    def __getitem__(self, name: str) -> "Inherited":
        known = self._read.get(name)
        if known is None:
            known = self._read[name] = unpickled(self._pickled[name])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._pickled)

    def __len__(self) -> int:
        return len(self._pickled)


class _Reader(pickle.Unpickler):
    """Reads our own data classes and values of the standard library, and nothing that acts."""

    def find_class(self, module: str, name: str) -> object:
        # A name with a dot would lead on to whatever a module of ours has imported.
        is_ours = module.startswith(_OURS) and "." not in name
        if is_ours or (module, name) in _VALUES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not data")


def pickled_context(context: "MachineContext") -> bytes:
    """Return a context as it is kept: each group by itself."""
    groups = {name: pickle.dumps(inherited) for name, inherited in context.groups.items()}
    return pickle.dumps((context.with_groups({}), groups))


def unpickled_context(data: bytes) -> "MachineContext":
    """Return the context that was kept; CacheError as ``unpickled``."""
    bare, groups = unpickled(data)
    context: MachineContext = bare.with_groups(PickledGroups(groups))
    return context


def unpickled(data: bytes) -> Any:  # noqa: ANN401 - whatever was kept
    """Return the value that was kept; CacheError (RW761) where it is none of ours, or damaged."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # damaged data raises whatever it likes
        raise CacheError(f"unreadable: {error}") from error
