"""``python -m lash_core.cli``: the ``lash`` command where its script is not on the path."""

import sys

from lash_core.cli.main import main

sys.exit(main())
