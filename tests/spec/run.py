"""Runs the commands of a script, and says of each whether it passed, failed, or was refused and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import wasmtime

from wasm2xformer import CompileError, DivergenceError, StoreInstance, Trap
from wasm2xformer.compiler.format.isa import TRAPS
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.source import EVERYTHING, load
from wasm2xformer.compiler.wasm.unsupported import invalid

from .dense import Skipped
from .instances import Instances, Refused, reason_group
from .reasons import same_reason
from .script import Action, Command, ScriptError, read_script
from .values import matches, show

UNSUPPORTED = "not supported"
PASSED, FAILED, REFUSED, SKIPPED = "passed", "failed", "refused", "skipped"
# The features of version 2.0 of the specification.
_SECOND_VERSION = dict.fromkeys(EVERYTHING, False) | {
    "bulk_memory": True, "reference_types": True, "multi_value": True, "simd": True,
}  # fmt: skip
# What the scripts expect to be told of a link error, and the compiler's words for it.
_LINK_ERRORS = {"unknown import": "is not provided", "incompatible import type": "incompatible import type"}


@dataclass(frozen=True)
class Outcome:
    """Of one command. status: UNSUPPORTED = "not supported"
PASSED, FAILED, REFUSED by the compiler, or SKIPPED by the dense engine."""

    kind: str
    line: int
    status: str
    reason: str = ""


class _Failure(Exception):
    """The command's expectation is not met."""


def run_script(path: Path, opt_level: int = 1, dense_tokens: int = 0, verified: bool = False) -> list[Outcome]:
    """One outcome per command. dense_tokens, verified: see `Instances`. A script that cannot be read has one failed outcome."""
    try:
        commands = read_script(path)
    except ScriptError as error:
        return [Outcome("script", 0, FAILED, str(error))]
    script = _Script(Instances(opt_level, dense_tokens, verified))
    return [script.run(command) for command in commands]


class _Script:
    def __init__(self, instances: Instances):
        self.instances = instances
        self.there: dict[str, StoreInstance | str] = {}  # by name, "" for the latest; a text: why there is none
        self.definitions: dict[str, bytes | str] = {}  # of modules that are instantiated by their name

    def run(self, command: Command) -> Outcome:
        status, reason = PASSED, ""
        try:
            getattr(self, f"_{command.kind}", self._unknown)(command)
        except Refused as error:
            status, reason = REFUSED, str(error)
        except Skipped as error:
            status, reason = SKIPPED, str(error)
        except DivergenceError as error:
            limit = error.report is not None and error.report.limit
            status, reason = (SKIPPED, f"limit of wasm2xformer: {limit}") if limit else (FAILED, str(error))
        except CompileError as error:
            status, reason = REFUSED, reason_group(error)
        except Trap as trap:
            status, reason = FAILED, f"trap: {trap}"
        except _Failure as error:
            status, reason = FAILED, str(error)
        except Exception as error:  # whatever goes wrong inside is this command's failure and must not hide the others'
            status, reason = FAILED, f"{type(error).__name__}: {error}"
        return Outcome(command.kind, command.line, status, reason)

    def _unknown(self, command: Command) -> None:
        raise _Failure(f"unknown command {command.kind}")

    # Modules

    def _module_definition(self, command: Command) -> None:
        assert command.module is not None
        self.definitions[command.name] = command.module
        load(command.module)

    def _module_instance(self, command: Command) -> None:
        self._module(replace(command, module=self.definitions[command.target]))

    def _module(self, command: Command) -> None:
        assert command.module is not None
        names = {"", command.name}
        self.there.update(dict.fromkeys(names, "its module could not be instantiated"))
        try:
            instance = self.instances.instantiate(command.module)
        except CompileError as error:
            self.there.update(dict.fromkeys(names, reason_group(error)))
            raise
        except Refused as error:
            self.there.update(dict.fromkeys(names, str(error)))
            raise
        self.there.update(dict.fromkeys(names, instance))

    def _register(self, command: Command) -> None:
        self.instances.registered[command.name] = self.there.get(command.target, "no such module")
        self._instance(command.target)

    def _assert_invalid(self, command: Command) -> None:
        assert command.module is not None
        try:
            source = load(command.module)
        except CompileError as error:
            told = str(error)
            if not same_reason(command.text, told) and not (UNSUPPORTED in told and _was_invalid(command)):
                raise _Failure(f"rejected as: {error}, should be: {command.text}") from None
            return
        if not _was_invalid(replace(command, module=source.wasm)):
            raise _Failure(f"accepted, should be: {command.text}")

    _assert_malformed = _assert_invalid

    def _assert_unlinkable(self, command: Command) -> None:
        assert command.module is not None
        try:
            self.instances.instantiate(command.module)
        except CompileError as error:
            wanted = _LINK_ERRORS.get(command.text, command.text)
            if not any(wanted in reason.message for reason in error.reasons):
                raise
            return
        raise _Failure(f"linked, should be: {command.text}")

    def _assert_uninstantiable(self, command: Command) -> None:
        assert command.module is not None
        try:
            self.instances.instantiate(command.module)
        except Trap as trap:
            _check_text(command.text, str(trap))
            return
        raise _Failure(f"instantiated, should trap: {command.text}")

    # Actions

    def _instance(self, name: str) -> StoreInstance:
        instance = self.there.get(name, "no such module")
        if isinstance(instance, str):
            raise Refused(instance)
        return instance

    def _do(self, action: Action | None) -> list[int | None]:
        assert action is not None
        instance = self._instance(action.module)
        if action.kind == "get":
            return [self.instances.read_global(instance, action.field)]
        return self.instances.invoke(instance, action.field, action.args)

    def _action(self, command: Command) -> None:
        self._do(command.action)

    def _assert_return(self, command: Command) -> None:
        results = self._do(command.action)
        if len(results) != len(command.expected):
            raise _Failure(f"{len(results)} results, should be {len(command.expected)}")
        for wanted, result in zip(command.expected, results, strict=True):
            if not matches(wanted, result):
                want = wanted.pattern or show(wanted.type, wanted.bits)
                raise _Failure(f"{show(wanted.type, result)}, should be {want}")

    def _assert_trap(self, command: Command) -> None:
        try:
            results = self._do(command.action)
        except Trap as trap:
            _check_text(command.text, str(trap))
            return
        raise _Failure(f"returned {results}, should trap: {command.text}")

    _assert_exhaustion = _assert_trap

    def _assert_exception(self, command: Command) -> None:
        try:
            results = self._do(command.action)
        except Trap as trap:
            _check_text(TRAPS["uncaught_exception"], str(trap))
            return
        raise _Failure(f"returned {results}, should throw")


def _was_invalid(command: Command) -> bool:
    """What later versions of the specification allow is compiled, or refused; the script is of the version before."""
    assert command.module is not None
    wasm = command.module if isinstance(command.module, bytes) else bytes(wasmtime.wat2wasm(command.module))
    if command.text == "multiple tables":  # of version 1.0, whose features wasmtime cannot be cut down to
        return len(decode(wasm).tables) > 1
    return same_reason(command.text, invalid(wasm, _SECOND_VERSION))


def _check_text(expected: str, actual: str) -> None:
    """As the specification's own harness: the message contains the expected text. An element's number may lack."""
    if expected.startswith("uninitialized element"):
        expected = "uninitialized element"
    if expected.startswith("null"):  # "null function reference"
        expected = "null reference"
    if expected not in actual:
        raise _Failure(f"trap: {actual}, should be: {expected}")
