"""Classes of failed episodes, by rules over recorded features."""
