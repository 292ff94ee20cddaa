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


def test_a_picture_that_takes_the_place_of_the_one_it_is_made_of(tmp_path):
    """The size of image, where the call reads it, is not the size of what the call makes."""
    assert codes(tmp_path, "import cv2\ndef f(image):\n    image = cv2.resize(image, (9, 9))\n    return image\n") == [
        "SR101"
    ]
    assert codes(tmp_path, "import cv2\nimage = cv2.imread(p)\nimage = cv2.resize(\n    image,\n    (9, 9),\n)\n") == [
        "SR101"
    ]
    twice = "import cv2\nimage = cv2.imread(p)\nimage = cv2.resize(image, (9, 9))\nimage = cv2.resize(image, (9, 9))\n"
    assert codes(tmp_path, twice) == ["SR101"]  # the second changes nothing
