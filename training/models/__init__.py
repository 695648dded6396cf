"""Trainable models: backbone, flow head, initialisation, export."""
