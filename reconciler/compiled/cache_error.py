"""How the cache says that it cannot be used."""

from reconciler.errors import StateError


class CacheError(StateError):
    """The cache cannot be used any further (RW761); without it everything works, but slower."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "RW761",
            f"the cache of compiled fleets cannot be used: {cause}",
            "Remove the folder `cache` of the state directory: it is made again",
        )
