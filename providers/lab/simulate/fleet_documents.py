"""The fleet repository of a simulated rack. Pure text."""

from collections.abc import Mapping, Sequence

from providers.lab.simulate.machine_list import SERVER, MachineSettings

IMAGE = "simulated-golden"
CAPTURE = "capture-golden"
CLONE = "clone-golden"
_LOOK = "look"
_GOLDEN, _CLONES, _SPARE = "golden", "clones", "spare"

_FLEET = """\
# A rack of simulated machines: docs/reference/simulated-machines.md.
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: simulated}}
spec:
  budgets:
    work: {{atOnce: {at_once}, perMinute: 6000}}
    imaging: {{atOnce: {at_once}}}
    destructive: {{atOnce: {at_once}, perHour: {per_hour}}}
    disruptive: {{atOnce: {at_once}, perHour: {per_hour}}}
  observation: {{maxAge: 1h}}
  commits: {{verify: none}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {{name: simulated}}
spec:
  subnet: {subnet}
  # The golden machine gets its address from here; the others have one of their own.
  dhcp: {{mode: server, range: {first}-{last}, lease: 1h}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {group}}}
spec:
  network: simulated
  power: {{driver: wake-on-lan}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {group}/{golden}}}
spec:
  assign: [{{scenario: {capture}, run: 1}}]
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {group}/{clones}}}
spec:
  assign: [{{scenario: {clone}, run: 1}}]
---
# These are only looked at.
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {group}/{spare}}}
spec:
  assign: [{{scenario: {look}, run: 1}}]
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {{name: {image}}}
spec: {{description: The disk of the golden machine}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {{name: {look}}}
spec:
  options: {{after: poweroff, timeout: 1h}}
  steps:
    - inspectDisks: {{}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {{name: {capture}}}
spec:
  options: {{after: poweroff, timeout: 2h}}
  steps:
    - inspectDisks: {{}}
    - backup: {{image: {image}, disk: {{role: system}}}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {{name: {clone}}}
spec:
  options: {{after: reboot, timeout: 2h}}
  steps:
    - inspectDisks: {{}}
    - restore: {{image: {image}, disk: {{role: system}}, identity: apply}}
"""
_MACHINE = """\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {name}}}
spec:
  group: {group}
  hardware: {{macs: ["{mac}"], uuid: {uuid}}}
{identity}"""


def fleet_documents(
    machines: Sequence[MachineSettings],
    group: str = "simulated",
    *,
    at_once: int = 20,
    clones: int | None = None,
) -> Mapping[str, str]:
    """Return file name → text of a repository with these machines.

    ``at_once`` is how many may be in destructive or disruptive work at one moment. The
    golden machine is to be captured, and the first ``clones`` others to be cloned from it
    (None: all); the rest is only inspected.
    """
    last = len(machines) if clones is None else clones
    network = SERVER.network
    base = int(network.network_address)
    fleet = _FLEET.format(
        at_once=at_once,
        per_hour=max(4 * len(machines), at_once),
        subnet=network,
        first=type(network.network_address)(base + 240 * 256),
        last=type(network.network_address)(base + 249 * 256),
        group=group,
        image=IMAGE,
        capture=CAPTURE,
        clone=CLONE,
        golden=_GOLDEN,
        clones=_CLONES,
        spare=_SPARE,
        look=_LOOK,
    )
    documents = "---\n".join(
        _document(machine, f"{group}/{_below(machine, last)}") for machine in machines
    )
    return {"fleet.yaml": fleet, "machines.yaml": documents}


def _below(machine: MachineSettings, last: int) -> str:
    if machine.is_golden:
        return _GOLDEN
    return _CLONES if machine.index <= last else _SPARE


def _document(machine: MachineSettings, group: str) -> str:
    identity = ""
    if machine.address:
        identity = f"  identity: {{hostname: {machine.name}, addresses: [{machine.address}]}}\n"
    return _MACHINE.format(
        name=machine.name,
        group=group,
        mac=machine.mac,
        uuid=machine.uuid,
        identity=identity,
    )
