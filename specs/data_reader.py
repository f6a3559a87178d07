"""Reading pickled values that may name nothing but data."""

import pickle
from io import BytesIO


class DataReader(pickle.Unpickler):
    """Reads what modules of ours define and a few values of others, and nothing that acts.

    ``modules`` are what the names of ours begin with, ``values`` the others by module and
    name. Anything else raises ``UnpicklingError``; damaged data raises whatever it likes.
    """

    def __init__(
        self, data: bytes, modules: tuple[str, ...], values: frozenset[tuple[str, str]]
    ) -> None:
        super().__init__(BytesIO(data))
        self._modules = modules
        self._values = values

    def find_class(self, module: str, name: str) -> object:
        """Return what a pickle names."""
        # A name with a dot would lead on to whatever a module of ours has imported.
        is_ours = module.startswith(self._modules) and "." not in name
        if is_ours or (module, name) in self._values:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not data")
