"""What everything else stands on: errors, paths, files, components by name, seeds, statistics."""
