"""What a test may need beyond the course's own dependencies: `@needs_tensorflow`."""

from importlib.util import find_spec

import pytest

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None,
    reason="TensorFlow is not installed; one backend is enough for the course",
)
