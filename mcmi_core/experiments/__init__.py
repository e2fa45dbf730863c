"""The experiments, one file a notebook: settings → runs → table → findings."""
