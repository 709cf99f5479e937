"""The command `wasm2xformer`, also as python -m wasm2xformer."""

import signal
import sys


def main() -> int:
    """Runs the command line of this process; may be interrupted while that is still being imported, too."""
    try:
        from .runtime.cli import main as command_line
        from .runtime.cli.errors import TERMINATED, Terminated
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130

    def terminate(number: int, frame: object) -> None:
        raise Terminated  # so that files that are half written go

    try:
        signal.signal(signal.SIGTERM, terminate)
        return command_line()
    except Terminated:
        return TERMINATED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # nothing is left to be put in order
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
