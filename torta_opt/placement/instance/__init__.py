"""What a placement problem is: data, rules, file, presets, networks of servers."""
