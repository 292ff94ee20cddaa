"""What runs inside a traced process. Imports the standard library alone, and nothing of the package around it.

A traced script must not load what it would not load itself, and ``import secure_resize`` loads numpy. So
``inject/sitecustomize.py`` loads this folder as a package of its own, and its modules import each other alone.
"""
