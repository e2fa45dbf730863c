"""MCMI companion: teachers that estimate the Bayes conditional distribution, and their students.

Read the package in this order: ``cmi`` (what is measured), ``objectives`` (what a teacher
maximises), ``losses`` and ``distillers`` (what a student minimises), ``train`` (the one loop),
``runs`` and ``store`` (what a result is, and where it lives), ``lab`` (what a notebook calls).
"""

__version__ = "0.1.0"
