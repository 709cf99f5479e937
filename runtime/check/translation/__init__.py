"""Translation validation: that the steps of a function do what its instructions do, without running either.

Both are walked together, from one event (an access, a branch, a call, a trap, an end) to the next. In between they only
move values and compute pure ones, which become names: equal names are equal values. At an event both sides must do the
same thing with the same names. So nothing here computes with the program's values, and nothing is believed that the
compiler says of its own steps: which instructions there are to answer for comes from the module.
"""

from .check import TranslationCheck
from .function import FunctionCheck, Mistranslation
from .rules import RULES, rule_of

__all__ = ["RULES", "FunctionCheck", "Mistranslation", "TranslationCheck", "rule_of"]
