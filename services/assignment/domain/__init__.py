"""The rules of assignment: pure, synchronous, deterministic. Time, ids and draws are arguments.

`facts` are folded into an `aggregate` (any order between topics gives the same one), `decide` makes each decision once.
"""
