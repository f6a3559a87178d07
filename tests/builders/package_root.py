"""Real systems to install packages on: a Debian root with dpkg, apt, rpm, dnf and zypper.

The root is made once, below ``build/``, and each test writes to a layer of its own above it. What
runs there has its own processes, mounts and network; when its first process ends, all end, as when
the power fails.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from builders.made_once import made_once

ROOT = Path(__file__).parents[2]
PROGRAMS = (
    *("python3", "gnupg", "apt-utils", "debconf", "procps"),
    *("rpm", "dnf", "createrepo-c", "zypper", "systemd", "dbus"),
)
CACHE = ROOT / "build/packages"
PYTHON_PATH = "/usr/local/project:/usr/local/libraries"
"""In the root: this project, and attrs and cattrs for the root's own Python."""
_LAYERS = """
set -e
# Without waiting for the medium: what is tested dies, and the kernel does not.
rm -rf "$LAYER/work/work/incompat"
layers="volatile,lowerdir=$LOWER,upperdir=$LAYER/upper,workdir=$LAYER/work"
mount -t overlay overlay -o "$layers" "$LAYER/root"
cd "$LAYER/root"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mkdir -p usr/local/project usr/local/libraries
mount --bind "$PROJECT" usr/local/project
mount --bind "$LIBRARIES" usr/local/libraries
eval "$MORE"
"""
_COMMANDS = """
mount --rbind /dev dev
set +e
chroot . /bin/sh -c "$COMMANDS" </dev/null
exit $?
"""
_SYSTEMD = """
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch dev/$name; mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
exec env -i container=test PATH=/usr/sbin:/usr/bin chroot . /lib/systemd/systemd \\
    --unit=basic.target --log-target=console --show-status=no </dev/null
"""


def base_root():
    """Return the folder of the root that all tests share, made where it is missing."""
    lower = CACHE / f"root-{hashlib.sha256(' '.join(PROGRAMS).encode()).hexdigest()[:12]}"
    return made_once(lower, _make_root)


def _make_root(making):
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--components=main"),
            *('--aptopt=APT::Sandbox::User "root"', "--dpkgopt=force-unsafe-io"),
            *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
            *(f"--include={','.join(PROGRAMS)}", "bookworm", str(making)),
        ],
        check=True,
        capture_output=True,
    )


class PackageRoot:
    """One test's system."""

    def __init__(self, folder):
        self.lower = base_root()
        self.layer = folder / "system"
        for name in ("upper", "work", "root"):
            (self.layer / name).mkdir(parents=True)
        self.more = ""
        """Commands after all is mounted, in the root's folder."""

    def path(self, name):
        """Return where a file of the root is written, or was."""
        path = self.layer / "upper" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def read(self, name):
        return self.path(name).read_text()

    def start(self, commands, end=_COMMANDS):
        """Run shell commands as the only ones in the root; return the process."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LOWER": str(self.lower),
            "LAYER": str(self.layer),
            "PROJECT": str(ROOT),
            "LIBRARIES": sysconfig.get_path("purelib"),
            "MORE": self.more,
            "COMMANDS": commands,
            "PYTHONPATH": PYTHON_PATH,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"),
                *("--fork", "--kill-child", "bash", "-c", _LAYERS + end),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def shell(self, commands):
        """Run shell commands to their end and return what they print."""
        process = self.start(commands)
        out, err = process.communicate()
        assert process.returncode == 0, f"{commands}\n{out}\n{err}"
        return out

    def write_order(self, name, wanted, **order):
        path = self.path(f"/srv/{name}.json")
        path.write_text(json.dumps({"wanted": wanted, **order}))
        return f"python3 /usr/local/project/tests/builders/package_agent.py /srv/{name}.json"

    def install(self, *wanted, **order):
        """Let the agent install packages and return what it says."""
        process = self.start(self.write_order("order", wanted, **order))
        out, err = process.communicate()
        assert process.returncode == 0, f"{out}\n{err}"
        return json.loads(out.splitlines()[-1])

    def states(self, *wanted, **order):
        """Let the agent install packages and return the state of each."""
        said = self.install(*wanted, **order)
        return {result["name"]: result["state"] for result in said["results"]}

    def lose_power_when(self, commands, happens, seconds=60):
        """Run commands, and end everything at once when ``happens()``."""
        process = self.start(commands)
        late = time.monotonic() + seconds
        while not happens():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < late
            time.sleep(0.01)
        process.kill()
        process.communicate()

    def boot(self, units):
        """Start systemd with units of these names and texts; return the process."""
        for name, text in units.items():
            self.path(f"/etc/systemd/system/{name}").write_text(text)
            link = self.path(f"/etc/systemd/system/basic.target.wants/{name}")
            link.unlink(missing_ok=True)
            link.symlink_to(f"/etc/systemd/system/{name}")
        return self.start("", _SYSTEMD)

    def file(self, source, name=None):
        """Put a file where the agent fetches it, and return how a package names it."""
        data = Path(source).read_bytes()
        name = name or Path(source).name
        self.path(f"/srv/files/{name}").write_bytes(data)
        return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def wanted(name, adapter, **fields):
    """Return a package on the wire; what is not given has its default."""
    defaults = {
        "version": "",
        "type": "application",
        "software": "",
        "files": [],
        "command": [],
        "arguments": [],
        "success": [0],
        "reboot_needed": [],
        "timeout": 120,
        "session": "service",
        "detect": [],
        "requires": [],
        "exclusive": False,
        "reboot": "if-needed",
        "targets": [],
    }
    return {"name": name, "adapter": adapter, **defaults, **fields}


def make_deb(folder, name, version="1.0", *, scripts=None, files=None, **control):
    """Build a Debian package and return its path. ``scripts`` are shell, by their names."""
    tree = Path(folder) / f"{name}_{version}"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "all",
        "Maintainer": "Jane Doe <jane@example.org>",
        "Description": "a test",
        **{field.replace("_", "-"): value for field, value in control.items()},
    }
    text = "".join(f"{field}: {value}\n" for field, value in fields.items())
    (tree / "DEBIAN/control").write_text(text)
    for script, body in (scripts or {}).items():
        path = tree / "DEBIAN" / script
        path.write_text(body if script in ("templates", "conffiles") else f"#!/bin/sh\n{body}\n")
        path.chmod(0o644 if script in ("templates", "conffiles") else 0o755)
    for path, content in {f"usr/share/{name}/data": version, **(files or {})}.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    made = Path(folder) / f"{name}_{version}_{fields['Architecture']}.deb"
    subprocess.run(
        ["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, made],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(tree)
    return made


KEY = """
export GNUPGHOME=/srv/gnupg; mkdir -m 700 -p $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key {name} ed25519 sign never 2>/dev/null
gpg --quiet --export {name} > /srv/{name}.gpg
"""
PUBLISH = """
set -e; export GNUPGHOME=/srv/gnupg; cd /srv/repository
apt-ftparchive packages . > Packages
apt-ftparchive release . > /tmp/Release; mv /tmp/Release Release
rm -f InRelease; gpg --batch --quiet --yes --local-user {name} --clearsign -o InRelease Release
"""
SOURCE = "deb [signed-by=/srv/example.gpg] file:/srv/repository ./\n"

if __name__ == "__main__":
    sys.exit(str(base_root()))
