"""Packages and their sources as a terminal shows them."""

from collections.abc import Iterable
from datetime import datetime

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from providers.package_source.listing import Listed
from providers.package_source.repository import RoleState
from reconciler.state.package_mirrors import KeptPackage, KnownSource
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def package_table(packages: Iterable[KeptPackage], now: datetime) -> Table:
    """Return one row per package of the sources."""
    table = _table("package", "version", "source", "state", "since", "size", "reason")
    for each in packages:
        table.add_row(
            for_terminal(each.name),
            for_terminal(each.version),
            for_terminal(each.source),
            Text(each.state, style="green" if each.state == "offered" else "yellow"),
            ago(each.since, now),
            decimal(each.size),
            for_terminal(each.reason),
        )
    return table


def source_table(sources: Iterable[KnownSource], now: datetime) -> Table:
    """Return one row per source, in the order in which they are asked."""
    table = _table("source", "order", "last mirror", "result", "packages", "next", "cause")
    for each in sources:
        state = each.state
        ended = state.ended_at if state else None
        failure = state.failure if state else ""
        result = Text(failure or "well", style="red" if failure else "green") if ended else Text("")
        table.add_row(
            for_terminal(each.document.name),
            str(each.document.order),
            ago(ended, now) if ended else "never",
            result,
            f"{each.offered:,}",
            f"{each.next:%Y-%m-%d %H:%M} UTC" if each.next else "by hand",
            for_terminal(f"{state.code}: {state.cause}") if state and failure else "",
        )
    return table


def repository_tables(packages: Iterable[Listed], roles: Iterable[RoleState]) -> list[Table]:
    """Return what a repository has, and until when its signatures count."""
    listed = _table("package", "version", "size", "yanked")
    for each in packages:
        listed.add_row(
            for_terminal(each.name),
            for_terminal(each.version),
            decimal(each.size),
            for_terminal(each.yanked),
        )
    signed = _table("role", "version", "expires", "waits for")
    for role in roles:
        missing = f"{role.missing} signature(s)" if role.is_staged else ""
        signed.add_row(role.role, str(role.version), f"{role.expires:%Y-%m-%d %H:%M} UTC", missing)
    return [listed, signed]
