"""One slot, tasks on servers: the paper's Fig. 5, task by task and in groups."""
