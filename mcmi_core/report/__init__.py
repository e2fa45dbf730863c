"""What readers see: figures, tables, executed notebooks, committed evidence."""
