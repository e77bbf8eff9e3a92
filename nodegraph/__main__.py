"""`python -m nodegraph`."""

from .cli import main

raise SystemExit(main())
