"""The clock of a training: time that was worked, not waited.

Rule: a run of so many minutes does the same work on a busy machine as on a quiet one, later.
"""

import time

import torch


def worked() -> float:
    """Seconds of this process's work, by thread."""
    return time.process_time() / torch.get_num_threads()
