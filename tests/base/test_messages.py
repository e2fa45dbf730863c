"""How messages speak of many things, and of what others said in several lines."""

from mcmi_core.base.errors import DataError
from mcmi_core.base.messages import some, without_breaks


def test_the_first_few_are_named():
    assert some([]) == ""
    assert some(list("abcde")) == "a, b, c, d, e"
    assert some(list("abcdef"), "; ") == "a; b; c; d; e; and 1 more"
    assert some({3: "x", None: "y"}) == "3, None"
    assert some(["a"] * 2005).endswith("a, and 2,000 more")


def test_a_message_of_several_lines_becomes_one():
    assert without_breaks(DataError("no such\n\tfolder\r\n here ")) == "no such folder here"
