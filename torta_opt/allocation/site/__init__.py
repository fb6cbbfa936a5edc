"""A planner's own fleet: the site file, its template, and the instance made from them."""
