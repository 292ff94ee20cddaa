"""``secure-resize inspect``: one picture file as front ends read and scale it, drawn beside the robust version.

``readings`` are the ways in which a file is read, ``look`` what each front end makes of them and how suspicious that
is, ``text`` what can be read in that alone, ``picture`` draws it, ``work`` does all of it for the command.
"""
