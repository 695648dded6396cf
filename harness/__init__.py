"""Plan, run, watch: from a configuration to finished episodes in a store, and the command line over it."""
