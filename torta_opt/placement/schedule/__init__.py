"""What an answer is: placement and routes, file, verify, evaluate."""
