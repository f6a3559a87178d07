"""Which lines of desired state differ between two commits."""

import pytest

from reconciler.errors import SourceError
from reconciler.git.changed_lines import changed_files
from reconciler.git.command import BlobChange, GitCommand, Hunk, parse_line_changes
from reconciler.git.revision import find_revision

TEN = "".join(f"line {number}\n" for number in range(1, 11))


@pytest.fixture
def changed(git_repository):
    """Return a function that commits files and tells in which lines that differs from before."""

    def changed(files, folder="", removed=()):
        for path in removed:
            git_repository.git("rm", "--quiet", path)
        git_repository.commit("after", files)
        place = git_repository.path / folder
        found = changed_files(find_revision(place, "HEAD~1"), find_revision(place, "HEAD"))
        return [
            {
                path: [line for line in range(1, 15) if line in each.lines]
                for path, each in side.items()
            }
            for side in found
        ]

    return changed


def test_changed_added_and_removed_lines_are_told_by_side(git_repository, changed):
    git_repository.commit("before", {"a.yaml": TEN, "same.yaml": TEN})
    edited = TEN.replace("line 3\n", "other\n").replace("line 7\n", "").replace("10\n", "10\nnew\n")
    assert changed({"a.yaml": edited}) == [{"a.yaml": [3, 7]}, {"a.yaml": [3, 10]}]


def test_of_a_file_that_only_one_side_has_every_line_differs(git_repository, changed):
    git_repository.commit("before", {"old.yaml": "one\n"})
    before, after = changed({"new.yaml": "two\nthree\n"}, removed=["old.yaml"])
    assert before["old.yaml"][0] == 1
    assert after["new.yaml"][:2] == [1, 2]


def test_a_file_that_was_moved_differs_where_it_was_edited(git_repository, changed):
    git_repository.commit("before", {"old.yaml": TEN, "kept.yaml": f"{TEN}kept\n"})
    edited = {"sub/new.yaml": TEN.replace("line 4\n", "other\n"), "sub/kept.yaml": f"{TEN}kept\n"}
    assert changed(edited, removed=["old.yaml", "kept.yaml"]) == [
        {"old.yaml": [4]},
        {"sub/new.yaml": [4]},
    ]


def test_no_attribute_and_no_other_file_hides_lines(git_repository, changed):
    git_repository.commit("before", {".gitattributes": "* -diff\n", "a.YAML": TEN, "a.bin": "\0"})
    edited = {"a.YAML": TEN.replace("line 2\n", "index 1\n"), "a.bin": "\0\0"}
    assert changed(edited) == [{"a.YAML": [2]}, {"a.YAML": [2]}]


def test_paths_begin_at_the_folder_that_was_named(git_repository, changed):
    git_repository.commit("before", {"fleet/a.yaml": "one\n", "b.yaml": "one\n"})
    edited = {"fleet/a.yaml": "two\n", "b.yaml": "two\n"}
    assert changed(edited, "fleet") == [{"a.yaml": [1]}, {"a.yaml": [1]}]


def test_a_file_behind_a_link_differs_with_what_it_leads_to(git_repository, changed):
    git_repository.write({"data/text": "one\n"})
    (git_repository.path / "a.yaml").symlink_to("data/text")
    git_repository.commit("before", {})
    before, after = changed({"data/text": "two\n"})
    assert before["a.yaml"][0] == after["a.yaml"][0] == 1


def test_lines_of_files_are_never_taken_for_headings():
    output = (
        b"diff --git a/a b/a\nindex " + b"1" * 40 + b".." + b"2" * 40 + b" 100644\n"
        b"--- a/a\n+++ b/a\n@@ -1 +1,2 @@ heading\n-@@ -9,9 +9,9 @@\n+index 3..4\n+@@ -8 +8 @@\n"
        b"diff --git a/b b/b\nnew file mode 100644\nindex " + b"0" * 40 + b".." + b"3" * 40 + b"\n"
        b"@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
    )
    assert list(parse_line_changes(output.splitlines(keepends=True))) == [
        BlobChange("1" * 40, "2" * 40, (Hunk(1, 1, 1, 2),)),
        BlobChange("", "3" * 40, (Hunk(0, 0, 1, 1),)),
    ]


def test_a_tree_that_is_not_there_is_an_error_of_the_source(git_repository):
    git_repository.commit("one", {"a.yaml": "one\n"})
    git = GitCommand(git_repository.path / ".git")
    with pytest.raises(SourceError, match="RW717"):
        list(git.line_changes("1" * 40, "2" * 40))
