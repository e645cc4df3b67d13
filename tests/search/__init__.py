"""Search strategies: asked on records alone."""
