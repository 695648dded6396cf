"""SimplerEnv's WidowX (Bridge) tasks as data: configurations, placements, rest poses, success. Imports no simulator."""
