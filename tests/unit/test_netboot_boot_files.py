from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from providers.netboot.boot_files import BootFiles, parse_metadata


@pytest.fixture
def files(tmp_path: Path) -> BootFiles:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "boot"
    (root / "sub").mkdir(parents=True)
    for name in ("vmlinuz", "sub/inner"):
        (root / name).write_text(name)
    (root / "inside").symlink_to("sub/inner")
    (root / "outside").symlink_to("../secret")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    (tmp_path / "bootleg").write_text("beside the directory, with its name as a prefix")
    return BootFiles(root)


@pytest.mark.parametrize("name", ["vmlinuz", "/vmlinuz", "//vmlinuz", "sub/inner", "./vmlinuz"])
def test_files_are_found_as_firmware_writes_their_names(files, name):
    assert files.find(name).read_text() == name.lstrip("/").removeprefix("./")


def test_a_link_inside_the_directory_is_followed(files):
    assert files.find("inside").read_text() == "sub/inner"


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/../secret",
        "sub/../../secret",
        "sub/../vmlinuz",
        "..",
        "..\\secret",
        "sub\\inner",
        "outside",
        "out/secret",
        "../bootleg",
        "/etc/passwd",
        "etc/passwd",
        "vmlinuz\0.txt",
        "sub",
        "loop",
        "",
        "/",
        ".",
        "absent",
        "x" * 300,
    ],
)
def test_names_that_lead_out_or_to_no_file_are_not_found(files, name):
    assert files.find(name) is None


def test_an_absolute_path_to_a_file_of_the_directory_is_not_found(files):
    assert files.find(str(files.root / "vmlinuz")) is None


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "sub", "inner", "secret", "out", "vmlinuz"]), max_size=6
    )
)
def test_no_combination_of_names_leads_out(tmp_path_factory, parts):
    base = tmp_path_factory.getbasetemp() / "climbing"
    if not base.exists():
        (base / "boot" / "sub").mkdir(parents=True)
        (base / "secret").write_text("secret")
        (base / "boot" / "vmlinuz").write_text("kernel")
        (base / "boot" / "out").symlink_to(base)
    found = BootFiles(base / "boot").find("/".join(parts))
    assert found is None or found.read_text() == "kernel"


def test_a_directory_that_does_not_exist_has_no_files(tmp_path):
    assert BootFiles(tmp_path / "absent").find("vmlinuz") is None


def test_what_is_missing_is_named_with_the_command_that_makes_it(files):
    assert files.missing(["vmlinuz"]) is None
    assert str(files.missing(["vmlinuz", "initrd.img", "shimx64.efi"])) == (
        f"RW303: the boot files directory {files.root} lacks initrd.img, shimx64.efi. "
        "Build it: rackwright deploy-os build."
    )


def test_the_builds_kernel_arguments_are_read_anew_each_time(files):
    metadata = files.root / "deploy-os.json"
    metadata.write_text('{"version": "1", "kernel_arguments": ["quiet"]}')
    assert files.kernel_arguments() == ("quiet",)
    metadata.write_text('{"version": "2", "kernel_arguments": []}')
    assert files.kernel_arguments() == ()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "Expecting value"),
        ("[]", "it is not an object"),
        ("{}", "kernel_arguments is not a list of strings"),
        ('{"kernel_arguments": "quiet"}', "kernel_arguments is not a list of strings"),
        ('{"kernel_arguments": [1]}', "kernel_arguments is not a list of strings"),
    ],
)
def test_damaged_metadata_is_an_error_that_says_what_to_do(files, text, cause):
    (files.root / "deploy-os.json").write_text(text)
    with pytest.raises(TerminalError) as caught:
        files.kernel_arguments()
    assert caught.value.code == "RW304"
    assert cause in caught.value.cause
    assert caught.value.action == "Build it again: rackwright deploy-os build"


def test_absent_metadata_is_the_same_error(files):
    with pytest.raises(TerminalError, match=r"RW304: .*deploy-os\.json cannot be used"):
        files.kernel_arguments()


@given(st.text())
def test_metadata_of_any_text_is_words_or_a_value_error(text):
    try:
        words = parse_metadata(text)
    except ValueError:
        return
    assert all(isinstance(word, str) for word in words)
