"""Instances of placement: data, rules, file, presets, networks of servers."""
