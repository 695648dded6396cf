"""Imports of other tools' results into runs: vla-eval (JSON, SQLite), lerobot (`eval_info.json`), CSV.

An imported run has outcomes and no actions, so it cannot be replayed. Errors are errors here too, whatever the source counted
them as. Episodes whose initial state the source does not name get states of their own (`UNKEYED`): they are never paired.
"""
