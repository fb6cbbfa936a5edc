"""Multi-timeslot allocation of requests to regions and servers: the first problem family."""
