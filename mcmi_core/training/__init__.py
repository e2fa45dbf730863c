"""How networks are trained: the recipe, the loop, and who does its steps. Knows nothing of runs."""
