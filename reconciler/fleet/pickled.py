"""Values of our own data classes as bytes, and back."""

import io
import pickle
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.fleet.cache_error import CacheError

if TYPE_CHECKING:
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
        self.pickled = pickled
        self._read: dict[str, Inherited] = {}

    @classmethod
    def of(cls, groups: "Mapping[str, Inherited]") -> "PickledGroups":
        """Return the same groups to be kept."""
        if isinstance(groups, cls):
            return groups
        return cls({name: pickle.dumps(inherited) for name, inherited in groups.items()})

    def __getitem__(self, name: str) -> "Inherited":
        known = self._read.get(name)
        if known is None:
            known = self._read[name] = unpickled(self.pickled[name])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self.pickled)

    def __len__(self) -> int:
        return len(self.pickled)


class _Reader(pickle.Unpickler):
    """Reads our own data classes and values of the standard library, and nothing that acts."""

    def find_class(self, module: str, name: str) -> object:
        if module.startswith(_OURS) or (module, name) in _VALUES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not data")


def unpickled(data: bytes) -> Any:  # noqa: ANN401 - whatever was kept
    """Return the value that was kept; CacheError (RW761) where it is none of ours, or damaged."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # damaged data raises whatever it likes
        raise CacheError(f"unreadable: {error}") from error
