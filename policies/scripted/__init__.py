"""A scripted expert for LIBERO: solves the tasks from the simulator's own state, through the benchmark's 7-D actions."""
