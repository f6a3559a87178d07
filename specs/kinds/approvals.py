"""Who may approve what: persons with roles, and a rule for each kind of risk."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.diagnostics.quote import quoted
from specs.kinds.record import Record
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.name import Name
from specs.types.quantities import Duration, between
from specs.types.signing_key import SigningKey

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvV9mS1xUuhTXpyZfSXVTFpVVAPJSrZqz2QmC2qQkjR"
_PERSONS = [
    {"name": name, "logins": [login], "emails": [f"{login}@example.org"], "roles": ["operator"]}
    for name, login in (("Jane Doe", "jane"), ("John Roe", "john"))
]


class Person(Record):
    """Somebody who may approve, and how they are known."""

    name: Annotated[Line, Field(min_length=1, max_length=100)] = Field(
        description="Who it is; shown in messages and kept with what they approve.",
        examples=["Jane Doe"],
    )
    logins: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="Logins on the computer where they approve. The kernel says who logged in, the "
        "environment does not count.",
        examples=[["jane"]],
    )
    keys: tuple[SigningKey, ...] = Field(
        default=(),
        max_length=100,
        description="OpenSSH or OpenPGP public keys. A tag `approve/DIGEST` that one of them "
        "signed is an approval; a commit that one of them signed is theirs.",
        examples=[[_KEY]],
    )
    emails: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="What stands in commits of which they are author or committer. Case does not "
        "count.",
        examples=[["jane@example.org"]],
    )
    roles: tuple[Name, ...] = Field(
        min_length=1,
        max_length=100,
        description="What rules know them by.",
        examples=[["operator"]],
    )


class ApprovalRule(Record):
    """What work of one kind of risk needs before it may begin."""

    roles: tuple[Name, ...] = Field(
        min_length=1,
        max_length=100,
        description="Whose approvals count: one of these roles is enough.",
        examples=[["operator"]],
    )
    persons: Literal[1, 2] = Field(
        default=1, description="How many persons have to approve the same plan.", examples=[2]
    )
    exclude_author: bool = Field(
        default=False,
        description="Whether the authors and committers of what changed since the last approved "
        "revision do not count. They are known by e-mail and by signing key.",
        examples=[True],
    )
    expires: Annotated[Duration, between(Duration(60), Duration(30 * 86_400))] = Field(
        default=Duration(86_400),
        description="How long an approval holds for work that has not been armed. Between 1m and "
        "30d.",
        examples=["24h"],
    )


class Approvals(Record):
    """Who may approve what. Where a kind of risk has no rule, any local user may."""

    persons: tuple[Person, ...] = Field(
        default=(),
        max_length=1000,
        description="Everybody who may approve. Two entries are two persons: a login, key or "
        "e-mail belongs to one.",
        examples=[_PERSONS],
    )
    safe: ApprovalRule | None = Field(
        default=None,
        description="For work that neither overwrites a disk nor interrupts a system. With a rule, "
        "the server starts none of it by itself.",
        examples=[{"roles": ["operator"]}],
    )
    disruptive: ApprovalRule | None = Field(
        default=None,
        description="For work that interrupts a running system.",
        examples=[{"roles": ["operator"], "expires": "8h"}],
    )
    destructive: ApprovalRule | None = Field(
        default=None,
        description="For work that overwrites disks, and for changes of these rules.",
        examples=[{"roles": ["operator"], "persons": 2, "excludeAuthor": True}],
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        rules = {
            field: rule
            for field in ("safe", "disruptive", "destructive")
            if (rule := getattr(self, field)) is not None
        }
        if self.persons and not rules:
            raise _refused(
                "the persons have no effect: there is no rule",
                "add safe, disruptive or destructive with roles, or remove the persons",
                "persons",
            )
        self._refuse_shared()
        for field, rule in rules.items():
            self._refuse_unmet(field, rule)
        return self

    def _refuse_shared(self) -> None:
        """Refuse persons who could not be told apart: one would be two."""
        owners: dict[tuple[str, str], Person] = {}
        for person in self.persons:
            if not person.logins and not person.keys:
                raise _refused(
                    f"{quoted(person.name)} has neither logins nor keys and can approve nothing",
                    "list a login, or the key by which they sign tags",
                    "persons",
                )
            for kind, value in _marks(person):
                other = owners.setdefault((kind, value), person)
                if other is not person:
                    raise _refused(
                        f"{quoted(other.name)} and {quoted(person.name)} have one {kind}: "
                        f"{quoted(value)}",
                        "give it to one of them, or make them one entry",
                        "persons",
                    )

    def _refuse_unmet(self, field: str, rule: ApprovalRule) -> None:
        """Refuse a rule that nobody, or too few, could ever meet."""
        able = [each for each in self.persons if set(rule.roles) & set(each.roles)]
        for role in rule.roles:
            if not any(role in each.roles for each in self.persons):
                raise _refused(
                    f"no person has the role {quoted(role)}",
                    "give it to one of spec.approvals.persons, or name another role",
                    field,
                )
        if len(able) < rule.persons:
            raise _refused(
                f"{rule.persons} persons have to approve, and {len(able)} may",
                "give the role to more persons",
                field,
            )
        unknown = [each.name for each in able if not each.emails]
        if rule.exclude_author and unknown:
            raise _refused(
                f"authors do not count, and {quoted(unknown[0])} could not be recognised as one",
                "list the e-mails of their commits, or write excludeAuthor: false",
                field,
            )


def _marks(person: Person) -> Iterable[tuple[str, str]]:
    """Return what a person is known by, each with its kind."""
    yield "name", person.name
    yield from (("login", each) for each in person.logins)
    yield from (("key", each) for each in person.keys)
    yield from (("e-mail", each.casefold()) for each in person.emails)


def _refused(message: str, hint: str, field: str) -> "PydanticCustomError":
    return InvalidValue(message, hint, field=field).as_pydantic()
