"""The papers' pipeline from demonstrations to results, at nano scale."""
