"""python -m wasm2xformer"""

import sys

from .runtime.cli import main

sys.exit(main())
