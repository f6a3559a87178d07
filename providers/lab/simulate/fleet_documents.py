"""The fleet repository of a simulated rack. Pure text."""

from collections.abc import Mapping, Sequence

from providers.lab.simulate.machine_list import SERVER, MachineSettings

IMAGE = "simulated-golden"
CAPTURE = "capture-golden"
CLONE = "clone-golden"
_GOLDEN, _CLONES = "golden", "clones"
_ASSIGNED = "  assign: [{{scenario: {scenario}, run: 1}}]\n"
_NOTHING = "  labels: {assigned: nothing}\n"

_FLEET = """\
# A rack of simulated machines: docs/reference/simulated-machines.md.
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: simulated}}
spec:
  budgets:
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
{capture_assigned}---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {group}/{clones}}}
spec:
{clone_assigned}---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {{name: {image}}}
spec: {{description: The disk of the golden machine}}
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
    assigned: bool = True,
) -> Mapping[str, str]:
    """Return file name → text of a repository with these machines.

    ``at_once`` is how many may be in destructive or disruptive work at one moment. Without
    ``assigned`` no scenario is assigned to any machine.
    """
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
        capture_assigned=_ASSIGNED.format(scenario=CAPTURE) if assigned else _NOTHING,
        clone_assigned=_ASSIGNED.format(scenario=CLONE) if assigned else _NOTHING,
    )
    documents = "---\n".join(_document(machine, group) for machine in machines)
    return {"fleet.yaml": fleet, "machines.yaml": documents}


def _document(machine: MachineSettings, group: str) -> str:
    identity = ""
    if machine.address:
        identity = f"  identity: {{hostname: {machine.name}, addresses: [{machine.address}]}}\n"
    below = _GOLDEN if machine.is_golden else _CLONES
    return _MACHINE.format(
        name=machine.name,
        group=f"{group}/{below}",
        mac=machine.mac,
        uuid=machine.uuid,
        identity=identity,
    )
