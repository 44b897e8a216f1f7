"""`python -m cvlab COMMAND`: see `python -m cvlab help`."""

import sys

from cvlab.publish.command import main

sys.exit(main())
