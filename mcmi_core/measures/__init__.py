"""What can be measured on a finished run, beyond the metrics that every run has.

A measurement is a function of a model, its data set and one split that returns named columns:
equally long lists, small enough for a record.
"""
