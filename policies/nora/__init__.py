"""The NORA family: NORA, NORA-Long, NORA-1.5 with its flow expert, behind the policy interface."""
