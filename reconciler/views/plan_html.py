"""The whole plan as one page: nothing is loaded from elsewhere, and nothing on it runs."""

import re
from collections.abc import Iterator
from datetime import datetime

from reconciler.planning.groups import PlanGroup
from reconciler.planning.item import DiskFacts, ImageChange, PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.planning.summary import SummaryRow, summarize
from reconciler.views import plan_words as words
from reconciler.views.age import ago
from reconciler.views.untrusted import for_html

_ROWS = 40
"""More plan groups than these are summarized, and open within their row."""
_OPEN_UP_TO = 20
"""A plan group of so few machines is open when the page is."""
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
.verdict { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; padding: 0; }
.verdict li { list-style: none; border-radius: .4rem; padding: .3rem .8rem; background: var(--soft);
  font-weight: 600; }
.verdict .none { font-weight: 400; opacity: .55; }
.DESTRUCTIVE { color: #c62828; } .DISRUPTIVE { color: #b26a00; } .SAFE { color: #2e7d32; }
.BLOCKED { color: #8e24aa; } .UNKNOWN { color: #00838f; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .7rem 0; }
summary { cursor: pointer; padding: .6rem .8rem; font-weight: 600; }
ul.facts { margin: 0 .8rem .6rem; padding-left: 1.2rem; }
.inner { padding: 0 .8rem .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92em; }
th, td { border-top: 1px solid var(--line); padding: .4rem .8rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; opacity: .7; }
td:first-child { font-weight: 600; white-space: nowrap; }
.lost { color: #c62828; font-weight: 600; }
.soft { opacity: .7; } code { font-size: .95em; }
"""
_CODE = re.compile("`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def plan_html(plan: Plan, describe: str, now: datetime) -> Iterator[str]:
    """Yield the lines of a page that shows every item of the plan.

    ``describe`` says which revision it is, for people.
    """
    title = for_html(f"Plan {plan.digest[: words.SHORT]}")
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>"
    made = f"{plan.made_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f'<p class="soft">{for_html(describe)} · made {made} · <code>{plan.digest}</code></p>'
    yield '<ul class="verdict">'
    for risk, count in plan.counts.items():
        yield f'<li class="{risk if count else "none"}">{risk} {count:,}</li>'
    yield "</ul>"
    if plan.empty:
        yield f"<p>{words.NOTHING}</p>"
    if wiped := words.wiped(plan):
        yield f'<p class="lost">{for_html(wiped)}</p>'
    for sentence in words.approval(plan):
        marked = _CODE.sub(r"<code>\1</code>", for_html(sentence))
        yield f"<p>{marked}</p>"
    for remark in words.remarks(plan):
        yield f"<p>{for_html(remark)}</p>"
    for row in summarize(plan.groups, _ROWS):
        yield from _row(row, now)
    yield "</body></html>"


def _row(row: SummaryRow, now: datetime) -> Iterator[str]:
    if len(row.members) == 1:
        yield from _plan_group(row.members[0], now)
        return
    yield f"<details><summary>{_heading(row)}</summary><div class='inner'>"
    for each in row.members:
        yield from _plan_group(each, now)
    yield "</div></details>"


def _heading(row: SummaryRow) -> str:
    return f'<span class="{row.risk}">{row.risk}</span> · {for_html(words.title(row))}'


def _plan_group(each: PlanGroup, now: datetime) -> Iterator[str]:
    row = SummaryRow(each.group, (each,))
    opened = " open" if each.count <= _OPEN_UP_TO else ""
    yield f"<details{opened}><summary>{_heading(row)}</summary>"
    yield '<ul class="facts">'
    for reason in each.reasons if each.disks else ():
        yield f"<li>{for_html(reason.text)}</li>"
    yield f"<li>because of {for_html(words.cause(each.cause))}</li>"
    yield f"<li>{for_html(words.seen(each, now))}</li>"
    if each.slowest_seconds:
        effort = words.effort(each.bytes_to_move // each.count, each.slowest_seconds)
        yield f"<li>each {for_html(effort)}</li>"
    for item in each.items:
        for warning in item.warnings:
            yield f'<li class="lost">{for_html(f"{item.title}: warning: {warning}")}</li>'
    yield "</ul>"
    yield '<div class="scroll"><table>'
    if each.disks:
        yield _cells("th", "machine", "overwrites", "last backup", "image", "leaves alone")
        for item in each.items:
            for disk, image in zip(item.disks, item.images, strict=False):
                yield _disk_row(item, disk, image, now)
    else:
        unblock = ("what would unblock it",) if each.risk is Risk.BLOCKED else ()
        yield _cells("th", "machine", "why", *unblock, "last heard")
        for item in each.items:
            heard = ago(item.observed_at, now) if item.machine else ""
            yield _cells("td", item.title, item.reason, *(item.unblock for _ in unblock), heard)
    yield "</table></div></details>"


def _disk_row(item: PlanItem, disk: DiskFacts, image: ImageChange, now: datetime) -> str:
    backup = for_html(words.backup(disk, now))
    kind = ' class="lost"' if disk.lost else ""
    return (
        f"<tr><td>{for_html(item.title)}</td><td>{for_html(words.disk(disk, now))}</td>"
        f"<td{kind}>{backup}</td><td>{for_html(words.image_as_written(image, now))}</td>"
        f"<td>{for_html(words.spared(item))}</td></tr>"
    )


def _cells(tag: str, *texts: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{for_html(text)}</{tag}>' for text in texts)}</tr>"
