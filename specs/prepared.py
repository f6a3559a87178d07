"""Checking documents without loading the models that define them.

Building a model costs a short command more than all that it does with one document. So what
pydantic made of a model, its core schema, is pickled once; a later process makes the
validator from that, with stand-ins in the place of the models' classes. It only ever says
that a document is sound: whatever it refuses, the real model looks at, and puts into words.
"""

import io
import pickle
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError

from specs.data_reader import DataReader
from specs.yaml.scalars import Plain

if TYPE_CHECKING:
    from specs.kinds import Document as Model

PREPARED = "Machine"
"""The one kind: of the others, a fleet has few, and what they mean is kept compiled."""

_OURS = ("specs.types.", "specs.types.quantities.", "specs.kinds.driver")
_VALUES = frozenset(
    {
        ("builtins", "dict"),
        ("functools", "partial"),
        ("ipaddress", "IPv4Interface"),
        ("specs.types.secret", "SecretReference"),
    }
)


class StandIn:
    """What pydantic_core fills in the place of a model: the same attributes, no class of ours."""

    __slots__ = (
        "__dict__",
        "__pydantic_extra__",
        "__pydantic_fields_set__",
        "__pydantic_private__",
    )
    __pydantic_fields_set__: set[str]

    @property
    def model_fields_set(self) -> set[str]:
        """Return the names of the fields that the document has, as on a model."""
        return self.__pydantic_fields_set__


class Prepared:
    """The prepared validator, read from its bytes when the first document is met."""

    def __init__(self, data: bytes = b"") -> None:
        """Take what ``prepare`` returned. With anything else nothing is prepared."""
        self._data = data

    def sound(self, kind: str, data: Plain) -> "Model | None":
        """Return the model of a document, or what stands for it; None where it may be unsound."""
        if kind != PREPARED or self._validator is None:
            return None
        try:
            model: Model = self._validator.validate_python(data)
        except ValidationError:
            return None
        return model

    @cached_property
    def _validator(self) -> SchemaValidator | None:
        if not self._data:
            return None
        try:
            return SchemaValidator(_Reader(self._data).load())
        except Exception:  # noqa: BLE001 - damaged data raises whatever it likes
            return None


class _Reader(DataReader):
    """Reads schemas that name checks of ours, with stand-ins for the classes of models."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, _OURS, _VALUES)
        self._stand_ins: dict[str, type[StandIn]] = {}

    def persistent_load(self, name: str) -> type[StandIn]:
        known = self._stand_ins.get(name)
        if known is None:
            known = self._stand_ins[name] = type(name, (StandIn,), {"__slots__": ()})
        return known


class _Writer(pickle.Pickler):
    """Writes schemas, and only the names of models."""

    def __init__(self, file: io.BytesIO, model: type) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._model = model

    def persistent_id(self, value: object) -> str | None:
        if isinstance(value, type) and issubclass(value, self._model):
            return value.__qualname__
        return None


def prepare() -> bytes:
    """Return the bytes that ``Prepared`` takes; none where a schema names what has no name."""
    from specs.kinds import KINDS  # noqa: PLC0415 - not to read what was prepared
    from specs.kinds.record import Record  # noqa: PLC0415 - slow to load

    model = KINDS[PREPARED]
    model.model_rebuild()
    written = io.BytesIO()
    try:
        _Writer(written, Record).dump(_lean(model.__pydantic_core_schema__, Record))
    except (AttributeError, TypeError, pickle.PicklingError):
        return b""
    return written.getvalue()


def _lean(node: Any, model: type) -> Any:  # noqa: ANN401 - a schema nests values of any type
    """Return a schema with what matters for reading a document, and no class that is called."""
    if isinstance(node, list):
        return [_lean(part, model) for part in node]
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if kind == "lax-or-strict":
        return _lean(node["strict_schema"], model)
    if kind == "json-or-python":
        return _lean(node["python_schema"], model)
    node = dict(node)
    if isinstance(kind, str):
        for name in ("metadata", "serialization", "ref", "serialization_alias"):
            node.pop(name, None)
    factory = node.get("default_factory")
    if kind == "default" and isinstance(factory, type) and issubclass(factory, model):
        del node["default_factory"]
        node.update(default={}, validate_default=True)
    return {name: _lean(part, model) for name, part in node.items()}
