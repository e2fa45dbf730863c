"""MCMI companion: teachers that estimate the Bayes conditional distribution, and their students.

Read the package in this order: ``cmi`` (what is measured), ``objectives`` (what a teacher
maximises), ``losses`` and ``distillers`` (what a student minimises), ``training`` (the one loop),
``runs`` (what a result is, how it comes about and where it lives), ``experiments`` (what is asked).
"""

__version__ = "0.1.0"
