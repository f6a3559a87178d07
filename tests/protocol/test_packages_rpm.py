"""Packages by dnf, zypper and rpm, with a real database of RPM in a root of its own."""

import subprocess

import pytest
from builders.package_root import PackageRoot, wanted

pytestmark = pytest.mark.needs_root

SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: a test
License: none
BuildArch: {arch}
{more}
%description
a test
%install
mkdir -p %{{buildroot}}/usr/share/{name}; echo {version} > %{{buildroot}}/usr/share/{name}/data
%files
/usr/share/{name}/data
{scripts}
"""
PACKAGES = (
    ("shell", "1.0", "Provides: /bin/sh", ""),  # that scripts have an interpreter
    ("tool", "1.0", "", ""),
    ("tool", "2.0", "", ""),
    ("broken-post", "1.0", "", "%post\necho no luck; exit 3"),
    ("broken-pre", "1.0", "", "%pre\necho no luck; exit 3"),
    ("needy", "1.0", "Requires: nothing-has-this", ""),
    ("halfway", "1.0", "", "%post\ntouch /srv/here; [ -e /srv/again ] || sleep 60"),
)
SOURCE = "[test]\nname=test\nbaseurl=file:///srv/rpms\nenabled=1\ngpgcheck={checked}\n"
REPOSITORIES = {"dnf": "/etc/yum.repos.d/test.repo", "zypper": "/etc/zypp/repos.d/test.repo"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Return what a root has above the shared one: an empty database and a repository."""
    root = PackageRoot(tmp_path_factory.mktemp("repository"))
    root.path("/etc/rpm/macros").write_text("%_dbpath /var/lib/rpm\n%_rpmdir /srv/rpms\n")
    root.path("/etc/dnf/vars/releasever").write_text("9\n")
    for name, version, more, scripts in PACKAGES:
        text = SPEC.format(name=name, version=version, arch="noarch", more=more, scripts=scripts)
        root.path(f"/srv/specs/{name}-{version}.spec").write_text(text)
    root.shell(
        "set -e; cd /srv/specs; for spec in *.spec; do rpmbuild --quiet -bb $spec; done\n"
        "createrepo_c --quiet /srv/rpms\n"
        "rm -rf /var/lib/rpm; mkdir /var/lib/rpm; rpm --initdb\n"
        "dnf --assumeyes --quiet --repofrompath=here,/srv/rpms --nogpgcheck install shell"
    )
    return root.layer / "upper"


@pytest.fixture
def root(tmp_path, repository):
    root = PackageRoot(tmp_path)
    subprocess.run(["cp", "-a", f"{repository}/.", root.layer / "upper"], check=True)
    for path in REPOSITORIES.values():
        root.path(path).write_text(SOURCE.format(checked=0))
    return root


def outcomes(said):
    return [(result["name"], result["state"], result["code"]) for result in said["results"]]


def rpm_file(root, name):
    return root.file(root.path(f"/srv/rpms/noarch/{name}-1.noarch.rpm"))


@pytest.mark.parametrize("program", ["dnf", "zypper"])
def test_each_package_becomes_what_it_has_to(root, program):
    said = root.install(
        wanted("tool", program, version="1.0"),
        wanted("needy", program),
        wanted("missing", program),
        wanted("too-new", program, software="tool", version="9.0"),
        wanted("broken-pre", program),
        wanted("broken-post", program),
    )
    assert outcomes(said) == [
        ("tool", "installed", ""),
        ("needy", "failed", "RW215"),
        ("missing", "failed", "RW217"),
        ("too-new", "failed", "RW217"),
        ("broken-pre", "failed", "RW218"),
        ("broken-post", "failed-but-detected", "RW218"),
    ]
    causes = {result["name"]: result["cause"] for result in said["results"]}
    assert "nothing-has-this" in causes["needy"]
    assert "the %post script of broken-post-1.0-1.noarch failed with 3" in causes["broken-post"]
    newer = wanted("tool", program, version="2.0")
    said = root.install(newer, run="run-2")
    assert outcomes(said) == [("tool", "installed", "")]
    assert (said["results"][0]["version_before"], said["results"][0]["version_after"]) == (
        "1.0-1",
        "2.0-1",
    )
    assert root.states(newer, run="run-3") == {"tool": "present"}


def test_dnf_refuses_what_nobody_trusted_has_signed(root):
    root.path(REPOSITORIES["dnf"]).write_text(SOURCE.format(checked=1))
    assert outcomes(root.install(wanted("tool", "dnf"))) == [("tool", "failed", "RW216")]


@pytest.mark.parametrize(
    "without",
    [
        pytest.param([], marks=pytest.mark.nightly),
        pytest.param(["dnf"], marks=pytest.mark.nightly),
        ["dnf", "zypper"],
    ],
)
def test_files_are_installed_by_whatever_is_there(root, without, tmp_path):
    text = tmp_path / "text.rpm"
    text.write_text("no package")
    arguments = ["--force-debian"] if "zypper" in without else []  # Debian's rpm wants it
    packages = [
        wanted("tool", "rpm", version="2.0", files=[rpm_file(root, "tool-2.0")],
               arguments=arguments),
        wanted("needy", "rpm", files=[rpm_file(root, "needy-1.0")], arguments=arguments),
        wanted("text", "rpm", files=[root.file(text)]),
    ]  # fmt: skip
    away = "".join(f"mv /usr/bin/{program} /usr/bin/{program}.away\n" for program in without)
    out, err = root.start(away + root.write_order("order", packages)).communicate()
    for name, state, code in [
        ("tool", "installed", ""),
        ("needy", "failed", "RW215"),
        ("text", "failed", "RW220"),
    ]:
        assert f'"name": "{name}"' in out, err
        part = out.split(f'"name": "{name}"')[1].split('"name":')[0]
        assert f'"state": "{state}", "code": "{code}"' in part, part


def test_a_list_of_packages_that_cannot_be_read_is_made_anew(root):
    root.install(wanted("tool", "dnf"))
    database = root.path("/var/lib/rpm/rpmdb.sqlite")
    content = bytearray(database.read_bytes())
    content[3 * 4096 : 23 * 4096] = bytes(range(256)) * (20 * 16)
    database.write_bytes(content)
    assert "malformed" in root.shell("rpm -qa 2>&1")
    said = root.install(wanted("broken-pre", "dnf"), wanted("tool", "dnf"), run="run-2")
    assert [result["state"] for result in said["results"]][1] in ("present", "installed")
    assert "malformed" not in root.shell("rpm -qa 2>&1")


def test_power_lost_while_dnf_installs_comes_to_an_end(root):
    package = wanted("halfway", "dnf")
    root.lose_power_when(root.write_order("order", [package]), root.path("/srv/here").exists)
    root.path("/srv/again").touch()
    assert root.states(package, boot="second") == {"halfway": "installed"}


def test_a_lock_of_dnf_is_waited_for(root):
    """Another dnf that takes three seconds: the agent's begins when it has ended."""
    root.path("/srv/hold.py").write_text(
        "import dnf, time\n"
        "base = dnf.Base()\n"
        "lock = dnf.lock.build_metadata_lock(base.conf.cachedir, True)\n"
        "lock.__enter__(); open('/srv/held', 'w').close(); time.sleep(3); lock.__exit__()\n"
    )
    order = root.write_order("order", [wanted("tool", "dnf")])
    commands = f"python3 /srv/hold.py & while [ ! -e /srv/held ]; do sleep 0.05; done\n{order}"
    out, err = root.start(commands).communicate()
    assert '"state": "installed"' in out, f"{out}\n{err}"
