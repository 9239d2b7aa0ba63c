"""`python -m effcnn` is `effcnn`."""

import sys

from effcnn.cli import main

sys.exit(main())
