"""Packages on a real Debian system: dpkg and apt, signed sources, whatever goes wrong."""

import re
import subprocess

import pytest
from builders.package_root import KEY, PUBLISH, SOURCE, PackageRoot, make_deb, wanted

pytestmark = pytest.mark.needs_root

PACKAGES = (
    ("tool", "1.0", {}),
    ("tool", "2.0", {}),
    ("patch-1", "1.0", {}),
    ("broken", "1.0", {"scripts": {"postinst": "echo no luck; exit 3"}}),
    ("needy", "1.0", {"Depends": "nothing-has-this"}),
    ("rival", "1.0", {"Conflicts": "tool", "Replaces": "tool"}),
    (
        "asking",
        "1.0",
        {
            "Depends": "debconf",
            "scripts": {
                "templates": "Template: asking/word\nType: string\nDescription: A word?\n",
                "config": ". /usr/share/debconf/confmodule\n"
                "db_input critical asking/word || true\ndb_go",
                "postinst": ". /usr/share/debconf/confmodule\ndb_get asking/word\n"
                'echo "got:$RET" > /srv/asked',
            },
        },
    ),
    *(
        (
            "configured",
            version,
            {
                "files": {"etc/configured.conf": f"from {version}\n"},
                "scripts": {"conffiles": "/etc/configured.conf\n"},
            },
        )
        for version in ("1.0", "2.0")
    ),
    ("waiting", "1.0", {"scripts": {"postinst": "echo 'Continue? [y/n]'; sleep 600"}}),
    ("leaving", "1.0", {"scripts": {"postinst": "sleep 600 &\necho left it"}}),
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Return a folder with a signed repository of the packages, and the key."""
    folder = tmp_path_factory.mktemp("repository")
    root = PackageRoot(folder)
    place = root.path("/srv/repository/x").parent
    for name, version, more in PACKAGES:
        make_deb(place, name, version, **more)
    root.shell(KEY.format(name="example") + PUBLISH.format(name="example"))
    root.path("/etc/apt/sources.list").write_text(SOURCE)
    return root.layer / "upper"


@pytest.fixture
def root(tmp_path, repository):
    """Return a system whose only source is the repository."""
    root = PackageRoot(tmp_path)
    subprocess.run(["cp", "-a", f"{repository}/.", root.layer / "upper"], check=True)
    return root


def result_of(said, name):
    return next(result for result in said["results"] if result["name"] == name)


def test_each_package_becomes_what_it_has_to_and_patches_come_first(root):
    said = root.install(
        wanted("tool", "apt", version="1.0"),
        wanted("broken", "apt"),
        wanted("needy", "apt"),
        wanted("missing", "apt"),
        wanted("too-new", "apt", software="tool", version="9.0"),
        wanted("for-rhel", "dnf", targets=[{"family": "rhel", "versions": ["9"], "architecture": "",
                                            "language": ""}]),
        wanted("on-broken", "apt", software="patch-1", requires=["broken"]),
        wanted("patch", "apt", software="patch-1", type="patch"),
    )  # fmt: skip
    assert [(result["name"], result["state"], result["code"]) for result in said["results"]] == [
        ("patch", "installed", ""),
        ("tool", "installed", ""),
        ("broken", "failed", "RW218"),
        ("needy", "failed", "RW215"),
        ("missing", "failed", "RW217"),
        ("too-new", "failed", "RW217"),
        ("for-rhel", "not-applicable", "RW205"),
        ("on-broken", "blocked", "RW206"),
    ]
    assert result_of(said, "tool")["version_after"] == "1.0"
    broken = result_of(said, "broken")
    assert broken["cause"] == (
        "broken: the post-installation script of broken failed with status 3"
    )
    assert "no luck" in broken["output"]
    assert "needs nothing-has-this" in result_of(said, "needy")["cause"]
    assert result_of(said, "too-new")["cause"] == (
        "too-new: no source of this machine has tool in version 9.0"
    )
    assert not said["reboot"]


def test_a_newer_version_replaces_an_older_one_once(root):
    root.install(wanted("tool", "apt", version="1.0"))
    newer = wanted("tool", "apt", version="2.0")
    said = root.install(newer, run="run-2")
    result = result_of(said, "tool")
    assert (result["state"], result["version_before"], result["version_after"]) == (
        "installed",
        "1.0",
        "2.0",
    )
    assert root.states(newer, run="run-3") == {"tool": "present"}


def test_nothing_is_removed_for_a_package(root):
    root.install(wanted("tool", "apt"))
    said = root.install(wanted("rival", "apt"), run="run-2")
    assert (result_of(said, "rival")["state"], result_of(said, "rival")["code"]) == (
        "failed",
        "RW215",
    )
    assert root.states(wanted("tool", "apt"), run="run-3") == {"tool": "present"}


def test_what_apt_would_take_for_an_order_to_remove_is_no_name(root):
    root.install(wanted("tool", "apt"))
    said = root.install(
        wanted("a", "apt", software="tool-"), wanted("b", "apt", software="--purge"), run="run-2"
    )
    assert [result["code"] for result in said["results"]] == ["RW223", "RW223"]
    assert root.states(wanted("tool", "apt"), run="run-3") == {"tool": "present"}


def test_a_question_gets_its_default_and_a_changed_configuration_stays(root):
    said = root.install(wanted("asking", "apt"), wanted("configured", "apt", version="1.0"))
    assert [result["state"] for result in said["results"]] == ["installed", "installed"]
    assert root.read("/srv/asked") == "got:\n"
    root.path("/etc/configured.conf").write_text("changed by hand\n")
    said = root.install(wanted("configured", "apt", version="2.0"), run="run-2")
    assert result_of(said, "configured")["state"] == "installed"
    assert root.read("/etc/configured.conf") == "changed by hand\n"


def test_an_installer_that_waits_for_somebody_is_ended_and_says_its_last_line(root):
    said = root.install(wanted("waiting", "apt"), silence=2)
    result = result_of(said, "waiting")
    assert (result["state"], result["code"], result["status"]) == ("timed-out", "RW210", None)
    assert re.fullmatch(
        r"the installer of waiting waited for somebody after \d+ s; the last that it said: "
        r"Continue\? \[y/n\]",
        result["cause"],
    )


def test_an_installer_that_takes_too_long_is_ended_with_all_that_it_started(root):
    slow = wanted("slow", "apt", software="waiting", timeout=3)
    process = root.start(f"{root.write_order('order', [slow])}; ps -eo args")
    out, err = process.communicate()
    assert '"RW209"' in out, err
    assert "sleep 600" not in out.splitlines()


def test_a_package_may_leave_a_service_behind(root):
    process = root.start(f"{root.write_order('order', [wanted('leaving', 'apt')])}; ps -eo args")
    out, err = process.communicate()
    assert '"state":"installed"' in out.replace(" ", ""), err
    assert "sleep 600" in out.splitlines()


def test_a_source_that_is_not_signed_or_by_a_stranger_is_named(root):
    root.path("/srv/repository/InRelease").unlink()
    result = result_of(root.install(wanted("tool", "apt")), "tool")
    assert (result["state"], result["code"]) == ("failed", "RW216")
    assert "the source file:/srv/repository ./" in result["cause"]
    root.shell(KEY.format(name="stranger") + PUBLISH.format(name="stranger"))
    result = result_of(root.install(wanted("tool", "apt"), run="run-2"), "tool")
    assert (result["state"], result["code"]) == ("failed", "RW216")
    assert re.search(r"signed with the key \w{16}, which is not trusted here", result["cause"])


def test_a_lock_is_named_with_who_holds_it(root):
    hold = (
        "python3 -c 'import fcntl, time\n"
        'f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX)\n'
        'open("/srv/held", "w"); time.sleep(60)\' & while [ ! -e /srv/held ]; do sleep 0.05; done; '
    )
    locked = wanted("tool", "apt", arguments=["-o", "DPkg::Lock::Timeout=1"])
    out, err = root.start(hold + root.write_order("order", [locked])).communicate()
    assert '"RW214"' in out, err
    assert re.search(r"lock-frontend was held by process \d+ \(python3\) all the time", out)
    assert '"attempts":0' in out.replace(" ", "")


def test_a_package_file_brings_what_it_depends_on(root, tmp_path):
    made = make_deb(tmp_path, "local", "3.0", Depends="tool (>= 2.0)")
    said = root.install(wanted("local", "deb", version="3.0", files=[root.file(made)]))
    assert result_of(said, "local")["state"] == "installed"
    assert root.states(wanted("tool", "apt", version="2.0"), run="run-2") == {"tool": "present"}


def test_a_file_that_is_none_or_another_or_for_other_processors_is_refused(root, tmp_path):
    text = tmp_path / "text.deb"
    text.write_text("no package")
    strange = make_deb(tmp_path, "strange", Architecture="riscv64")
    other = root.file(make_deb(tmp_path, "other"))
    said = root.install(
        wanted("text", "deb", files=[root.file(text)]),
        wanted("strange", "deb", files=[root.file(strange)]),
        wanted("other", "deb", files=[{**other, "sha256": "0" * 64}]),
        wanted("none", "deb"),
    )
    assert [result["code"] for result in said["results"]] == ["RW220", "RW220", "RW212", "RW222"]
    assert [result["attempts"] for result in said["results"]] == [0, 1, 0, 0]


def test_without_room_nothing_is_begun_and_both_sizes_are_said(root, tmp_path):
    big = make_deb(tmp_path, "big", files={"opt/big/data": bytes(2 << 20)})
    package = wanted("big", "deb", files=[root.file(big)])
    root.more = "mount -t tmpfs -o size=4M tmpfs var/cache"
    result = result_of(root.install(package), "big")
    assert (result["state"], result["code"], result["attempts"]) == ("failed", "RW213", 0)
    assert result["cause"] == "big: /var/cache has 4.0 MiB free, and 6.1 MiB are needed"


def test_a_disk_that_becomes_full_half_way_is_gone_on_with_when_there_is_room(root, tmp_path):
    big = make_deb(tmp_path, "big", files={"opt/big/data": bytes(4 << 20)})
    package = wanted("big", "deb", files=[root.file(big)])
    root.more = "mount -t tmpfs -o size=1M tmpfs opt"
    result = result_of(root.install(package), "big")
    assert (result["state"], result["code"]) == ("failed", "RW213")
    root.more = ""
    assert root.states(package, run="run-2") == {"big": "installed"}
    assert root.path("/opt/big/data").stat().st_size == 4 << 20
