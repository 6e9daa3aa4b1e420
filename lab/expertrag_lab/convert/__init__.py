"""Convert readers to plain weights for other tools."""
