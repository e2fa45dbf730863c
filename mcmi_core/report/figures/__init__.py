"""Figures that take more than a few lines, one file for each notebook."""
