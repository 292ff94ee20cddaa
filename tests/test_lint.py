"""lint: what it finds by reading, what it leaves alone, and what becomes of files that cannot be read."""

import secure_resize as sr


def codes(tmp_path, text):
    file = tmp_path / "code.py"
    file.write_text(text)
    report = sr.audit.lint(file)
    assert not report.failures
    return [one.code for one in report.active]


def test_a_call_is_found_and_its_safe_form_is_not(tmp_path):
    assert codes(tmp_path, "import cv2\nsmall = cv2.resize(image, (224, 224))\n") == ["SR101"]
    assert codes(tmp_path, "import cv2\nsmall = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)\n") == []
