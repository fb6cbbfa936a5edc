"""What foresight is worth: estimated bounds for policies that cannot see ahead; parts of a gap."""
