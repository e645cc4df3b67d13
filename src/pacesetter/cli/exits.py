"""Exit codes beside those that errors carry: 0 answered, 1 the work failed, 2 bad usage or bad input."""

__all__ = ["INTERRUPTED", "NO_ANSWER"]

NO_ANSWER = 3  # honestly none: nothing learned
INTERRUPTED = 130  # nothing that was measured is lost
