"""``python -m apportion``: the command line."""

import sys

from apportion.faces.cli import main

sys.exit(main())
