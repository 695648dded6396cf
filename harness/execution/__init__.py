"""Running a plan: workers, rollouts, policy host, recording, progress."""
