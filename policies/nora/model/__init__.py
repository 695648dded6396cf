"""The NORA models on torch: backbone, action expert, inference engine."""
