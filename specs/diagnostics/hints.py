"""What in a refused text gives away how the mistake came about.

The form of the field is no help to somebody who cannot see what is wrong: a letter
of another alphabet, a character without width, a template that nothing fills in.
"""

import unicodedata

NO_TEMPLATES = "text templates do not exist here; write the value itself"
_TEMPLATES = ("{{", "{%", "${")
_QUOTES = frozenset({"Pi", "Pf"})
"""Unicode's categories of opening and closing quotation marks; ASCII's are in neither."""
_UNNAMED = {
    "\t": "a tab",
    "\n": "a line break",
    "\r": "a carriage return",
    "\x85": "NEXT LINE (U+0085)",
}


def hint_for(text: str, hint: str) -> str:
    """Return ``hint`` with what is odd about ``text``; what explains all of it alone."""
    if any(sign in text for sign in _TEMPLATES):
        return NO_TEMPLATES
    curly = curly_quotes(text)
    if curly:
        return curly
    if "#" in text:
        return f"a comment has a space before its #; {hint}"
    odd = _odd(text)
    if odd is None:
        return hint
    found = f"character {odd + 1} is {described(text[odd])}"
    return f"{found}; {hint}" if hint else found


def curly_quotes(text: str) -> str:
    """Return the hint for text with typographic quotes; empty where it has none."""
    found = [each for each in text if unicodedata.category(each) in _QUOTES]
    if not found:
        return ""
    inner = text[1:-1]
    is_quoted = [text[0], text[-1]] == found and '"' not in inner
    meant = f'write "{inner}"' if is_quoted else "use \" or ' or none"
    return f"{found[0]} is no quote to YAML; {meant}"


def _odd(text: str) -> int | None:
    """Return the index of the first character that cannot be seen, or is not ASCII."""
    hidden = (index for index, character in enumerate(text) if not character.isprintable())
    foreign = (index for index, character in enumerate(text) if not character.isascii())
    return next(hidden, next(foreign, None))


def described(character: str) -> str:
    """Return the name of a character that a message cannot show."""
    if character in _UNNAMED:
        return _UNNAMED[character]
    number = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{name} ({number})" if name else number
