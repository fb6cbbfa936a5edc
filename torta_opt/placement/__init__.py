"""Block placement and request routing for PETALS-style inference: the second problem family."""
