"""Everything that HTTP clients see."""
