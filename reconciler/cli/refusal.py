"""Errors as a person at the terminal reads them."""


def as_refusal(error: BaseException) -> str | None:
    """Return the text for an error that carries a code, a cause and an action; else None.

    The packages have error hierarchies of their own that share these three
    attributes; asking for the attributes avoids loading all of them.
    """
    parts = [getattr(error, name, None) for name in ("code", "cause", "action")]
    if not all(isinstance(part, str) for part in parts):
        return None
    code, cause, action = parts
    return f"error {code}: {cause}\n  {action}"
