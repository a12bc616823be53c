"""Device is made of one class for each subject."""

from __future__ import annotations

import inspect
from collections import Counter

from zbx_nvidia.driver.device import Device


def test_no_subject_hides_a_method_of_another() -> None:
    subjects = [subject for subject in inspect.getmro(Device) if subject is not object]
    names = Counter(name for subject in subjects for name in vars(subject) if not name.startswith("__"))
    assert len(subjects) > 5
    assert [name for name, count in names.items() if count > 1] == []
