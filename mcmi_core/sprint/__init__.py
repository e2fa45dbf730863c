"""What a GPU that is there for minutes is used for: check, measure, train, pack up."""
