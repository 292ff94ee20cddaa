"""What lint reports in the installed sources of libraries, each finding beside the judgement of a person who read it.

    python benchmarks/lint_libraries.py            # the table, for EVIDENCE.md
    python benchmarks/lint_libraries.py --todo     # findings that nobody has judged yet, as lines for lint_reviewed.tsv

Before it prints anything it asserts that every front end that is known to sample (FRONT_ENDS, by reading) is found,
that none of those that antialias (SAFE) is, and that no file made the linter fail.
"""

import csv
import os
import sys
import time
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from secure_resize.audit.lint import lint

REVIEWED = Path(__file__).with_name("lint_reviewed.tsv")
# Package, distribution.
LIBRARIES = {
    "albumentations": "albumentations", "kornia": "kornia", "keras": "keras", "keras_hub": "keras-hub",
    "ultralytics": "ultralytics", "diffusers": "diffusers", "mistral_common": "mistral-common",
    "transformers": "transformers", "torchvision": "torchvision", "rfdetr": "rfdetr", "timm": "timm",
    "open_clip": "open-clip-torch", "qwen_vl_utils": "qwen-vl-utils",
}  # fmt: skip
TIMED = tuple(LIBRARIES)[:9]  # those that are to take less than a minute together
MODELS = "transformers/models/"
# Front ends that sample, by reading: a file and a part of the line that does it.
FRONT_ENDS = [
    (f"{MODELS}depth_pro/image_processing_depth_pro.py", "self.resize(stacked_images"),
    (f"{MODELS}molmo2/image_processing_molmo2.py", "backend.resize("),
    (f"{MODELS}molmo2/video_processing_molmo2.py", "backend.resize("),
    (f"{MODELS}phi4_multimodal/image_processing_phi4_multimodal.py", "global_image = self.resize("),
    (f"{MODELS}pp_doclayout_v2/image_processing_pp_doclayout_v2.py", "self.resize("),
    (f"{MODELS}pp_doclayout_v3/image_processing_pp_doclayout_v3.py", "self.resize("),
    (f"{MODELS}pp_doclayout_v4/image_processing_pp_doclayout_v4.py", "self.resize("),
    (f"{MODELS}pp_ocrv6_small_rec/image_processing_pp_ocrv6_small_rec.py", "self.resize("),
    (f"{MODELS}rf_detr/image_processing_rf_detr.py", "self.resize(stacked_images"),
    (f"{MODELS}zoedepth/image_processing_zoedepth.py", "torch.nn.functional.interpolate("),
    ("mistral_common/tokens/tokenizers/image.py", "cv2.resize("),
    ("ultralytics/data/base.py", "cv2.resize(im, (w, h)"),
    ("ultralytics/data/augment.py", "cv2.resize(img, new_unpad, interpolation=self.interpolation)"),
    ("ultralytics/data/augment.py", "cv2.resize(im, (w, h)"),
    ("ultralytics/data/augment.py", "cv2.resize(im[top : top + m"),
    ("ultralytics/engine/exporter.py", "torch.nn.functional.interpolate("),
    ("rfdetr/export/benchmark.py", "Resize(size, antialias=False)"),
    ("rfdetr/export/_runtime/preprocess.py", "_F.resize("),
    ("keras_hub/src/layers/preprocessing/image_converter.py", "self.resizing = keras.layers.Resizing("),
    ("diffusers/image_processor.py", "torch.nn.functional.interpolate("),
    ("torchvision/models/detection/transform.py", "image = torch.nn.functional.interpolate("),
    ("torchvision/transforms/_presets.py", "F.resize(vid"),
]
# Front ends that antialias, or blur before: not to be reported as plainly vulnerable.
SAFE = [
    ("keras_hub/src/models/blip2/blip2_image_converter.py", "super().__init__("),
    ("open_clip/transform.py", "Resize("),
    ("timm/data/transforms_factory.py", "Resize("),
    ("qwen_vl_utils/vision_process.py", "resize("),
    ("transformers/image_transforms.py", "resize("),
    ("transformers/image_processing_backends.py", "resize("),
]


def main():
    findings, rows, seconds, failures = [], [], 0.0, []
    for package, distribution in LIBRARIES.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            rows.append((package, "not installed", 0, 0, 0.0))
            continue
        folder = Path(spec.origin).parent
        begin = time.process_time()
        report = lint(folder, config=False)
        took = time.process_time() - begin
        seconds += took if package in TIMED else 0
        failures += report.failures
        own = [(_name(one, folder), one) for one in report.active]
        findings += own
        rows.append((package, version(distribution), report.looked_at, len(own), took))
    assert not failures, failures
    _check_front_ends(findings, {row[0] for row in rows if row[1] != "not installed"})
    judged = _reviewed()
    if "--todo" in sys.argv:
        todo = dict.fromkeys(_key(name, one) for name, one in findings)
        print("\n".join("\t".join((*key, "", "")) for key in todo if key not in judged))
        return
    _print(findings, rows, seconds, judged)


def _name(finding, folder):
    return Path(os.path.abspath(finding.place.path)).relative_to(folder.parent).as_posix()


def _key(name, finding):
    """A finding apart from its line: file, rule, the line's text."""
    return name, finding.code, " ".join(finding.context.split())[:120]


def _reviewed():
    with REVIEWED.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {tuple(line[:3]): (line[3], line[4]) for line in lines if len(line) == 5}


def _check_front_ends(findings, present):
    for path, text in FRONT_ENDS:
        if path.partition("/")[0] in present:
            assert any(name == path and text in one.context for name, one in findings), f"missed: {path} {text}"
    for path, text in SAFE:
        wrong = [one for name, one in findings if name == path and text in one.context]
        assert not wrong, wrong


def _print(findings, rows, seconds, judged):
    verdicts = {}
    for name, one in findings:
        verdict = judged.get(_key(name, one), ("not judged", ""))[0]
        if "_test.py" in name or "/testing/" in name or "/tests/" in name:
            verdict = "own tests"
        verdicts.setdefault(name.partition("/")[0], Counter())[verdict] += 1
    total = sum(verdicts.values(), Counter())
    columns = ("true", "arguable", "false", "own tests", "not judged")
    print("| library | files | seconds | findings | true | arguable | false | in its own tests | not judged |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for package, release, files, count, took in rows:
        own = verdicts.get(package, Counter())
        counts = " | ".join(str(own[one] or "") for one in columns)
        print(f"| {package} {release} | {files} | {took:.1f} | {count} | {counts} |")
    counts = " | ".join(str(total[one] or "") for one in columns)
    print(f"| all | {sum(row[2] for row in rows)} | {sum(row[4] for row in rows):.1f} | {len(findings)} | {counts} |")
    said = total["true"] + total["arguable"] + total["false"]
    shares = {one: f"{total[one] / said:.1%}" for one in columns[:3]}
    print(
        f"\nOf {said} judged findings {shares['true']} are true, {shares['arguable']} arguable, {shares['false']} "
        f"false. The first nine libraries took {seconds:.0f} s of one core together. All "
        f"{len(FRONT_ENDS)} lines of front ends that are known to sample were found, none of those that antialias.\n"
    )
    print("| library | rule | finding | judgement | why |\n|---|---|---|---|---|")
    groups = {}
    for name, one in findings:
        verdict, why = judged.get(_key(name, one), ("not judged", ""))
        if verdict in ("arguable", "false"):
            groups.setdefault((name.partition("/")[0], one.code, verdict, why), []).append(name)
    for (package, code, verdict, why), names in sorted(groups.items()):
        files = dict.fromkeys(Path(one).name for one in names)
        shown = ", ".join(f"`{one}`" for one in list(files)[:4]) + (" …" if len(files) > 4 else "")
        print(f"| {package} | {code} | {len(names)} in {shown} | {verdict} | {why} |")


if __name__ == "__main__":
    main()
