"""Diagnosis of conventions: which setting makes a policy answer recorded moments of an expert as the expert acted."""
