"""Symbolic links are followed inside the tree and nowhere else."""

import pytest

from reconciler.errors import SourceError
from reconciler.git.link import resolve_link

LINKS = {
    "current.csv": "tables/2026.csv",
    "sites/osaka/base": "../../common",
    "common": "shared/./v2//",
    "out": "../secret",
    "deep/out.yaml": "../deep/../../x.yaml",
    "absolute.yaml": "/etc/passwd",
    "through/out.yaml": "../out/x.yaml",
    "a": "b",
    "b": "a",
    "self/self.yaml": "self.yaml",
    "top": ".",
}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("plain/file.yaml", "plain/file.yaml"),
        ("current.csv", "tables/2026.csv"),
        ("sites/osaka/base/net.yaml", "shared/v2/net.yaml"),
        ("top/top/current.csv", "tables/2026.csv"),
        ("top", ""),
    ],
)
def test_a_link_leads_to_its_target(path: str, target: str) -> None:
    assert resolve_link(path, LINKS.get) == target


@pytest.mark.parametrize(
    "path", ["out", "deep/out.yaml", "absolute.yaml", "through/out.yaml", "top/out/x.yaml"]
)
def test_a_link_out_of_the_tree_is_refused(path: str) -> None:
    with pytest.raises(SourceError) as caught:
        resolve_link(path, LINKS.get)
    assert str(caught.value) == (
        f"RW715: the symbolic link {path} leads out of the tree."
        " Replace it by what it leads to: a revision must say all by itself."
    )


@pytest.mark.parametrize("path", ["a", "self/self.yaml"])
def test_a_circle_of_links_is_refused(path: str) -> None:
    with pytest.raises(SourceError, match=f"RW715: the symbolic link {path} leads in a circle"):
        resolve_link(path, LINKS.get)
