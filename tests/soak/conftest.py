"""Long runs. Only `bash scripts/test --soak` runs these tests."""

import os

collect_ignore_glob = [] if os.environ.get("SELFINSTRUCT_SOAK") else ["test_*.py"]
