"""Physics of SAPIEN 2.2.2, which the original runs on, in a process of its own under nora-bench's scenes, controllers and rules.

`server`, `world`, `episode` and the programs (`google`, `widowx`) run in an interpreter that has SAPIEN 2.2.2, Ruckig and
numpy 1, nothing else; the other modules run in nora-bench's own. Messages are lines of JSON, in which numbers keep all bits.
"""
