"""What references are as numbers: one i32, in slots, in memory and in tokens.

    0                         null
    1 ... 2^30 - 1            where in the heap an object begins; or the number of a function or of an exception
    2^30 + n + 1              the host's value n as an anyref
    2^31 + v                  an i31ref with the number v, of 31 bits

Of an externref a host's value n is n + 1, and objects are at 2^30 and where they begin; so `any.convert_extern` and
`extern.convert_any` exchange the two by changing one bit, and leave null and i31 references as they are.
"""

OUTSIDE, NUMBER = 2**30, 2**31
