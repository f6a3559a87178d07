"""The published schema in the language server that YAML editors use."""

import json
import os
import subprocess
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.commands import cli

SERVER = Path(__file__).parents[1] / "editor/node_modules/.bin/yaml-language-server"


class LanguageServer:
    """A client of the Language Server Protocol 3.17 on a process's standard streams."""

    def __init__(self, process, folder):
        self._process = process
        self._ids = count(1)
        self._diagnostics = {}
        uri = folder.as_uri()
        capabilities = {"textDocument": {"hover": {"contentFormat": ["markdown"]}}}
        self.ask(
            "initialize",
            processId=os.getpid(),
            rootUri=uri,
            capabilities=capabilities,
            workspaceFolders=[{"uri": uri, "name": "fleet"}],
        )
        self._send(method="initialized", params={})

    def ask(self, method, **params):
        number = next(self._ids)
        self._send(id=number, method=method, params=params)
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                return message["result"]

    def open(self, file):
        """Open a file and return what the editor underlines in it, as line and text."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1}
        document["text"] = file.read_text("utf-8")
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        while file.as_uri() not in self._diagnostics:
            self._receive()
        found = self._diagnostics.pop(file.as_uri())
        return [(each["range"]["start"]["line"] + 1, each["message"]) for each in found]

    def at(self, method, file, text):
        """Ask about the place behind a text of a file."""
        before = file.read_text("utf-8").partition(text)[0] + text
        line = before.count("\n")
        position = {"line": line, "character": len(before.rpartition("\n")[2])}
        return self.ask(method, textDocument={"uri": file.as_uri()}, position=position)

    def _send(self, **message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self):
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server ended"
        message = json.loads(self._process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            items = message["params"].get("items", []) if message["params"] else []
            self._send(id=message["id"], result=[None] * len(items))
        return message


@pytest.fixture
def fleet(tmp_path):
    folder = tmp_path / "fleet"
    done = CliRunner().invoke(cli, ["init", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def server(fleet):
    assert SERVER.exists(), "make test installs it"
    with subprocess.Popen(
        [SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield LanguageServer(process, fleet)
        process.terminate()


@pytest.mark.timeout(120)
def test_an_editor_finds_nothing_to_say_of_the_fleet_to_start_from(fleet, server):
    files = sorted(fleet.glob("*.yaml"))
    assert {file.name: server.open(file) for file in files} == {file.name: [] for file in files}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: Machine\n", "kind: Machin\n", "Value is not accepted"),
        ("  group:", "  grop:", "Property grop is not allowed"),
        ("  group: compute", "  protect: perhaps", "Incorrect type"),
    ],
    ids=["kind", "field", "value"],
)
def test_an_editor_underlines_a_mistake_on_its_line(fleet, server, old, new, said):
    file = fleet / "machines.yaml"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    line = text.partition(old)[0].count("\n") + 1
    file.write_text(text.replace(old, new), "utf-8")
    found = server.open(file)
    assert any(number == line and said in message for number, message in found), found


@pytest.mark.timeout(120)
def test_an_editor_explains_fields_and_completes_them(fleet, server):
    file = fleet / "machines.yaml"
    server.open(file)
    hover = server.at("textDocument/hover", file, "\n  gro")
    assert "group" in hover["contents"]["value"]
    file = fleet / "more.yaml"
    file.write_text((fleet / "machines.yaml").read_text("utf-8"), "utf-8")
    text = file.read_text("utf-8")
    file.write_text(text.replace("  group:", "  dri\n  group:"), "utf-8")
    server.open(file)
    answer = server.at("textDocument/completion", file, "  dri")
    offered = {each["label"] for each in answer["items"]}
    assert "drift" in offered
    assert not offered & {"rows", "csv", "defaults"}, "they are a MachineTable's"
