"""The command `wasm2xformer`, also as python -m wasm2xformer."""

import atexit
import gc
import os
import sys
import threading


def main() -> int:
    """Runs the command line of this process; may be interrupted while that is still being imported, too."""
    # Nothing here multiplies large matrices with numpy, which is imported below; starting threads for it is a sixth of the time
    # that a short run takes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from .runtime.cli import main as command_line
        from .runtime.cli import signals
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    signals.install()
    try:
        return command_line()
    except KeyboardInterrupt:  # before the command had begun
        return 130
    except signals.Terminated:
        return 143
    finally:
        signals.uninstall()


def process() -> int:
    """`main` for a process that is there for it alone, which ends here: to take apart modules and objects that the system takes
    back with the process is an eighth of the time of a short run. What was registered for the end is done, and all is written.

    Returns the exit code instead, for an end by the interpreter, where others are at work: a thread, a profiler, a debugger.
    """
    # Imports and a checkpoint's metadata are objects that stay; to look for cycles among them is a twentieth of a short run.
    gc.set_threshold(50_000)
    code = main()
    at_the_end = getattr(atexit, "_run_exitfuncs", None)
    others = any(thread.name != "idle" for thread in threading.enumerate() if thread is not threading.main_thread())
    if at_the_end is None or others or sys.getprofile() or sys.gettrace():
        return code
    at_the_end()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # closed, or nobody reads
        return code
    os._exit(code)


if __name__ == "__main__":
    sys.exit(process())
