"""Command lines of Windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.windows.command_line import command_line


def taken_apart(line):
    """Take a line apart by Microsoft's rules ("Parsing C command-line arguments")."""
    words, word, place, quoted, begun = [], "", 0, False, False
    while place < len(line):
        count = len(line) - place - len(line[place:].lstrip("\\"))
        place += count
        mark = line[place : place + 1] == '"'
        word += "\\" * (count // 2 if mark else count)
        begun = begun or count > 0
        if mark:
            if count % 2:
                word += '"'
            elif quoted and line[place + 1 : place + 2] == '"':
                word += '"'
                place += 1
            else:
                quoted = not quoted
            begun = True
        elif line[place : place + 1] in (" ", "\t") and not quoted:
            words += [word] if begun else []
            word, begun = "", False
        elif place < len(line):
            word += line[place]
            begun = True
        place += 1
    return [*words, word] if begun else words


words = st.text('ab="\\ \t{}%é', max_size=12)


@given(st.lists(words, max_size=5))
def test_programs_take_a_line_apart_into_the_same_words(argv):
    assert taken_apart(command_line(argv)) == argv


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("GREETING=a b", 'GREETING="a b"'),
        ('GREETING=say "hi"', 'GREETING="say ""hi"""'),
        (r"C:\Program Files\a.msi", r'"C:\Program Files\a.msi"'),
        ("C:\\a b\\", '"C:\\a b\\\\"'),
        ("/qn", "/qn"),
        ("", '""'),
    ],
)
def test_only_the_value_of_a_property_is_quoted_as_windows_installer_wants(word, written):
    assert command_line([word]) == written
