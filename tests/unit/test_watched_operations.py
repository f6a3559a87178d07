import pytest
from builders.loop_server import LoopServer
from builders.world import a_fleet, a_machine

from reconciler.app.watched_operations import WatchedOperations
from reconciler.state.operation_states import OperationState

_S = OperationState


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(count):
        clones = [a_machine(number, "clone-golden") for number in range(1, count + 1)]
        server = LoopServer(tmp_path / f"{count}.db", a_fleet(*clones))
        servers.append(server)
        server.reports(*clones)
        return server

    yield start
    for server in servers:
        server.close()


def end(server, op_id, state):
    (status,) = server.loop.ledger.operations(op_id=op_id)
    server.loop.ledger.move(
        op_id, status.state, state, attempt=status.attempt, at=server.now, actor="ada", reason="x"
    )


def test_a_look_at_work_under_way_is_one_question_however_much_it_is(serve):
    asked = []
    for count in (2, 8):
        server = serve(count)
        op_ids = [each.op_id for each in server.approve_all()]
        watched = WatchedOperations(server.database, op_ids)
        server.asked()
        assert [each.operation.op_id for each in watched.look()] == op_ids
        asked.append(len(server.asked()))
    assert asked == [1, 1]


def test_what_has_ended_is_read_once_more_and_then_remembered(serve):
    server = serve(3)
    op_ids = [each.op_id for each in server.approve_all()]
    watched = WatchedOperations(server.database, op_ids)
    end(server, op_ids[1], _S.CANCELLED)
    server.asked()
    found = watched.look()
    assert [each.state for each in found] == [_S.APPROVED, _S.CANCELLED, _S.APPROVED]
    assert len(server.asked()) == 2
    assert watched.look() == found
    assert len(server.asked()) == 1


def test_work_whose_approval_lapsed_is_read_until_it_is_approved_again(serve):
    server = serve(1)
    (op_id,) = [each.op_id for each in server.approve_all()]
    watched = WatchedOperations(server.database, [op_id])
    end(server, op_id, _S.PLANNED)
    assert [each.state for each in watched.look()] == [_S.PLANNED]
    end(server, op_id, _S.APPROVED)
    assert [each.state for each in watched.look()] == [_S.APPROVED]
