"""Installing from within the agent's own service, whose file systems are read-only."""

import json
import re
import time

import pytest
from builders.package_root import PYTHON_PATH, PackageRoot, make_deb, wanted

from agent.identity.linux import agent_bundle

pytestmark = pytest.mark.needs_root

RESTARTS = """
[Service]
ExecStart=/bin/sh -c 'while [ ! -e /srv/begun ]; do sleep 0.1; done; systemctl restart agent'
"""


@pytest.fixture
def root(tmp_path):
    return PackageRoot(tmp_path)


def service(command):
    """Return the agent's own unit for another command, which writes to ``/srv/said``."""
    text = agent_bundle.unit_text("/usr/bin/python3")
    assert "ProtectSystem=full" in text
    text = re.sub(r"^WorkingDirectory=.*", "WorkingDirectory=/", text, flags=re.MULTILINE)
    text = re.sub(r"^Restart.*\n|^ReadWrite.*\n", "", text, flags=re.MULTILINE)
    started = (
        f"Environment=PYTHONPATH={PYTHON_PATH} PYTHONDONTWRITEBYTECODE=1\n"
        f"StandardOutput=append:/srv/said\nStandardError=append:/srv/errors\nExecStart=/usr/bin/{command}"
    )
    return re.sub(r"^ExecStart=.*", lambda _: started, text, flags=re.MULTILINE)


def said_by(root, units):
    """Boot the system, wait for the agent's answer, and take the power away."""
    process = root.boot(units)
    said = root.path("/srv/said")
    late = time.monotonic() + 60
    try:
        while not (said.exists() and said.read_text().endswith("\n")):
            assert process.poll() is None, process.communicate()
            errors = root.path("/srv/errors")
            assert time.monotonic() < late, errors.read_text() if errors.exists() else "nothing"
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
    return json.loads(said.read_text().splitlines()[-1])


@pytest.mark.parametrize("without", ["", "dbus.socket"])
def test_a_package_is_installed_although_the_service_may_not_write(root, tmp_path, without):
    if without:
        root.path(f"/etc/systemd/system/{without}").symlink_to("/dev/null")
    made = make_deb(tmp_path, "local", scripts={"postinst": "touch /etc/was-configured"})
    order = root.write_order("order", [wanted("local", "deb", files=[root.file(made)])])
    said = said_by(root, {"agent.service": service(order)})
    assert [result["state"] for result in said["results"]] == ["installed"], said
    assert root.path("/etc/was-configured").exists()


def test_an_installer_goes_on_while_the_service_is_restarted(root, tmp_path):
    path = tmp_path / "slow.sh"
    path.write_text(
        "#!/bin/sh\necho run >> /srv/count\ntouch /srv/begun\nsleep 3\ntouch /usr/is-slow\n"
    )
    sign = {"type": "file", "path": "/usr/is-slow", "version": ""}
    package = wanted("slow", "script", files=[root.file(path)], detect=[sign])
    order = root.write_order("order", [package])
    said = said_by(root, {"agent.service": service(order), "restarts.service": RESTARTS})
    assert [result["state"] for result in said["results"]] == ["installed"], said
    assert root.read("/srv/count") == "run\n"


RELEASE = """\
#!/bin/sh
if mkdir /opt/rackwright-agent/tried; then
    # As a release that has reported.
    echo '{"version": "9.0.0-1", "previous": ""}' > /var/lib/rackwright/launch.json
    exit 75
fi
mkdir /opt/rackwright-agent/used && exit 75
echo "{\\"launched\\": \\"$RACKWRIGHT_AGENT_LAUNCHED\\", \\"main\\": $$, \\"unit\\": $(
    systemctl show --property=MainPID --value agent)}"
exec tail -f /dev/null
"""


def test_the_service_may_write_releases_and_is_started_anew_for_the_next_one(root):
    assert "\nRestart=always\n" in agent_bundle.unit_text("agent")
    start = root.path("/opt/rackwright-agent/versions/9.0.0-1/start")
    start.write_text(RELEASE)
    start.chmod(0o755)
    trial = {"version": "9.0.0-1", "run": "op-1/1", "before": "0.3.0", "seconds": 60, "starts": 0}
    state = {"version": "", "previous": "", "trial": trial}
    root.path("/var/lib/rackwright/launch.json").write_text(json.dumps(state))
    unit = service("python3 -sE -m agent.upgrade.launcher service")
    unit = unit.replace("WorkingDirectory=/\n", "WorkingDirectory=/usr/local/project\n")
    said = said_by(root, {"agent.service": f"{unit}\n[Service]\nRestart=always\nRestartSec=1\n"})
    assert said["launched"] == "1"
    assert said["main"] == said["unit"]
