"""What foresight is worth: bounds for policies that cannot see ahead, and what a gap is made of."""
