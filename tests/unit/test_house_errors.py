"""One kind of error in all packages: a code, a cause and an action that survive a process."""

import ast
import copy
import importlib
import inspect
import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from agent.errors import CodedError
from reconciler.cli.refusal import refusal
from reconciler.errors import StateError

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "providers", "reconciler", "specs")
# Values for the parameters of constructors, by their annotation. A new kind of parameter
# needs a line here.
SAMPLES: dict[str, object] = {
    "str": "a text",
    "int": 7,
    "int | None": 7,
    "collections.abc.Sequence[str]": ("mkfs", "/dev/vda"),
    "pathlib.Path": Path("/var/lib/rackwright/agent.key"),
    "collections.abc.Mapping[str, str]": {"status": "3"},
    "OSError | str": OSError(5, "Input/output error"),
    "tuple[specs.diagnostics.diagnostic.Diagnostic, ...]": (),
}


def exception_modules() -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield (module, class) of every class that could be an exception."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and node.bases:
                    yield module, node


def exceptions() -> list[type[Exception]]:
    """Return every exception class of the four packages."""
    found = []
    for module, node in exception_modules():
        bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        if any(base.endswith(("Error", "Exception", "Refusal", "InvalidValue")) for base in bases):
            kind = getattr(importlib.import_module(module), node.name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                found.append(kind)
    return found


CODED = [kind for kind in exceptions() if issubclass(kind, CodedError)]


def made(kind: type[CodedError]) -> CodedError:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    names = [inspect.formatannotation(parameter.annotation) for parameter in parameters]
    return kind(*(SAMPLES[name] for name in names))


def texts(error: CodedError) -> tuple[str, str, str, str, dict[str, str]]:
    attributes = {name: repr(value) for name, value in vars(error).items()}
    return error.code, error.cause, error.action, str(error), attributes


def test_every_exception_with_a_code_and_an_action_is_a_coded_error() -> None:
    strays = [
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in exceptions()
        if not issubclass(kind, CodedError) and "self.action = " in inspect.getsource(kind)
    ]
    assert len(CODED) > 25
    assert strays == []


@pytest.mark.parametrize("kind", CODED, ids=lambda kind: kind.__qualname__)
def test_a_coded_error_survives_pickling_and_copying(kind: type[CodedError]) -> None:
    error = made(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - its own
        assert type(twin) is kind
        assert texts(twin) == texts(error)


@pytest.mark.parametrize("kind", CODED, ids=lambda kind: kind.__qualname__)
def test_a_coded_error_reads_as_every_other(kind: type[CodedError]) -> None:
    error = made(kind)
    assert str(error) == f"{error.code}: {error.cause}. {error.action}."
    assert refusal(error) == f"error {error.code}: {error.cause}\n  {error.action}"


def fail() -> None:
    raise StateError("RW700", "the state is odd", "Look at it")


def test_an_error_of_another_process_arrives_whole() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        pytest.raises(StateError) as caught,
    ):
        pool.submit(fail).result()
    assert str(caught.value) == "RW700: the state is odd. Look at it."
    assert (caught.value.code, caught.value.action) == ("RW700", "Look at it")
