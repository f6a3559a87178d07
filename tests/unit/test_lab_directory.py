import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from agent.errors import CodedError
from providers.lab.client import RackClient
from providers.lab.directory import LabDirectory, peer_process


@pytest.fixture
def place(tmp_path):
    place = LabDirectory.at(tmp_path / "lab")
    place.create()
    return place


def test_it_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "lab"
    path.mkdir(mode=0o755)
    LabDirectory.at(path).create()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_one_lock_at_a_time(place):
    lock = place.try_lock()
    assert lock is not None
    assert place.try_lock() is None
    os.close(lock)
    again = place.try_lock()
    assert again is not None
    os.close(again)


def test_a_dead_racks_socket_is_replaced(place):
    for _ in range(2):
        place.listen().close()  # nobody unlinks it, as after SIGKILL
        assert place.control_socket.exists()
    with pytest.raises(ConnectionRefusedError):
        place.connect(1)


def test_a_path_longer_than_a_socket_address_serves(tmp_path):
    place = LabDirectory.at(tmp_path / ("x" * 100) / ("y" * 100))
    place.create()
    with place.listen() as listener, place.connect(5) as client:
        accepted, _ = listener.accept()
        with accepted:
            assert peer_process(client) == os.getpid()
            assert peer_process(accepted) == os.getpid()


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_no_connection_leaves_a_descriptor_open(place):
    before = open_descriptors()
    with pytest.raises(OSError, match="No such file"):
        place.connect(1)
    place.listen().close()
    assert open_descriptors() == before


NOT_UP = (
    "RW807: no rack is up in {}. Start one (rackwright lab up), or name its directory with --dir."
)


@pytest.mark.parametrize(
    "ask",
    [
        RackClient.status,
        lambda client: client.power_on("golden"),
        lambda client: client.exec_argv(["true"]),
        lambda client: client.console_path("golden"),
    ],
)
def test_a_rack_that_is_not_up_says_so(tmp_path, ask):
    with pytest.raises(CodedError) as caught:
        ask(RackClient(tmp_path / "lab"))
    assert str(caught.value) == NOT_UP.format(tmp_path / "lab")


def test_taking_down_what_never_was_changes_nothing(tmp_path):
    assert RackClient(tmp_path / "lab").down() is False
    assert not (tmp_path / "lab").exists()


def test_taking_down_what_died_tidies_up(place):
    os.close(place.try_lock() or 0)
    place.listen().close()
    assert RackClient(place.path).down() is False
    assert not place.control_socket.exists()


def test_a_supervisor_that_dies_over_a_question_is_not_up(place):
    with place.listen() as listener:

        def hang_up(*_):
            accepted, _ = listener.accept()
            accepted.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(CodedError, match=r"^RW807: "):
            RackClient(place.path).status()
        thread.join()


def test_files_of_a_machine_lie_in_its_folder(place):
    files = place.machine("golden")
    assert files.disk == place.path / "machines/golden/disk.raw"
    assert files.console.parent == files.disk.parent


def test_sockets_are_unix_sockets(place):
    with place.listen() as listener:
        assert listener.family == socket.AF_UNIX
        assert stat.S_ISSOCK(place.control_socket.stat().st_mode)
