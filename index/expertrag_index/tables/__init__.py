"""Tables that are derived from the documents of a generation, to be queried with SQL."""
