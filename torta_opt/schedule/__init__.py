"""What an answer is: schedule file, evaluate, verify, step."""
