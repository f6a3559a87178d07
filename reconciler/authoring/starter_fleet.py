"""The files that a new fleet begins with: valid as they are, commented, and few."""

from collections.abc import Mapping
from json import dumps
from pathlib import PurePosixPath

from specs.schema import json_schema

SCHEMA_FILE = ".rackwright/schema.json"

_FLEET = """\
# What holds for every machine. Every document has the same four parts: apiVersion, kind,
# metadata and spec. All .yaml files of the repository are read together; files, folders and
# the number of documents in a file are yours to choose.
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata:
  name: NAME
spec:
  # The brake that cannot be taken off: how many machines may have a disk overwritten at one
  # moment, and how many within an hour.
  budgets:
    destructive:
      atOnce: 1
      perHour: 10
"""
_NETWORKS = """\
# The subnet that the machines boot in. Replace 192.0.2.0/24, which is reserved for examples,
# by yours.
apiVersion: rackwright/v1alpha1
kind: Network
metadata:
  name: rack
spec:
  subnet: 192.0.2.0/24
  gateway: 192.0.2.1
  nameservers: [192.0.2.1]
  domain: rack.example.net
  dhcp:
    # proxy: a DHCP server that is there already leases the addresses, Rackwright adds what a
    # machine needs for booting. server: Rackwright leases them and needs a range. off: neither.
    mode: proxy
"""
_GROUPS = """\
# What machines have in common. A group's name is its path: compute/rack1 would be inside this
# one. The nearest level that sets a field wins; `rackwright explain machine/NAME` shows which.
apiVersion: rackwright/v1alpha1
kind: Group
metadata:
  name: compute
spec:
  network: rack
  power:
    driver: wake-on-lan # or manual: a person is asked to switch the machine on
  labels:
    role: compute
"""
_MACHINES = """\
# One document for each machine. Once the server runs, `rackwright adopt` writes them for you
# from what it saw booting.
apiVersion: rackwright/v1alpha1
kind: Machine
metadata:
  name: node-01
spec:
  group: compute
  hardware:
    # What the machine is recognised by. The NIC that it boots from comes first. Keep the quotes.
    macs: ["02:00:00:00:00:01"]
  identity:
    addresses: [192.0.2.11/24] # leave identity out for an address by DHCP
  # true: no disk of this machine is ever overwritten. Write false once you mean to: a line that is
  # removed goes on protecting what was protected.
  protect: true
  # What the machine shall have run. A scenario runs once for each word after run:, so that a
  # new word means "again".
  # assign:
  #   - scenario: capture-golden
  #     run: first
"""
_SCENARIOS = """\
# A scenario is a list of steps that run in a small system in the machine's memory. Nothing
# runs until a scenario is assigned to a machine or a group: see machines.yaml.

# Read the disk of a machine into an image. Changes nothing on the disk.
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata:
  name: capture-golden
spec:
  options:
    after: poweroff
    timeout: 2h # units are always written out: 90s, 10m, 2h, 1d
  steps:
    - inspectDisks: {}
    - backup:
        image: golden
        disk: {role: system} # the only fixed disk; name it by serial or wwn where there are more
---
# The name of what is captured. The content lies in the image store, not in Git.
apiVersion: rackwright/v1alpha1
kind: Image
metadata:
  name: golden
spec:
  description: A system installed by hand, as the pattern for others
"""


def starter_fleet(name: str) -> Mapping[str, str]:
    """Return the files of a new fleet called ``name``, by their path below its folder."""
    documents = {
        "fleet.yaml": _FLEET.replace("NAME", name),
        "networks.yaml": _NETWORKS,
        "groups.yaml": _GROUPS,
        "machines.yaml": _MACHINES,
        "scenarios.yaml": _SCENARIOS,
    }
    files = {path: modeline(path) + text for path, text in documents.items()}
    return {**files, SCHEMA_FILE: dumps(json_schema(), indent=2) + "\n"}


def modeline(path: str) -> str:
    """Return the line by which an editor finds the schema from a file at ``path``."""
    up = "../" * (len(PurePosixPath(path).parts) - 1)
    return f"# yaml-language-server: $schema={up}{SCHEMA_FILE}\n"
