"""Statistical methods on numbers: intervals, exact and paired tests, rankings. They know nothing of runs."""
