"""The generations of a store on disk: schema, rows, manifest, and reading one of them."""
