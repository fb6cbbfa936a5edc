"""Rules that decide which servers are on, as operators run them: one file each."""
