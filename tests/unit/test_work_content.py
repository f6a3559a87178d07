"""What agents are told of files when work is handed out."""

import pytest

from agent.wire.files import SourcePath
from agent.wire.step import PlaceFiles
from agent.wire.work import Work
from providers.content.store import ContentStore
from reconciler.git.other_files import RepositoryFile
from reconciler.server.work_content import WorkContent


@pytest.mark.parametrize(
    ("target", "mode", "found"),
    [
        (r"C:\Tools", "", [(r"C:\Tools", 0), (r"C:\Tools/a", 0)]),
        (r"C:\Tools", "0600", [(r"C:\Tools", 0), (r"C:\Tools/a", 0o600)]),
        ("/opt/tools", "", [("/opt/tools", 0o755), ("/opt/tools/a", 0o644)]),
    ],
)
def test_files_of_windows_have_no_mode_but_one_that_was_named(tmp_path, target, mode, found):
    content = WorkContent(
        ContentStore(tmp_path),
        lambda _revision, _path: (RepositoryFile("a", is_executable=False, content=b"x"),),
    )
    step = PlaceFiles(sources=(SourcePath("tools", target, "", "", mode),))
    (done,) = content.complete(Work("op", 1, (step,)), "revision").steps
    assert [(file.target, file.mode) for file in done.files] == found
