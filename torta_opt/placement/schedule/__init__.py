"""Schedules of placement: blocks and routes, file, verify, evaluate."""
