"""One offline HTML page per set of runs: tables, charts, videos."""
