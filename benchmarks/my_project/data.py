"""The README's pipeline, as a project of its own would hold it."""

from secure_resize.integrations.torchvision import v2

transform = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
