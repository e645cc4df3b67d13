"""What holds for all tests: one thread for each process, and in CI the same examples at every run."""

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

# Before torch or numpy is imported, and for the processes that tests start: tests run in as many processes as there are
# cores, and more threads would only wait for each other.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Keras asks for TensorFlow unless told.
os.environ.setdefault("KERAS_BACKEND", "torch")

# What is kept between studies, compiled steps and times, is kept for the run of the tests alone.
if "PACESETTER_CACHE" not in os.environ:
    os.environ["PACESETTER_CACHE"] = tempfile.mkdtemp(prefix="pacesetter-tests-")
    atexit.register(shutil.rmtree, os.environ["PACESETTER_CACHE"], ignore_errors=True)

# No deadline: no test asserts a time. Where CI is set the examples are always the same ones, so that it never fails for
# another reason than the change it is about; on a person's machine new ones are tried at every run.
settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")
