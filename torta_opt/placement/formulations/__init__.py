"""The exact program by positions, and the authors' program as published."""
