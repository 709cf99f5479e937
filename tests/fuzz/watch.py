"""Runs inputs in another process: it may crash, hang, or eat memory, and that is seen."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

# Seconds of processor time for one input, and of waiting for one that does nothing; a machine may be busy.
LIMIT, PATIENCE = 40.0, 240.0
# Bytes of memory by which the process may have grown, at its peak, before it is an accusation. Compiled code stays: a process is
# replaced after so many inputs.
MEMORY, INPUTS = 3 << 30, 100


@dataclass(frozen=True)
class Outcome:
    """kind: "accepted", "refused", "failed" (another exception, a wrong result), "crashed", "hung" or "swollen"."""

    kind: str
    message: str = ""


class Worker:
    """One process for one door, started when it is needed. door: its name, see `doors`. limit, patience: seconds, see above.
    memory: bytes."""

    def __init__(self, door: str, limit: float = LIMIT, patience: float = PATIENCE, memory: int = MEMORY):
        self.door, self.limit, self.patience, self.memory = door, limit, patience, memory
        self.process: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] | None = None
        self.done = 0

    def run(self, data: bytes) -> Outcome:
        if self.process is None:
            self._start()
        process = self.process
        assert process is not None and process.stdin and process.stdout
        try:
            process.stdin.write(len(data).to_bytes(4, "little") + data)
            process.stdin.flush()
            line = self._line(process.stdout)
        except OSError:
            line = b""
        if line is None:
            used = self._seconds()
            self.stop()
            return Outcome("hung", f"no answer, {used:.0f} s of processor time in this process")
        if not line.endswith(b"\n"):
            return Outcome("crashed", self._crash())
        answer = json.loads(line)
        peak = self._peak()
        self.done += 1
        if self.done >= INPUTS or peak > self.memory:
            self.stop()
        if peak > self.memory:
            return Outcome("swollen", f"{peak / 2**30:.1f} GiB at the peak")
        return Outcome(answer["outcome"], "\n".join(filter(None, (answer["message"], answer.get("traceback")))))

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                with suppress(OSError):
                    stream.close()  # type: ignore[union-attr]
        self.process = None

    def _start(self) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        command = [sys.executable, "-m", "tests.fuzz.worker", self.door]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "WASM2XFORMER_CACHE": "", "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=environment
        )
        self.done = 0

    def _line(self, stream: IO[bytes]) -> bytes | None:
        """A line, what there is of it when the process ends, or None when the time is up."""
        began, used, found = time.monotonic(), self._seconds(), b""
        while not found.endswith(b"\n"):
            if not select.select([stream], [], [], 0.2)[0]:
                if time.monotonic() - began > self.patience or self._seconds() - used > self.limit:
                    return None
                continue
            part = os.read(stream.fileno(), 1 << 16)
            if not part:
                return found
            found += part
        return found

    def _seconds(self) -> float:
        """Processor time of the process so far."""
        assert self.process is not None
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            numbers = file.read().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def _crash(self) -> str:
        assert self.process is not None and self.log is not None
        code = self.process.wait()
        self.log.seek(0)
        said = self.log.read()[-1500:].decode(errors="replace")
        self.stop()
        return f"{signal.Signals(-code).name if code < 0 else f'exit code {code}'}\n{said}"

    def _peak(self) -> int:
        assert self.process is not None
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
