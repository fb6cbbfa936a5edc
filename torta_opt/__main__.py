"""``python -m torta_opt`` is ``torta-opt``."""

from torta_opt.cli import main

main()
