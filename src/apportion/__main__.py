"""``python -m apportion``."""

import sys

from apportion.faces.cli import main

if __name__ == "__main__":
    sys.exit(main())
