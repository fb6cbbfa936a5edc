"""Schedules with a proven distance from the best one."""
