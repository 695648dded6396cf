"""The verbs of training: `nora-bench collect | data | train | label-preferences | reproduce`, one file each."""
