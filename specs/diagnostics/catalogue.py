"""What each problem code means, at the length that a person wants when stuck."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from specs.diagnostics.codes import Code


@dataclass(frozen=True, slots=True)
class Explanation:
    """One entry: what it is called, how it comes about, what to do."""

    code: Code
    title: str
    cause: str
    action: str


_ENTRIES = (
    Explanation(
        Code.SYNTAX,
        "the YAML cannot be read",
        "The text does not follow YAML's grammar at this place. The other documents of the file "
        "are still read.",
        "Look at the place and the line above it: an unclosed quote or bracket, a missing colon, "
        "or an indentation that differs from its neighbours.",
    ),
    Explanation(
        Code.TAB,
        "a tab where YAML wants spaces",
        "YAML does not allow tabs in indentation.",
        "Replace the tab by spaces, and set the editor to insert spaces in YAML files.",
    ),
    Explanation(
        Code.ENCODING,
        "the file is not UTF-8",
        "The bytes at this place are no UTF-8 text; often the file was saved as Latin-1, "
        "Shift JIS or UTF-16.",
        "Save the file as UTF-8.",
    ),
    Explanation(
        Code.CONTROL_CHARACTER,
        "a character that YAML forbids",
        "A NUL byte or another control character is in the file; it may not be text at all.",
        "Remove the character. In a double-quoted value it can be written as an escape.",
    ),
    Explanation(
        Code.CONFLICT_MARKER,
        "an unresolved merge conflict",
        "A line begins with <<<<<<<, ======= or >>>>>>>, which Git leaves where two changes "
        "collide.",
        "Resolve the conflict, remove the marker lines and commit again.",
    ),
    Explanation(
        Code.FILE_TOO_LARGE,
        "the file is too large",
        "One file of desired state may hold 16 MiB, so that a mistake cannot exhaust memory.",
        "Split the file. Documents may be spread over any number of files and folders.",
    ),
    Explanation(
        Code.EMPTY_DOCUMENT,
        "an empty document",
        "There is nothing but comments between two --- lines, or after the last one.",
        "Remove the extra --- line.",
    ),
    Explanation(
        Code.DUPLICATE_KEY,
        "a key is written twice",
        "One mapping has the same key twice. Other tools silently keep the last one.",
        "Keep one of the two lines.",
    ),
    Explanation(
        Code.UNKNOWN_TAG,
        "an unknown tag",
        "A value carries a tag such as !foo. Only !secret, !!str, !!map and !!seq exist here.",
        "Remove the tag, or write !secret NAME for a reference to a secret.",
    ),
    Explanation(
        Code.ALIAS,
        "an anchor or alias that does not work",
        "An alias (*name) has no anchor (&name) before it in the same document, or refers to "
        "something that contains it, or one name is anchored twice.",
        "Define each anchor once, above its uses, in the same document.",
    ),
    Explanation(
        Code.ALIAS_EXPANSION,
        "the aliases grow too large",
        "The aliases of the document expand to far more values than it has characters.",
        "Write the values out, or put what is common into a Group.",
    ),
    Explanation(
        Code.KEY_NOT_TEXT,
        "a key is not text",
        "A key was read as a number, true, false, nothing, a list or a mapping. Text templates "
        "such as {{ name }} look like this too; they do not exist here.",
        "Put the key in quotes.",
    ),
    Explanation(
        Code.MERGE_KEY,
        "a merge key without a mapping",
        "The value of << must be a mapping or a list of mappings, usually aliases.",
        "Write <<: *name, where &name stands at a mapping.",
    ),
    Explanation(
        Code.TOO_DEEP,
        "the nesting is too deep",
        "A document may nest 100 levels; nothing in desired state needs more than ten.",
        "Look for brackets that are opened and never closed.",
    ),
    Explanation(
        Code.UNQUOTED_MAC,
        "a MAC address that other tools read as a number",
        "A MAC address of decimal digits only is text here, but a number in base 60 to tools "
        "that follow YAML 1.1.",
        "Put the address in quotes.",
    ),
    Explanation(
        Code.NOT_A_DOCUMENT,
        "not a document of desired state",
        "Every document is a mapping with apiVersion, kind, metadata and spec.",
        "Add what is missing, or move files of other tools into a folder whose name begins "
        "with a dot, which is not read.",
    ),
    Explanation(
        Code.API_VERSION,
        "an apiVersion that is not read here",
        "This version reads rackwright/v1alpha1.",
        "Write apiVersion: rackwright/v1alpha1, or use the version that the document was made for.",
    ),
    Explanation(
        Code.UNKNOWN_KIND,
        "an unknown kind",
        "No document kind has this name. Kinds are written in upper camel case.",
        "Correct the name.",
    ),
    Explanation(
        Code.UNKNOWN_FIELD,
        "an unknown field",
        "No field has this name here. Unknown fields are refused, because a misspelt one would "
        "otherwise have no effect without a word.",
        "Correct the name, or remove the line.",
    ),
    Explanation(
        Code.MISSING_FIELD,
        "a required field is missing",
        "The field has no default.",
        "Add it.",
    ),
    Explanation(
        Code.NO_VALUE,
        "a field without a value",
        "The key is there, but nothing stands after the colon (or null, or ~).",
        "Give it a value or remove the line. An empty list is [], an empty mapping {}.",
    ),
    Explanation(
        Code.WRONG_TYPE,
        "a value of the wrong type",
        "The field wants another type. Unquoted digits are numbers, and only true and false are "
        "booleans.",
        "Correct the value; put text that looks like a number in quotes.",
    ),
    Explanation(
        Code.BAD_VALUE,
        "a value that the field does not accept",
        "The value has the right type, but not the form or range of the field.",
        "Correct the value as the message says.",
    ),
    Explanation(
        Code.SECRET_NOT_ALLOWED,
        "a secret where none is allowed",
        "A !secret reference stands in a field whose value is shown in plans and logs.",
        "Write the value itself, or use the field that is meant for the secret.",
    ),
    Explanation(
        Code.STEP_FORM,
        "a step that is not exactly one action",
        "Each item of steps is a mapping with one key: the action.",
        "Write one list item per action, for example: - inspectDisks: {}",
    ),
    Explanation(
        Code.TOO_MANY_PROBLEMS,
        "more problems than are shown",
        "One document has more than 100 problems. The first 100 are shown.",
        "Solve those, and look whether the document is what it was meant to be.",
    ),
    Explanation(
        Code.DUPLICATE_DOCUMENT,
        "two documents with one name",
        "Two documents of the same kind have the same name, or there are two Fleet documents. "
        "Neither wins: two sources for one field are always an error.",
        "Merge them into one, or rename one.",
    ),
    Explanation(
        Code.UNKNOWN_REFERENCE,
        "a name that no document has",
        "The field refers to a document that does not exist.",
        "Correct the name or add the document.",
    ),
    Explanation(
        Code.USED_TWICE,
        "two machines share what must be unique",
        "A MAC address, UUID, host name or IP address is written twice. Whichever machine boots "
        "could be taken for the other. Hardware that a machine was formerly counts too: its "
        "history can go on in one machine only.",
        "Correct one of the two places.",
    ),
    Explanation(
        Code.SUBNETS_OVERLAP,
        "two networks overlap",
        "An address would belong to both networks.",
        "Correct one of the subnets, or merge the two Network documents.",
    ),
    Explanation(
        Code.OUTSIDE_NETWORK,
        "an address that does not fit its network",
        "The address is outside the subnet, is the subnet's own or broadcast address, belongs to "
        "the gateway, or has another prefix length.",
        "Correct the address, or the machine's network.",
    ),
    Explanation(
        Code.NO_NETWORK,
        "a machine without a network",
        "Neither the machine nor one of its groups says which network it is in.",
        "Set spec.network on the machine or on one of its groups.",
    ),
    Explanation(
        Code.BACKUP_AND_RESTORE,
        "a scenario that backs up and restores one image",
        "The scenario would write the image that it reads, and could restore what it has just "
        "captured.",
        "Use two scenarios, or two images.",
    ),
    Explanation(
        Code.ASSIGNED_TWICE,
        "a scenario is assigned twice",
        "A machine would have one scenario from two places: twice in one assign list, assigned and "
        "targeted, or targeted twice. Which run token counts would be a matter of luck.",
        "Keep one of the two; change its run token to run it again.",
    ),
    Explanation(
        Code.NO_EFFECT,
        "a setting without effect",
        "Another setting makes this one meaningless, or a machine table has no machines.",
        "Remove it, or change the other one; add rows to the table.",
    ),
    Explanation(
        Code.ADDRESS_LEASED,
        "a fixed address inside the DHCP range",
        "The DHCP server could lease the address to another machine.",
        "Move the address or the range.",
    ),
    Explanation(
        Code.DHCP_RANGE,
        "a DHCP range that does not fit its network",
        "The range is missing in mode server, leaves the subnet, or contains the gateway.",
        "Correct dhcp.range or subnet.",
    ),
    Explanation(
        Code.EMPTY_SELECTOR,
        "a selector that says nothing",
        "Something shall apply to machines, but no part says which. It could mean all or none, so "
        "it means neither.",
        "Add a part. All machines are written as a pattern: *.",
    ),
    Explanation(
        Code.NOTHING_SELECTED,
        "a selector that matches no machine",
        "All parts of a selector must match one machine, and there is none.",
        "Correct the names, groups or labels, or remove the selector.",
    ),
    Explanation(
        Code.TABLE_FILE,
        "a machine table's CSV file cannot be read",
        "The file is not in the repository beside the document, is not UTF-8, or is named by two "
        "tables, so that its machines would exist twice.",
        "Correct spec.csv; the path is relative to the document and stays in the repository.",
    ),
    Explanation(
        Code.TABLE_HEADER,
        "the columns of a machine table are wrong",
        "The first line of a CSV file names its columns. One is missing, unknown or there twice.",
        "Name the columns like the fields of a row: name, macs, group and so on.",
    ),
    Explanation(
        Code.TABLE_ROW,
        "a row of a machine table is malformed",
        "A line has more or fewer cells than the first one, a quote that does not end, or a "
        "formula where a value is wanted.",
        "Give the line one cell per column; a cell that holds a comma or a quote is put in quotes.",
    ),
    Explanation(
        Code.ENROLLS_NOWHERE,
        "an enrollment rule for a group without network",
        "A machine that the rule puts into its group would be in no network.",
        "Set spec.network on the rule, the group or one above it, or in the Fleet's defaults.",
    ),
    Explanation(
        Code.BUDGET_TWICE,
        "two budgets for one group",
        "The Fleet document limits the same group twice. Neither wins.",
        "Merge the two entries of budgets.groups into one.",
    ),
    Explanation(
        Code.NAME_RESERVED,
        "a name that Rackwright uses itself",
        "Work that Rackwright plans by itself has this name in the history of machines. A "
        "scenario of that name could be taken for it.",
        "Give the scenario another name, here and wherever it is assigned.",
    ),
    Explanation(
        Code.INVISIBLE_CHARACTER,
        "a character that looks like a space, or like nothing",
        "A line is indented with a character such as a no-break space, which web pages and "
        "word processors use. To YAML it is text, so that the line would mean something else.",
        "Remove the character and indent with spaces.",
    ),
)

CATALOGUE: Mapping[Code, Explanation] = MappingProxyType({entry.code: entry for entry in _ENTRIES})
"""Every code with its explanation."""
