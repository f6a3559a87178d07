"""All that the routes for agents act on, for servers that tests put together themselves."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from providers.content.store import ContentStore
from providers.imaging.store import ChunkStore
from reconciler.git.other_files import no_files
from reconciler.loop.reboot_locks import RebootLocker
from reconciler.server.agent_routes import AgentServices
from reconciler.server.contradictions import Contradictions
from reconciler.server.control_plane import ControlPlane
from reconciler.server.evidence import EvidenceKeeper
from reconciler.server.inventory import InventoryKeeper
from reconciler.server.machine_files import MachineFiles
from reconciler.server.notifier import Notifier
from reconciler.server.updates import UpdateDesk
from reconciler.server.work_content import WorkContent
from reconciler.state.database import Database
from reconciler.state.inventories import Inventories
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.reboot_locks import RebootLocks
from reconciler.state.run_evidence import RunEvidence
from reconciler.state.updates import UpdateRecords
from reconciler.trust.authority import Authority


def agent_services(
    directory: Path,
    database: Database,
    plane: ControlPlane,
    authority: Authority,
    clock: Callable[[], datetime],
) -> AgentServices:
    """Return the services of a server whose state is in a directory."""
    loop = plane.reconciler
    files = ContentStore(directory / "content")
    locker = RebootLocker(RebootLocks(database), loop, clock)
    return AgentServices(
        plane,
        authority,
        ChunkStore(directory / "store", reserve=0),
        Notifier(),
        Contradictions(plane, LedgerLines(database)),
        EvidenceKeeper(
            RunEvidence(database, directory / "runs"), lambda: loop.fleet.settings, clock
        ),
        InventoryKeeper(Inventories(database), clock),
        WorkContent(files, no_files),
        files,
        UpdateDesk(UpdateRecords(database), loop, locker, files, clock),
        MachineFiles(directory, clock),
    )
