#!/usr/bin/env bash
# yaml-language-server completes by a schema's branch whose constant only begins with the value.
#
# Guess from memory: where a JSON Schema chooses by `if: {properties: {kind: {const: Machine}}}`, an
# editor that completes a document with `kind: Machine` offers what the `then` of that branch has.
# Behaviour (yaml-language-server 1.18.0): validation chooses so; completion takes every branch whose
# constant begins with the value, so that `kind: Machine` is also offered what `MachineTable` has. An
# `enum` with one value is taken alike; `pattern: ^Machine$` is not.
# Why it matters: formats with kinds (Kubernetes, Crossplane, Rackwright) have such pairs (Package and
# PackageSource, Ingress and IngressClass). What the editor offers there is refused a moment later,
# and a schema cannot be told to be wrong by validating documents with it.
#
# Output seen:
#   const: inMachine inMachineTable
#   enum: inMachine inMachineTable
#   pattern: inMachine
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --ignore-scripts --no-audit --no-fund --silent \
    yaml-language-server@1.18.0

cat > "$work/complete.py" <<'PYTHON'
import json
import subprocess
import sys
from pathlib import Path

WORK = Path(sys.argv[1])
SERVER = WORK / "node_modules/.bin/yaml-language-server"
DOCUMENT = "# yaml-language-server: $schema=schema.json\nkind: Machine\nspec:\n  in\n"
CHOICES = {
    "const": lambda kind: {"const": kind},
    "enum": lambda kind: {"enum": [kind]},
    "pattern": lambda kind: {"pattern": f"^{kind}$"},
}


def schema(choice):
    """Return a schema of two kinds, each with a field of its own."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "allOf": [
            {
                "if": {"properties": {"kind": choice(kind)}, "required": ["kind"]},
                "then": {
                    "properties": {
                        "spec": {
                            "type": "object",
                            "properties": {f"in{kind}": {"type": "string"}},
                        }
                    }
                },
            }
            for kind in ("Machine", "MachineTable")
        ],
    }


def completions():
    """Open the document as an editor does, and return what is offered at its last word."""
    uri = (WORK / "document.yaml").as_uri()
    with subprocess.Popen(
        [SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:

        def send(**message):
            body = json.dumps({"jsonrpc": "2.0", **message}).encode()
            server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            server.stdin.flush()

        def ask(number, method, **params):
            send(id=number, method=method, params=params)
            while True:
                length = 0
                while line := server.stdout.readline().strip():
                    length = int(line.split(b":")[1]) if b"ength" in line else length
                message = json.loads(server.stdout.read(length))
                if message.get("id") == number and "method" not in message:
                    return message["result"]
                if "method" in message and "id" in message:
                    items = (message.get("params") or {}).get("items", [])
                    send(id=message["id"], result=[None for _ in items])

        ask(1, "initialize", processId=None, rootUri=WORK.as_uri(), capabilities={})
        send(method="initialized", params={})
        opened = {"uri": uri, "languageId": "yaml", "version": 1, "text": DOCUMENT}
        send(method="textDocument/didOpen", params={"textDocument": opened})
        place = {"line": 3, "character": 4}
        answer = ask(2, "textDocument/completion", textDocument={"uri": uri}, position=place)
        server.terminate()
    return sorted(each["label"] for each in answer["items"] if each["label"].startswith("in"))


(WORK / "document.yaml").write_text(DOCUMENT)
for name, choice in CHOICES.items():
    (WORK / "schema.json").write_text(json.dumps(schema(choice)))
    print(f"{name}:", *completions())
PYTHON

seen=$(timeout 120 python3 "$work/complete.py" "$work")
printf '%s\n' "$seen"
expected=$'const: inMachine inMachineTable\nenum: inMachine inMachineTable\npattern: inMachine'
[[ $seen == "$expected" ]]
