"""A fake Windows for what Wine cannot show: it answers with given statuses and texts."""

import codecs

from attrs import define, field

from agent.commands.runner import Completed
from agent.errors import MissingCommandError
from agent.windows.registry import long_path

_HEAD = "Windows Registry Editor Version 5.00\r\n"


@define
class FakeWindows:
    """``answers`` has, by program, what each call of it in turn ends with; the last one stays.

    ``registry`` has the text of registration files below their head, by key and view.
    """

    scratch: object
    answers: dict = field(factory=dict)
    registry: dict = field(factory=dict)
    calls: list = field(factory=list)

    def run(self, argv, *, timeout=60.0):  # noqa: ARG002 - nothing takes time here
        self.calls.append(list(argv))
        program = argv[0].removesuffix(".exe")
        if program == "reg":
            return self._registry(argv)
        if program not in self.answers:
            raise MissingCommandError(argv[0])
        answers = self.answers[program]
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        return Completed(status, text.encode("cp437", "replace"), "")

    def _registry(self, argv):
        if argv[1] != "export":
            return Completed(0, b"", "")
        text = self.registry.get((long_path(argv[2]).lower(), argv[5]))
        if text is None:
            return Completed(1, b"", "")
        data = codecs.BOM_UTF16_LE + (_HEAD + text).encode("utf-16-le")
        self.local(argv[3]).write_bytes(data)
        return Completed(0, b"", "")

    def put(self, key, *values, view=64):
        """Have a key with lines of values; keys below it are lines of it."""
        path = long_path(key)
        text = "\r\n".join(["", f"[{path}]", *values, ""])
        self.registry[path.lower(), f"/reg:{view}"] = text

    def local(self, path):
        return self.scratch / path.replace("\\", "/").removeprefix("C:/")

    def native(self, path):
        return "C:\\" + str(path.relative_to(self.scratch)).replace("/", "\\")
