"""The XML of a scheduled task: what it does as the system's account. Pure.

Source: Microsoft, "Task Scheduler Schema" (http://schemas.microsoft.com/windows/2004/02/mit/task).
"""

import re
from xml.etree import ElementTree as ET

from attrs import frozen

_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_SYSTEM = "S-1-5-18"
_DECLARATION = re.compile(r"\A\ufeff?\s*<\?xml[^>]*\?>")
_MOST_CHARACTERS = 1 << 20


class ScheduledTaskError(ValueError):
    """A text that is no task's XML."""


@frozen
class ScheduledTask:
    """A program that is started once, on demand, and may run for ``hours``."""

    description: str
    program: str
    arguments: str
    hours: int = 2


def task_xml(task: ScheduledTask) -> bytes:
    """Return the definition in UTF-16, as ``schtasks /create /xml`` wants it.

    It has no trigger, runs on batteries too, and one at a time.
    """
    root = ET.Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
    _put(root, "RegistrationInfo/Description", task.description)
    principal = ET.SubElement(_put(root, "Principals"), "Principal", {"id": "System"})
    _put(principal, "UserId", _SYSTEM)
    _put(principal, "RunLevel", "HighestAvailable")
    settings = _put(root, "Settings")
    _put(settings, "MultipleInstancesPolicy", "IgnoreNew")
    _put(settings, "DisallowStartIfOnBatteries", "false")
    _put(settings, "StopIfGoingOnBatteries", "false")
    _put(settings, "AllowStartOnDemand", "true")
    _put(settings, "Hidden", "false")
    _put(settings, "ExecutionTimeLimit", f"PT{task.hours}H")
    actions = ET.SubElement(root, "Actions", {"Context": "System"})
    _put(actions, "Exec/Command", task.program)
    _put(actions[0], "Arguments", task.arguments)
    body = ET.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-16"?>\r\n{body}'.encode("utf-16")


def parse_task(text: str) -> ScheduledTask:
    """Return what ``schtasks /query /xml`` printed; ScheduledTaskError where it is no task.

    The declaration says UTF-16 whatever the console's encoding is, so it is not heeded.
    """
    body = _DECLARATION.sub("", text)
    if len(body) > _MOST_CHARACTERS or "<!" in body.replace("<!--", ""):
        raise ScheduledTaskError("it is too long, or has a document type")
    try:
        root = ET.fromstring(body)  # noqa: S314 - bounded, and without a document type
    except ET.ParseError as error:
        raise ScheduledTaskError(f"it is no XML: {error}") from error
    limit = re.fullmatch(r"PT(\d{1,4})H", _text(root, "Settings/ExecutionTimeLimit"))
    return ScheduledTask(
        description=_text(root, "RegistrationInfo/Description"),
        program=_text(root, "Actions/Exec/Command"),
        arguments=_text(root, "Actions/Exec/Arguments"),
        hours=int(limit.group(1)) if limit else 0,
    )


def _put(parent: ET.Element, path: str, text: str = "") -> ET.Element:
    for name in path.split("/"):
        parent = ET.SubElement(parent, name)
    if text:
        parent.text = text
    return parent


def _text(root: ET.Element, path: str) -> str:
    found = root.find("/".join(f"{{{_NAMESPACE}}}{name}" for name in path.split("/")))
    return "" if found is None else found.text or ""
