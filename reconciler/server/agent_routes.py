"""All routes for agents, put together."""

from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web
from cryptography import x509

from providers.content.http import routes as content_routes
from providers.content.store import ContentStore
from providers.imaging.http import routes as chunk_routes
from providers.imaging.store import ChunkStore
from reconciler.server.agent_api import AgentApi
from reconciler.server.authentication import Authentication
from reconciler.server.certificates import CertificateApi, CertificateIssuer
from reconciler.server.contradictions import Contradictions
from reconciler.server.control_plane import ControlPlane
from reconciler.server.enrollment import Enroller
from reconciler.server.evidence import EvidenceKeeper
from reconciler.server.inventory import InventoryApi, InventoryKeeper
from reconciler.server.machine_files import MachineFiles
from reconciler.server.notifier import Notifier
from reconciler.server.report_answers import ReportAnswers
from reconciler.server.signed_images import SignedImages
from reconciler.server.updates import UpdateApi, UpdateDesk
from reconciler.server.work_content import WorkContent
from reconciler.trust.authority import Authority
from reconciler.trust.token import new_token


class AgentServices(NamedTuple):
    """What the routes for agents act on."""

    plane: ControlPlane
    authority: Authority
    store: ChunkStore
    notifier: Notifier
    contradictions: Contradictions
    evidence: EvidenceKeeper
    inventory: InventoryKeeper
    content: WorkContent
    files: ContentStore
    updates: UpdateDesk
    machine_files: MachineFiles


def agent_routes(services: AgentServices) -> Iterable[web.AbstractRouteDef]:
    """Return the routes for an aiohttp application that is reached by mutual TLS."""
    plane, authority = services.plane, services.authority
    authentication = Authentication(plane.certificates, authority, plane.now)
    issuer = CertificateIssuer(plane, authority, x509.random_serial_number)
    enroller = Enroller(plane, authority, x509.random_serial_number)
    answers = ReportAnswers(plane, authority, new_token, services.updates.digest)
    api = AgentApi(
        plane,
        enroller,
        services.store,
        services.notifier,
        services.contradictions,
        services.evidence,
        authentication,
        answers,
        services.content,
        services.machine_files,
    )
    certificates = CertificateApi(plane, authority, authentication, issuer)
    inventory = InventoryApi(services.inventory, api.installed_peer, plane.machine_of_agent)
    updates = UpdateApi(services.updates, api.installed_peer, plane.machine_of_agent)
    signed = SignedImages(
        services.store,
        authority,
        lambda: plane.reconciler.fleet.settings.signed_images_only,
    )
    chunks = chunk_routes(
        services.store, api.authorise, api.served, signed.require_good, api.damaged
    )
    files = content_routes(services.files, api.authorise_content)
    return [
        *api.routes(),
        *certificates.routes(),
        *inventory.routes(),
        *updates.routes(),
        *chunks,
        *files,
    ]
