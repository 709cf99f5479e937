"""The command `wasm2xformer`, also as python -m wasm2xformer."""

import os
import sys


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


if __name__ == "__main__":
    sys.exit(main())
