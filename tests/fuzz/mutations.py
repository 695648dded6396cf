"""Inputs that are almost right: what can be made of a valid value, text or file by changing a few places of it."""

import copy
import json
import string

from hypothesis import strategies as st

DEEP = "<deep>"
"""Stands for a list of lists of lists, more than any reader can follow; put in as text."""
STRANGE = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", "\0", "..", "../../outside", "/etc/passwd", "\ud800", "\x1b[2J\x1b]0;taken\a", "<script>alert(1)</script>"),
    *("{x.__class__}", "%s%n", "${HOME}", "naïve ü 漢字 🤖", "a" * 3000, DEEP, [], {}, [[]], [None], {"": None}, ["x", 1]),
]
"""Values that were not expected."""
INTEGERS = [0, 1, 127, 128, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


@st.composite
def values(draw, valid):
    """A JSON-able value with one to four places changed: left out, swapped, wrapped, renamed, or something strange."""
    value = [copy.deepcopy(valid)]
    for _ in range(draw(st.integers(1, 4))):
        _change(draw, value, *_place(draw, value))
    return value[0]


def _place(draw, value):
    places = _places(value)
    return places[draw(st.integers(0, len(places) - 1))]


def _places(value):
    """(container, key) of every value within a value."""
    out = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    return out + [place for parent, key in out if isinstance(parent[key], dict | list) for place in _places(parent[key])]


def _change(draw, root, parent, key):
    kind = draw(st.sampled_from(("strange", "strange", "drop", "wrap", "swap", "rename", "text", "number", "repeat")))
    if kind == "drop" and parent is not root:
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = parent.pop(key)
    elif kind == "swap":
        other, place = _place(draw, root)
        parent[key] = copy.deepcopy(other[place])
    elif kind == "repeat" and isinstance(parent, list) and parent is not root:
        parent.extend([copy.deepcopy(parent[key])] * draw(st.integers(1, 5)))
    else:
        parent[key] = copy.deepcopy(draw(_instead(kind, parent[key])))


def _instead(kind, value):
    if kind == "wrap":
        return st.sampled_from(([value], {"a": value}, str(value), [value, value]))
    if kind == "text":
        return st.text(st.characters(codec=None), max_size=40)
    if kind == "number":
        return st.one_of(st.integers(), st.floats(), st.sampled_from(INTEGERS))
    return st.sampled_from(STRANGE)


def as_json(value):
    """The value as JSON text, what JSON has no word for included."""
    return json.dumps(value).replace(json.dumps(DEEP), "[" * 100_000 + "]" * 100_000)


def documents(valid):
    """JSON files, in bytes, made of a valid value: changed in places, or damaged as a file."""
    whole = json.dumps(valid).encode()
    return st.one_of(values(valid).map(lambda value: as_json(value).encode()), damaged(whole))


def lines(*valid):
    """Files of JSON lines, made of valid ones."""
    return st.lists(st.one_of(*(documents(one) for one in valid)), max_size=4).map(b"\n".join)


@st.composite
def damaged(draw, valid, most=6):
    """Bytes of a valid file with up to `most` places damaged; seldom anything at all."""
    if draw(st.integers(0, 49)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(valid)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3, most]))):
        _damage(draw, data)
    return bytes(data)


def _damage(draw, data):
    at = draw(st.integers(0, len(data)))
    if draw(st.booleans()):
        at = min(at, draw(st.integers(0, 64)))  # lengths and types stand in front
    kind = draw(st.sampled_from(("byte", "byte", "integer", "cut", "insert", "delete", "repeat")))
    if kind == "byte":
        data[at : at + 1] = bytes([draw(st.integers(0, 255))])
    elif kind == "integer":
        size, order = draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from(("little", "big")))
        data[at : at + size] = (draw(st.sampled_from(INTEGERS)) % 2 ** (8 * size)).to_bytes(size, order)
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = draw(st.binary(min_size=1, max_size=16))
    elif kind == "delete":
        del data[at : at + draw(st.integers(1, 32))]
    else:
        data[at:at] = data[at : at + draw(st.integers(1, 64))] * draw(st.integers(1, 3))


def texts(*valid):
    """Texts, in bytes, made of valid ones: as files damaged, or put together anew of their own words."""
    words = sorted({word for one in valid for word in one.replace(",", " , ").split()})
    strange = [value for value in STRANGE if isinstance(value, str) and value != "\ud800"]
    pieces = st.sampled_from([*words, *strange, *string.punctuation, "\n", "\n  ", "\t", "1e999", "9" * 5000])
    anew = st.lists(pieces, max_size=40).map(lambda chosen: " ".join(chosen).encode())
    return st.one_of(*(damaged(one.encode()) for one in valid), anew)
