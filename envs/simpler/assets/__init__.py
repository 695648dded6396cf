"""Asset packs of SimplerEnv: which files are needed, where they are found, download, generated substitutes."""
