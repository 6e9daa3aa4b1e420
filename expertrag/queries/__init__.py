"""Questions about tables: linked with columns and values, drafted as SQL, run, and worded."""
