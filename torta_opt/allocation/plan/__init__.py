"""A schedule as people read it: servers, timetable, routing, response, and the bill."""
