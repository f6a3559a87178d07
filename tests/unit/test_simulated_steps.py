"""A simulated system's files are its own: whatever a step names, the host's stay as they are."""

import os
from pathlib import Path

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.inspection.host_paths import HostPaths
from agent.wire.files import PlacedFile
from agent.wire.step import ListFolder, PlaceFiles, ReadFile
from providers.lab.simulate.installed_steps import ROOT, SimulatedSystemSteps

PARTS = st.sampled_from(["etc", "..", ".", "", "tmp", "a b", "...", "\\", "é"])
PATHS = st.lists(PARTS, min_size=1, max_size=8).map(lambda parts: "/" + "/".join(parts))


@given(PATHS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_path_of_a_step_lies_below_the_simulated_root(tmp_path, path):
    steps = SimulatedSystemSteps(tmp_path, HostPaths())
    file = PlacedFile("/x", "file", 0o644, sha256="9f" * 32)
    placing = steps._confined(PlaceFiles(files=(evolve(file, target=path),), remove=(path,)))
    for given_path in (
        placing.files[0].target,
        placing.remove[0],
        steps._confined(ListFolder(path)).path,
        steps._confined(ReadFile(path, 1)).path,
    ):
        root = tmp_path / ROOT
        assert Path(os.path.normpath(given_path)).is_relative_to(root)
