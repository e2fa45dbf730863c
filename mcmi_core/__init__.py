"""MCMI companion: teachers that estimate the Bayes conditional distribution, and their students.

Read the package in this order: ``cmi`` (what is measured), ``objectives`` (what a teacher
maximises), ``losses`` and ``distillers`` (what a student minimises), ``training`` (the one loop),
``runs`` (what a result is, how it comes about and where it lives), ``experiments`` (what is asked).
"""

import os

__version__ = "0.1.0"

# OpenMP's threads wait for one another by spinning. Where two programs have more threads than there
# are cores, each spins while the other could compute, and both are ten times slower. So they spin
# shortly, then sleep. It counts where torch is not loaded yet; no result depends on it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
