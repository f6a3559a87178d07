"""Images are signed by the server's authority, and restored only where the signature fits."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from builders.world import NOW as WORLD
from builders.world import a_disk, a_fleet, a_machine, observed, ramdisk
from builders.world import an_image as an_observed_image
from click.testing import CliRunner

from providers.imaging.errors import SignatureError
from providers.imaging.image_signature import CheckedSignature, ImageSignature
from reconciler.app.project import Project
from reconciler.cli.image import image
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.server.signed_images import SignedImages
from reconciler.state.image_events import ImageEvents
from reconciler.trust.authority import Authority
from reconciler.trust.image_keys import ImageKeys
from tests.unit.image_desk import Desk
from tests.unit.stored_images import chunks_of

NOW = datetime.now(UTC).replace(microsecond=0)
DIGEST, OTHER = "a" * 64, "b" * 64
GOOD = CheckedSignature("good", "1" * 40, NOW.isoformat())
BAD = CheckedSignature("bad", "1" * 40, NOW.isoformat(), "its signature by key 1111 does not fit")


@pytest.fixture
def authority(tmp_path):
    return Authority.load_or_create(tmp_path / "trust", NOW - timedelta(days=1))


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    assert desk.database
    yield desk
    desk.close()


def keys_of(desk):
    return Authority.load_or_create(desk.state / "trust", NOW)


# --- what a signature is worth --------------------------------------------------------


def test_a_signature_is_of_one_image_and_of_one_time(authority):
    made = authority.sign_image(DIGEST, NOW)
    keys = authority.image_keys
    assert keys.check(DIGEST, made) == CheckedSignature("good", authority.key_id, NOW.isoformat())
    later = attrs.evolve(made, at=(NOW + timedelta(days=1)).isoformat())
    for digest, changed in (
        (OTHER, made),
        (DIGEST, later),
        (DIGEST, attrs.evolve(made, signature="00")),
        (DIGEST, attrs.evolve(made, signature="no hex")),
    ):
        checked = keys.check(digest, changed)
        assert checked.state == "bad"
        assert checked.problem == f"its signature by key {authority.key_id[:12]} does not fit"


def test_the_release_of_an_agent_is_no_image(authority):
    signature = authority.sign_release(DIGEST.encode()).hex()
    made = ImageSignature(authority.key_id, "", signature)
    assert authority.image_keys.check(DIGEST, made).state == "bad"


def test_a_strangers_signature_does_not_fit(authority, tmp_path):
    stranger = Authority.load_or_create(tmp_path / "stranger", NOW - timedelta(days=1))
    checked = authority.image_keys.check(DIGEST, stranger.sign_image(DIGEST, NOW))
    assert (checked.state, checked.problem) == (
        "bad",
        f"its signature is by key {stranger.key_id[:12]}, which is none of this server's",
    )


def test_an_earlier_keys_signature_is_good_until_that_key_is_retired(authority, tmp_path):
    made = authority.sign_image(DIGEST, NOW)
    authority.roll(NOW)
    assert ImageKeys.read(tmp_path / "trust").check(DIGEST, made).state == "good"
    (retired,) = authority.retire(NOW)
    for keys in (authority.image_keys, ImageKeys.read(tmp_path / "trust")):
        checked = keys.check(DIGEST, made)
        assert (checked.state, checked.problem) == (
            "none",
            f"its signature is by key {retired[:12]}, which was retired",
        )


def test_without_an_authority_no_signature_is_good_and_none_is_made(authority, tmp_path):
    made = authority.sign_image(DIGEST, NOW)
    assert ImageKeys.read(tmp_path / "none").check(DIGEST, made).state == "bad"
    assert not (tmp_path / "none").exists()


# --- what the server does -------------------------------------------------------------


def test_the_server_signs_once_by_each_key_and_refuses_what_does_not_fit(desk, authority):
    digest = desk.store_image(1, "golden")
    required = False
    signed = SignedImages(desk.store, authority, lambda: required)
    signed.require_good(digest)
    required = True
    with pytest.raises(SignatureError, match="it is not signed, and the Fleet document says"):
        signed.require_good(digest)
    signed.sign(digest, NOW)
    first = desk.store.signature_of(digest)
    signed.sign(digest, NOW + timedelta(hours=1))
    assert desk.store.signature_of(digest) == first
    signed.require_good(digest)
    authority.roll(NOW)
    signed.sign(digest, NOW)
    assert desk.store.signature_of(digest).key == authority.key_id
    required = False
    desk.store.record_signature(digest, attrs.evolve(first, at="2026-01-01T00:00:00+00:00"))
    with pytest.raises(SignatureError) as caught:
        signed.require_good(digest)
    assert caught.value.code == "RW447"
    problem = f"its signature by key {first.key[:12]} does not fit"
    assert caught.value.cause == f"image {digest[:12]} must not be restored: {problem}"


# --- what the plan says ---------------------------------------------------------------


def planned(signature, *, required=False):
    machine = a_machine(17, "clone-golden")
    fleet = a_fleet(machine)
    fleet = replace(fleet, settings=fleet.settings._replace(signed_images_only=required))
    image = an_observed_image(signature=signature)
    return plan(fleet, observed({machine.name: ramdisk(machine, a_disk())}, (image,)), WORLD)


@pytest.mark.parametrize("signature", [GOOD, None, CheckedSignature("none")])
def test_a_good_signature_or_none_keeps_nothing_away(signature):
    assert planned(signature).items[0].risk is Risk.DESTRUCTIVE


def test_good_signatures_are_enough_where_they_are_required():
    assert planned(GOOD, required=True).items[0].risk is Risk.DESTRUCTIVE


@pytest.mark.parametrize("required", [False, True])
def test_an_image_whose_signature_does_not_fit_is_never_restored(required):
    item = planned(BAD, required=required).items[0]
    assert item.risk is Risk.BLOCKED
    assert item.reason.startswith("RW447: image debian12 (")
    assert item.reason.endswith(") must not be restored: its signature by key 1111 does not fit")
    assert item.unblock == (
        "Find out where it comes from; if it is right, run `rackwright image sign debian12`"
    )


@pytest.mark.parametrize("signature", [None, CheckedSignature("none")])
def test_an_unsigned_image_is_refused_where_the_fleet_says_so(signature):
    item = planned(signature, required=True).items[0]
    assert item.risk is Risk.BLOCKED
    assert item.reason.endswith(
        ": it is not signed, and the Fleet document says `signatures: required`"
    )


# --- what people see and do -----------------------------------------------------------


def test_images_from_before_are_signed_by_hand(desk):
    first = desk.store_image(1, "golden")
    desk.store_image(2, "golden")
    assert "not signed" in desk("ls")
    assert desk("verify", "golden").endswith(": undamaged; 1 not signed\n")
    assert "signed      not signed" in desk("show", "golden")
    said = sign(desk, "golden~1", "--reason", "evidence")
    assert said == "1 image(s) signed, 0 signed before by this key\n"
    assert sign(desk, "--all") == "1 image(s) signed, 1 signed before by this key\n"
    key = keys_of(desk).key_id
    assert f"by this server's authority, key {key[:12]}" in desk("show", "golden")
    assert "not signed" not in desk("ls", "--all")
    assert "not signed" not in desk("verify", "--all")
    (event,) = ImageEvents(desk.database).of_image(first)
    assert (event.what, event.reason) == ("sign", "evidence")
    listed = json.loads(desk("ls", "--format", "json"))
    assert (listed[0]["signature"]["state"], listed[0]["signature"]["key"]) == ("good", key)
    assert json.loads(desk("show", "golden", "--format", "json"))["signature"]["state"] == "good"


def test_a_signature_that_does_not_fit_is_said_and_stays_until_the_image_is_named(desk):
    first, second = desk.store_image(1, "golden"), desk.store_image(2, "other")
    sign(desk, "--all")
    desk.store.record_signature(first, desk.store.signature_of(second))
    said = "its signature by key"
    assert f"image {first[:12]} (golden) must not be restored: {said}" in desk(
        "verify", "--all", expect=1
    )
    assert said in desk("show", "golden")
    assert "does not fit" in " ".join(desk("ls").split())
    images = Project("", None, desk.state)._images[0]
    assert [images[name].signature.state for name in ("golden", "other")] == ["bad", "good"]
    assert f"image {first[:12]} was left, name it to sign it: {said}" in sign(
        desk, "--all", expect=1
    )
    sign(desk, "golden")
    assert desk("verify", "--all").endswith("undamaged\n")


def test_a_damaged_signature_is_no_signature_that_fits(desk):
    digest = desk.store_image(1, "golden")
    path = desk.store.manifest_path(digest).with_name("signature.json")
    path.mkdir()
    assert "its signature.json is damaged" in desk("verify", "golden", expect=1)
    sign(desk, "golden")
    assert path.is_file()
    path.write_text("{")
    assert "its signature.json is damaged" in desk("show", "golden")


def test_an_image_with_a_damaged_chunk_is_not_signed(desk):
    digest = desk.store_image(1, "golden")
    desk.store.path(chunks_of(desk.store, digest)[2]).write_bytes(b"rot")
    said = sign(desk, "golden", expect=1)
    assert f"image {digest[:12]} (golden) is damaged and is not restored any more:" in said
    assert said.endswith("0 image(s) signed, 0 signed before by this key\n")
    assert desk.store.signature_of(digest) is None


def test_it_has_to_be_clear_which_images_are_signed(desk):
    with pytest.raises(Exception, match="RW993"):
        sign(desk)


def sign(desk, *arguments, expect=0):
    result = CliRunner().invoke(
        image, ["sign", *arguments, "--state", str(desk.state)], standalone_mode=False
    )
    if result.exception:
        raise result.exception
    assert (result.return_value or 0) == expect
    return result.output
