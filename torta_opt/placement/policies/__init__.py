"""CG-BPRR, PETALS and its variants."""
