"""Offline schedules: every request and outage of the horizon is known."""
