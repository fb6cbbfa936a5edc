"""Online schedulers: one file each."""
