"""Asset packs of LIBERO: which files are needed, where they are found, download, generated substitutes."""
