"""What a scaled array is, by the names around it: a picture, a label map (nearest is right there), or a network's
inner values.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from ..trace.live.labels import MASKS, words
from .tree import CallSite, Scope
from .values import Thunk

__all__ = [
    "blurred",
    "enlarging",
    "in_module",
    "in_part",
    "keeps_scale",
    "names_larger",
    "role",
    "used_on_masks",
    "words",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of names, in lower case, like MASKS.
# What a network computes, or what is no picture at all.
INNER = _words(
    """
    feature features feat feats fmap hidden logit logits embed embeds embedding embeddings pos posemb posembed
    position positional latent latents attn attention heatmap heatmaps heat depth disparity disp flow flows prob
    probs score scores pred preds prediction predictions noise grid weight weights kernel token tokens residual
    skip cam saliency coords prior query queries encoding activation activations density confidence conf offset
    offsets audio mel spectrogram waveform wave signal bias table codes context cond conditioning memory proj
    output outputs out state states tensor3d value volume warp error energy cumulative fpn upsampled temb rel
    durations f0 lowres correlation corr emb pe normal normals point points cls result results recon shortcut
    loss argmax height gaussian prompt similarity homography displacement field reconstruction intermediate dem
    mean std var matting background foreground
    """
)
PICTURES = _words(
    """
    image images img imgs im ims picture pictures photo photos pixel pixels frame frames video videos rgb bgr
    gray grey crop crops face faces thumbnail screenshot canvas patch tile clip pic
    """
)
# These win even where the name ends in a picture's word: depth_image, attention_image.
STRONG = _words(
    """
    pos embedding embeddings mean depth disparity flow heatmap attention attn logits embed embeds features
    latent
    """
)
LARGER = _words(
    """
    up upsample upsampled upsampling upscale upscaling upscaled enlarge upres
    """
)
BLURS = ("blur", "gaussian_filter", "boxfilter", "unsharp", "antialias_filter", "lowpass", "gaussianblur", "pyrdown")


def _named(name: str) -> str:
    """The role that one name says: picture, mask, inner, or nothing."""
    found = words(name)
    if not found:
        return ""
    last = found[-1]
    if any(one in MASKS for one in found):
        return "mask"
    if last in PICTURES or (last == "values" and "pixel" in found):
        return "inner" if any(one in STRONG for one in found) else "picture"
    if any(one in INNER for one in found):
        return "inner"
    return "picture" if any(one in PICTURES for one in found) else ""


def names_of(node: ast.expr) -> list[str]:
    """The names that an expression is about, the most telling first."""
    found: list[str] = []
    for _ in range(12):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                module = isinstance(function.value, ast.Name) and function.value.id in _MODULES
                if module and node.args:
                    node = node.args[0]
                    continue
                if not module:
                    node = function.value
                    continue
            elif node.args:
                node = node.args[0]
                continue
            return found
        if isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                found.append(node.slice.value)
            elif isinstance(node.slice, ast.Name):
                found.append(node.slice.id) if _named(node.slice.id) == "mask" else None
            node = node.value
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
            node = node.value
        elif isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, ast.Name):
            return [*found, node.id]
        else:
            return found
    return found


_MODULES = {"np", "numpy", "tf", "torch", "Image", "cv2", "jnp", "F", "PIL", "einops", "ops", "kornia", "cv"}


def role(subject: Thunk | None, site: CallSite) -> str:
    """``"picture"``, ``"mask"``, ``"inner"`` (a network's values, or no picture at all) or ``""``: nothing says it."""
    said = [_named(one) for one in names_of(subject.node)] if subject is not None else []
    own = next((one for one in said if one), "")
    around = _around(site.scope)
    if (own != "mask" and {"post", "process"} <= set(words(around))) or "postprocess" in around:
        return "inner"  # what a model gave is made as large as the picture
    if own == "mask" or (own == "" and "mask" in said):
        return "mask"
    if subject is not None and _integers(subject.node):
        return "mask"
    given = [_named(one) for one in site.labels]
    if own != "picture" and "mask" in given:
        return "mask"
    if own != "picture" and own == "" and "inner" in given and "picture" not in given:
        return "inner"
    around = _named(_around(site.scope))
    if own == "":
        return around if around in ("mask", "inner") else ("picture" if "picture" in given else "")
    if own == "picture" and _masks_alone(site):
        return "mask"
    return own


def _around(scope: Scope) -> str:
    function = scope.function()
    return function.name if function is not None else ""


def _masks_alone(site: CallSite) -> bool:
    """Whether the function around, or the name that the result gets, speaks of masks and not of pictures."""
    names = [_around(site.scope), *site.labels]
    return any(_says_mask(one) for one in names if one)


def _says_mask(name: str) -> bool:
    found = set(words(name))
    return bool(found & {"mask", "masks", "segmentation", "labelmap", "trimap"}) and not found & PICTURES


def _integers(node: ast.expr) -> bool:
    """Whether an array is cast to integers that pictures are not made of: labels."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            if one.func.attr in ("long", "argmax"):
                return True
            if one.func.attr in ("astype", "to", "cast", "type"):
                texts = [ast.unparse(argument) for argument in [*one.args, *(k.value for k in one.keywords)]]
                if any(re.search(r"\b(int32|int64|long|int16|bool)\b|^int$", text) for text in texts):
                    return True
    return False


def enlarging(site: CallSite) -> bool:
    """Whether the function around, or the result's name, says that it makes things larger."""
    names = [_around(site.scope), *site.labels, *(one.name for one in site.scope.around() if one.kind == "class")]
    return any(set(words(one)) & (LARGER | BACK) for one in names)


# What is scaled to the size from which it came was made from the picture, and is none.
BACK = _words("orig ori original back")
# Names of what turns, shears or moves.
MOVES = _words("rotate rotation rotated translate translation shear sheared flip shift")


def keeps_scale(site: CallSite) -> bool:
    """Whether the function or class around says that it turns, shears or moves, and not that it scales."""
    said = {word for one in site.scope.around() if one.name for word in words(one.name)}
    return bool(said & MOVES) and not said & {"affine", "scale", "perspective", "zoom"}


# Parts of a network, whose input is never the picture itself.
_PARTS = _words(
    """
    block layer attention head neck stage decoder up down conv embed embedding embeddings fpn fusion pooling
    pool aspp segmenter backbone bottleneck adapter mlp msfa pyramid unet
    """
)


def names_larger(thunk: Thunk | None) -> bool:
    """Whether a size is made by a factor whose name says that it enlarges: ``height * self.upscale``."""
    if thunk is None:
        return False
    names = (one.id if isinstance(one, ast.Name) else one.attr for one in ast.walk(thunk.node)
             if isinstance(one, (ast.Name, ast.Attribute)))  # fmt: skip
    return any(set(words(one)) & (LARGER | BACK) for one in names)


def used_on_masks(site: CallSite, sites: Iterable[CallSite]) -> bool:
    """Whether the transform that ``site`` makes is called on masks alone, in the same function."""
    uses = [one for one in sites if one.scope.function() is site.scope.function() and one.line >= site.line]
    roles = [
        role(Thunk(argument, one.scope, one.block, one.line), one)
        for one in uses
        for argument in [*one.node.args[:1], *(keyword.value for keyword in one.node.keywords[:1])]
    ]
    return bool(roles) and all(one == "mask" for one in roles)


def in_part(scope: Scope) -> bool:
    """Whether the class around is named as a part of a network that sees no picture."""
    owner = scope.class_()
    return owner is not None and bool(set(words(owner.name)) & _PARTS)


def in_module(scope: Scope) -> bool:
    """Whether the code belongs to a network: a class with a forward or call method of its own."""
    owner = scope.class_()
    if owner is None:
        return False
    node = owner.node
    bases = [ast.unparse(one) for one in node.bases] if isinstance(node, ast.ClassDef) else []
    module = any(
        re.search(r"(Module|Sequential|Segmenter|Model|Layer|Backbone|Encoder|Decoder|Block|Net|Head|Mixin)$", one)
        for one in bases
    )
    return module and ("forward" in owner.names or "call" in owner.names or bool(bases))


def blurred(subject: Thunk | None, site: CallSite) -> bool:
    """Whether the picture was blurred just before, in the same expression or by its last assignment."""
    if subject is None:
        return False
    if _blurs(subject.node):
        return True
    if isinstance(subject.node, ast.Name):
        scope = next((one for one in subject.scope.around() if subject.node.id in one.names), None)
        bindings = [one for one in scope.names[subject.node.id] if one.line <= site.line] if scope else []
        return any(isinstance(one.node, ast.expr) and _blurs(one.node) for one in bindings[-2:])
    return False


def _blurs(node: ast.expr) -> bool:
    return any(
        isinstance(one, (ast.Name, ast.Attribute))
        and any(word in (one.id if isinstance(one, ast.Name) else one.attr).lower() for word in BLURS)
        for one in _calls(node)
    )


def _calls(node: ast.expr) -> Iterable[ast.expr]:
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield one.func
            yield from (argument.func for argument in one.args if isinstance(argument, ast.Call))
