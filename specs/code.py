"""The stable names of the problems that desired state can have."""

from enum import StrEnum


class Code(StrEnum):
    """RW1xx. A number keeps its meaning for ever; ``specs.catalogue`` explains each."""

    SYNTAX = "RW101"
    TAB = "RW102"
    ENCODING = "RW103"
    CONTROL_CHARACTER = "RW104"
    CONFLICT_MARKER = "RW105"
    FILE_TOO_LARGE = "RW106"
    EMPTY_DOCUMENT = "RW107"
    DUPLICATE_KEY = "RW108"
    UNKNOWN_TAG = "RW109"
    ALIAS = "RW110"
    ALIAS_EXPANSION = "RW111"
    KEY_NOT_TEXT = "RW112"
    MERGE_KEY = "RW113"
    TOO_DEEP = "RW114"
    UNQUOTED_MAC = "RW115"

    NOT_A_DOCUMENT = "RW120"
    API_VERSION = "RW121"
    UNKNOWN_KIND = "RW122"
    KIND_NOT_SUPPORTED = "RW123"
    UNKNOWN_FIELD = "RW124"
    MISSING_FIELD = "RW125"
    NO_VALUE = "RW126"
    WRONG_TYPE = "RW127"
    BAD_VALUE = "RW128"
    SECRET_NOT_ALLOWED = "RW129"  # noqa: S105 - a code, no secret
    NOT_SUPPORTED = "RW130"
    STEP_FORM = "RW131"
    TOO_MANY_PROBLEMS = "RW132"

    DUPLICATE_DOCUMENT = "RW140"
    UNKNOWN_REFERENCE = "RW141"
    USED_TWICE = "RW142"
    SUBNETS_OVERLAP = "RW143"
    OUTSIDE_NETWORK = "RW144"
    NO_NETWORK = "RW145"
    BACKUP_AND_RESTORE = "RW146"
    ASSIGNED_TWICE = "RW147"
    NO_EFFECT = "RW148"
    ADDRESS_LEASED = "RW149"
    DHCP_RANGE = "RW150"

    INVISIBLE_CHARACTER = "RW180"
