"""Which commits are acted on: by whom they must be signed."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.diagnostics.quote import quoted
from specs.kinds.record import Record
from specs.types.invalid_value import InvalidValue
from specs.types.line import Line
from specs.types.signing_key import SigningKey, is_openpgp

_NAME = "Jane Doe"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvV9mS1xUuhTXpyZfSXVTFpVVAPJSrZqz2QmC2qQkjR"


class Signer(Record):
    """Somebody whose signature makes a commit valid."""

    name: Annotated[Line, Field(min_length=1, max_length=100)] = Field(
        description="Who it is, for people: it is shown in messages and proves nothing.",
        examples=[_NAME],
    )
    key: SigningKey = Field(
        description="The public key: an OpenSSH public key line, or an ASCII-armoured OpenPGP "
        "public key block.",
        examples=[_KEY],
    )


class Commits(Record):
    """Which commits are acted on."""

    verify: Literal["none", "ssh", "gpg"] = Field(
        default="none",
        description="How commits must be signed: ssh and gpg are Git's gpg.format ssh and openpgp. "
        "With none, every commit is valid that continues the last accepted one.",
        examples=["ssh"],
    )
    signers: tuple[Signer, ...] = Field(
        default=(),
        max_length=1000,
        description="Whose signatures count. They judge the commits after this one: who is "
        "added here cannot sign the commit that adds them.",
        examples=[[{"name": _NAME, "key": _KEY}]],
    )

    @model_validator(mode="after")
    def _signers_fit(self) -> Self:
        if self.verify == "none":
            if self.signers:
                raise InvalidValue(
                    "the signers have no effect: verify is none",
                    "write verify: ssh or verify: gpg, or remove the signers",
                    field="signers",
                ).as_pydantic()
            return self
        if not self.signers:
            raise InvalidValue(
                f"verify: {self.verify} without signers: no commit would ever be valid",
                "list at least one signer with name and key",
                field="signers",
            ).as_pydantic()
        for signer in self.signers:
            if is_openpgp(signer.key) != (self.verify == "gpg"):
                other, own = ("OpenPGP", "gpg") if is_openpgp(signer.key) else ("OpenSSH", "ssh")
                raise InvalidValue(
                    f"the key of {quoted(signer.name)} is an {other} key, but verify is "
                    f"{self.verify}",
                    f"one kind for all: write verify: {own}, or give another key",
                    field="signers",
                ).as_pydantic()
        self._refuse_repetition()
        return self

    def _refuse_repetition(self) -> None:
        names: set[str] = set()
        keys: dict[str, str] = {}
        for signer in self.signers:
            if signer.name in names:
                message = f"two signers are called {quoted(signer.name)}"
                hint = "a signer with two keys is two entries with two names"
                raise InvalidValue(message, hint, field="signers").as_pydantic()
            if signer.key in keys:
                message = f"{quoted(keys[signer.key])} and {quoted(signer.name)} have one key"
                raise InvalidValue(message, "keep one of them", field="signers").as_pydantic()
            names.add(signer.name)
            keys[signer.key] = signer.name
