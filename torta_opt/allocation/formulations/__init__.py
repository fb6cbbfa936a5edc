"""Mathematical programs over an instance: one program, one file."""
