"""SimplerEnv compared with recordings of the original: physics, images, success rules."""
