"""How the tests start Dask's LocalCluster."""

LOCAL = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
"""Out of reach of other machines, on any free port."""
