"""``python -m torta_opt`` is ``torta-opt``."""

from torta_opt.start import main

if __name__ == "__main__":
    main()
