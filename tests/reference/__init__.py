"""Plain, obvious implementations that the product is held against."""
