"""Building, publishing, signing, yanking and renewing, by the command line."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from builders.package_world import NOW, PackageWorld, a_key, package_text
from click.testing import CliRunner, Result
from tuf.api.metadata import Metadata

from providers.package_source.bundle import read_bundle
from providers.package_source.errors import (
    PackageBuildError,
    PackageSourceError,
    RepositoryError,
    SigningKeyError,
)
from providers.package_source.keys import new_key, public_text
from reconciler.cli.package import package
from reconciler.errors import SecretError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(package, [str(each) for each in arguments], catch_exceptions=True)


def done(*arguments: object) -> str:
    result = run(*arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    content = {"agent.deb": b"agent" * 1000, "setup tool.exe": b"tool" * 1000}
    for name, data in content.items():
        (folder / name).write_bytes(data)
    text = package_text("agent", "1.0", content).replace("setup tool.exe", "setup%20tool.exe")
    (folder / "package.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    done("init", tmp_path / "repo")
    return tmp_path / "repo"


def test_from_a_document_to_a_list(repo: Path, source: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    assert done("build", source, "--output", built) == f"{built}/agent-1.0: agent 1.0, 2 file(s)\n"
    assert sorted(path.name for path in (built / "agent-1.0").iterdir()) == [
        "agent.deb",
        "package.json",
        "setup tool.exe",
    ]
    done("publish", repo, built / "agent-1.0")
    listed = json.loads(done("ls", repo, "--format", "json"))
    assert [(each["name"], each["version"], each["yanked"]) for each in listed["packages"]] == [
        ("agent", "1.0", "")
    ]
    assert [each["role"] for each in listed["roles"]] == [
        "root",
        "targets",
        "snapshot",
        "timestamp",
    ]
    assert "agent" in done("ls", repo)


def test_a_package_has_one_checksum_wherever_it_is_built(source: Path, tmp_path: Path) -> None:
    done("build", source, "--output", tmp_path / "one")
    done("build", source / "package.yaml", "--output", tmp_path / "two")
    one, two = (tmp_path / name / "agent-1.0/package.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_private_keys_are_outside_of_what_is_published_and_for_their_owner(
    repo: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "repo.keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {
        f"{role}.pem": 0o600 for role in ("root", "targets", "snapshot", "timestamp")
    }
    assert not [
        path for path in repo.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()
    ]
    with pytest.raises(RepositoryError) as caught:
        done("init", tmp_path / "other", "--keys", tmp_path / "other" / "keys")
    assert "its private keys would be in it" in caught.value.cause


def test_a_key_that_others_may_read_is_not_used(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "repo.keys" / "targets.pem").chmod(0o644)
    with pytest.raises(SecretError) as caught:
        done("refresh", repo)
    assert caught.value.code == "RW987"


def test_a_repository_is_not_made_twice(repo: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        done("init", repo)
    assert str(caught.value) == f"RW279: {repo}: it is a repository already. Name another folder."


def test_a_version_is_never_exchanged(repo: Path, source: Path, tmp_path: Path) -> None:
    done("build", source, "--output", tmp_path / "one")
    done("publish", repo, tmp_path / "one" / "agent-1.0")
    done("publish", repo, tmp_path / "one" / "agent-1.0")
    changed = (source / "package.yaml").read_text().replace('["true"]', '["false"]')
    (source / "package.yaml").write_text(changed)
    done("build", source, "--output", tmp_path / "two")
    with pytest.raises(PackageBuildError) as caught:
        done("publish", repo, tmp_path / "two" / "agent-1.0")
    assert caught.value.cause == "agent 1.0: the repository has another package of that version"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"sha256": "0" * 64}, "the document wants"),
        ({"version": "1 0"}, "has other characters than letters"),
        ({"kind": "Group"}, "there is no Package document in it"),
        ({"type": "toy"}, "toy"),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, change: dict[str, str], cause: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.deb").write_bytes(b"a")
    document = json.loads(package_text("agent", "1.0", {"a.deb": b"a"}))
    for name, value in change.items():
        if name == "sha256":
            document["spec"]["files"][0]["sha256"] = value
        elif name == "kind":
            document = {**document, "kind": value, "spec": {}}
        else:
            document["spec"][name] = value
    (source / "p.yaml").write_text(json.dumps(document))
    with pytest.raises(PackageBuildError) as caught:
        done("build", source, "--output", tmp_path / "built")
    assert caught.value.code == "RW278"
    assert cause in caught.value.cause


def test_a_bundle_that_was_changed_is_not_published(
    repo: Path, source: Path, tmp_path: Path
) -> None:
    done("build", source, "--output", tmp_path / "built")
    (tmp_path / "built/agent-1.0/agent.deb").write_bytes(b"changed")
    with pytest.raises(PackageBuildError) as caught:
        done("publish", repo, tmp_path / "built/agent-1.0")
    assert "it is missing or was changed" in caught.value.cause


def test_a_yanked_version_stays_in_the_list_with_the_reason(
    repo: Path, source: Path, tmp_path: Path
) -> None:
    done("build", source, "--output", tmp_path / "built")
    done("publish", repo, tmp_path / "built/agent-1.0")
    done("yank", repo, "agent", "1.0", "--reason", "it leaks")
    (listed,) = json.loads(done("ls", repo, "--format", "json"))["packages"]
    assert listed["yanked"] == "it leaks"
    with pytest.raises(PackageBuildError) as caught:
        done("yank", repo, "agent", "2.0", "--reason", "x")
    assert "there is no package agent 2.0" in caught.value.cause


def test_two_of_three_people_sign_the_root(tmp_path: Path) -> None:
    others = []
    for number in range(2):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(new_key())
        path.chmod(0o600)
        others.append(path)
    public = [_public(path) for path in others]
    options = [part for key in public for part in ("--root-key", key)]
    repo = tmp_path / "repo"
    said = done("init", repo, "--threshold", 2, *options)
    assert all(key in said for key in public)
    assert "root waits for 1 more signature(s)" in said
    assert not list((repo / "metadata").iterdir())
    assert "waits for" not in done("sign", repo, "--key", others[0])
    assert sorted(path.name for path in (repo / "metadata").iterdir()) == [
        "1.root.json",
        "1.snapshot.json",
        "1.targets.json",
        "timestamp.json",
    ]


def _public(path: Path) -> str:
    from providers.package_source.keys import signer_of  # noqa: PLC0415 - one test needs it

    return public_text(signer_of(path.read_bytes(), "a key").public_key)


def test_a_threshold_that_nobody_can_meet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError) as caught:
        done("init", tmp_path / "repo", "--threshold", 2)
    assert caught.value.cause == "2 signatures of 1 root keys are wanted"


def test_without_the_lists_key_it_waits_for_a_signature(tmp_path: Path) -> None:
    world = PackageWorld(tmp_path)
    made = world.bundle()
    world.repository(without=["targets"]).publish([made])
    staged = [each for each in world.repository(without=["targets"]).states() if each.is_staged]
    assert [(each.role, each.missing) for each in staged] == [("targets", 1)]
    assert not (world.metadata / "2.targets.json").exists()
    world.repository().sign()
    assert (world.metadata / "2.targets.json").exists()
    assert not any(each.is_staged for each in world.repository().states())


def test_without_the_online_keys_nothing_is_believed_to_be_published(tmp_path: Path) -> None:
    world = PackageWorld(tmp_path)
    with pytest.raises(SigningKeyError) as caught:
        world.repository(without=["timestamp"]).publish([world.bundle()])
    assert caught.value.cause.startswith("no key is here that signs the timestamp of ")


def test_a_key_may_come_from_a_secret(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "repo.keys" / "timestamp.pem"
    monkeypatch.setenv("RACKWRIGHT_SECRET_PACKAGES_TIMESTAMP", key.read_text())
    key.unlink()
    with pytest.raises(SigningKeyError):
        done("refresh", repo)
    done("refresh", repo, "--key", "secret:packages/timestamp")
    with pytest.raises(SecretError) as caught:
        done("refresh", repo, "--key", "secret:packages/other")
    assert caught.value.code == "RW986"


def test_a_file_that_is_no_key_is_said_to_be_none_and_not_shown(repo: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(SigningKeyError) as caught:
        done("refresh", repo, "--key", path)
    assert str(caught.value).startswith(f"RW277: {path} is no Ed25519 private key")
    assert "SECRETSECRET" not in str(caught.value)


def test_a_refresh_renews_the_timestamp_and_what_is_old(tmp_path: Path) -> None:
    world = PackageWorld(tmp_path)

    def versions() -> dict[str, int]:
        return {each.role: each.version for each in world.repository().states()}

    assert versions() == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 1}
    world.repository(without=["root", "targets"], now=NOW + timedelta(days=1)).refresh()
    assert versions() == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 2}
    world.repository(without=["root", "targets"], now=NOW + timedelta(days=8)).refresh()
    assert versions() == {"root": 1, "targets": 1, "snapshot": 2, "timestamp": 3}
    world.repository(now=NOW + timedelta(days=50)).refresh(root=True)
    assert versions() == {"root": 2, "targets": 2, "snapshot": 3, "timestamp": 4}
    expires = {each.role: each.expires for each in world.repository().states()}
    assert expires["root"] == NOW + timedelta(days=415)


def test_a_rotated_key_is_kept_beside_the_new_one(repo: Path, tmp_path: Path) -> None:
    keys = tmp_path / "repo.keys"
    old = (keys / "timestamp.pem").read_bytes()
    done("refresh", repo, "--rotate", "timestamp")
    assert (keys / "timestamp.pem").read_bytes() != old
    (kept,) = keys.glob("timestamp-before-*.pem")
    assert kept.read_bytes() == old
    root = Metadata.from_file(str(repo / "metadata" / "2.root.json"))
    timestamp = Metadata.from_file(str(repo / "metadata" / "timestamp.json"))
    root.verify_delegate("timestamp", timestamp)


def test_how_long_signatures_count_is_a_setting(tmp_path: Path) -> None:
    done("init", tmp_path / "repo", "--expires", "timestamp=12h", "--expires", "root=30d")
    settings = json.loads((tmp_path / "repo/settings.json").read_text())
    assert (settings["timestamp"], settings["root"]) == (43_200, 30 * 86_400)
    assert run("init", tmp_path / "x", "--expires", "boss=1d").exit_code == 2
    assert run("init", tmp_path / "x", "--expires", "root=1 year").exit_code == 2


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        done("ls", tmp_path)
    assert caught.value.cause == f"{tmp_path}: it is no package repository"


def test_a_damaged_repository_says_which_file(tmp_path: Path) -> None:
    world = PackageWorld(tmp_path)
    (world.metadata / "1.targets.json").write_bytes(b"{")
    with pytest.raises(PackageSourceError) as caught:
        world.repository().publish([world.bundle()])
    assert caught.value.cause == f"{world.path}: 1.targets.json is damaged"


def test_a_crash_between_two_files_leaves_the_old_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever file is the last that was written, what the timestamp names is whole."""
    from agent import failpoint  # noqa: PLC0415 - of this test

    class CrashError(Exception):
        pass

    for last in range(30):
        world = PackageWorld(tmp_path / f"{last}")
        made = world.bundle()
        left = last

        def watch(name: str, _what: str) -> None:
            nonlocal left
            if name == "file.after":
                left -= 1
                if left < 0:
                    raise CrashError

        monkeypatch.setattr(failpoint, "watch", watch)
        try:
            world.repository().publish([made])
        except CrashError:
            crashed = True
        else:
            crashed = False
        monkeypatch.setattr(failpoint, "watch", None)
        check_whole(world.metadata)
        world.repository().publish([made])
        assert [each.name for each in world.repository().packages()] == ["agent"]
        if not crashed:
            return
    raise AssertionError("it never came to its end")


def check_whole(metadata: Path) -> None:
    timestamp = Metadata.from_file(str(metadata / "timestamp.json")).signed
    version = timestamp.snapshot_meta.version
    data = (metadata / f"{version}.snapshot.json").read_bytes()
    timestamp.snapshot_meta.verify_length_and_hashes(data)
    snapshot = Metadata.from_bytes(data).signed
    targets = snapshot.meta["targets.json"].version
    listed = Metadata.from_file(str(metadata / f"{targets}.targets.json")).signed
    for path, file in listed.targets.items():
        folder, _, name = path.rpartition("/")
        place = metadata.parent / "targets" / folder / f"{file.hashes['sha256']}.{name}"
        file.verify_length_and_hashes(place.read_bytes())


def test_a_bundle_is_read_as_it_was_built(tmp_path: Path) -> None:
    made = PackageWorld(tmp_path).bundle("tool", "2.1~rc1", {})
    assert read_bundle(made.folder) == made
    assert a_key().public_key.keyid != a_key().public_key.keyid
