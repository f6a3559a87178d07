"""Enrollment rules, in the order in which they are asked."""

from collections.abc import Mapping

from specs.compile.group_tree import GroupTree
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.quote import quoted
from specs.fleet import CompiledEnrollmentRule
from specs.kinds.enrollment_rule import EnrollmentRule
from specs.validate.resource import Resource


def compile_enrollment_rules(
    resources: Mapping[str, Resource], tree: GroupTree, diagnostics: Diagnostics
) -> tuple[CompiledEnrollmentRule, ...]:
    """Return the rules that can be read; warn of those whose machines had no network."""
    rules = []
    for name, resource in resources.items():
        if isinstance(resource.model, EnrollmentRule):
            rule = _compiled(name, resource, resource.model)
            _check_network(rule, resource, tree, diagnostics)
            rules.append(rule)
    return tuple(sorted(rules, key=lambda rule: (rule.order, rule.name)))


def _check_network(
    rule: CompiledEnrollmentRule, resource: Resource, tree: GroupTree, diagnostics: Diagnostics
) -> None:
    inherited = tree.inherited(rule.group)
    if rule.network or inherited.network or not inherited.network_is_known:
        return
    if resource.invalid:
        return
    diagnostics.warning(
        resource.document.position(("spec", "group")),
        Code.ENROLLS_NOWHERE,
        f"spec.group: machines of group {quoted(rule.group)} would be in no network",
        "set spec.network here, or on the group or one above it",
    )


def _compiled(name: str, resource: Resource, model: EnrollmentRule) -> CompiledEnrollmentRule:
    spec, match = model.spec, model.spec.match
    return CompiledEnrollmentRule(
        name=name,
        order=spec.order,
        group=spec.group,
        network=spec.network or "",
        position=resource.position,
        names=match.names,
        addresses=match.addresses,
        macs=match.macs,
        uuids=match.uuids,
        serials=match.serials,
        vendors=match.vendors,
        relays=match.relays,
    )
