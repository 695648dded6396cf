"""The NORA models compared with reference recordings."""
