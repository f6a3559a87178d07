"""Enrollment rules, in the order in which they are asked."""

from collections.abc import Mapping

from specs.code import Code
from specs.compiled import CompiledEnrollmentRule
from specs.definition import Definition
from specs.kinds.enrollment_rule import EnrollmentRule
from specs.problems import Problems
from specs.quotation import quoted
from specs.resolve.group_tree import GroupTree


def compile_enrollment_rules(
    definitions: Mapping[str, Definition], tree: GroupTree, problems: Problems
) -> tuple[CompiledEnrollmentRule, ...]:
    """Return the rules that can be read; warn of those whose machines had no network."""
    rules = []
    for name, definition in definitions.items():
        if isinstance(definition.model, EnrollmentRule):
            rule = _compiled(name, definition, definition.model)
            _check_network(rule, definition, tree, problems)
            rules.append(rule)
    return tuple(sorted(rules, key=lambda rule: (rule.order, rule.name)))


def _check_network(
    rule: CompiledEnrollmentRule, definition: Definition, tree: GroupTree, problems: Problems
) -> None:
    inherited = tree.inherited(rule.group)
    if rule.network or inherited.network or not inherited.network_is_known:
        return
    if definition.broken:
        return
    problems.warning(
        definition.document.position(("spec", "group")),
        Code.ENROLLS_NOWHERE,
        f"spec.group: machines of group {quoted(rule.group)} would be in no network",
        "set spec.network here, or on the group or one above it",
    )


def _compiled(name: str, definition: Definition, model: EnrollmentRule) -> CompiledEnrollmentRule:
    spec, match = model.spec, model.spec.match
    return CompiledEnrollmentRule(
        name=name,
        order=spec.order,
        group=spec.group,
        network=spec.network or "",
        after_discovery=spec.after_discovery,
        position=definition.position,
        names=match.names,
        addresses=match.addresses,
        macs=match.macs,
        uuids=match.uuids,
        serials=match.serials,
        vendors=match.vendors,
        relays=match.relays,
    )
