"""SimplerEnv: its Google-Robot tasks, visual matching and variant aggregation, on SAPIEN 3."""
