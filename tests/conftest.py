"""What holds for all tests: one thread for each process, because tests run in as many processes as there are cores."""

import os

# Before torch or numpy is imported, and for the processes that tests start; more threads would only wait for each other.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
