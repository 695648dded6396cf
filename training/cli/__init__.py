"""The verbs of training: `nora-bench collect | train | label | reproduce`, one file each."""
