"""Questions with answers made of a team's own documents, for those that have no questions yet."""
