"""Decimal numbers in text, read to the nearest float as machine code.

Source: D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exp. 51, 1700 (2021), after Clinger and Eisel:
the product of up to 19 digits with a power of five in 128 bits decides the nearest float, or says that it cannot.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from keel.jit import exact_kernel

U = nb.uint64
I = nb.int64  # noqa: E741
LEAST, MOST = -300, 280
"""Powers of ten; numbers beyond are parsed elsewhere."""


def _powers() -> Any:
    """Return 5^q for each power q, cut off after 128 bits, as two words each, shape (powers, 2)."""
    rows = []
    for q in range(LEAST, MOST + 1):
        if q >= 0:
            value = 5**q << 128
            value >>= value.bit_length() - 128
        else:
            divisor = 5**-q
            bits = divisor.bit_length() + (127 if q >= -27 else 0)
            if q < -27:
                bits = 2 * divisor.bit_length() + 128
            value = (1 << bits) // divisor + 1
            value >>= max(0, value.bit_length() - 128)
        rows.append((value >> 64, value & (1 << 64) - 1))
    return np.array(rows, dtype=np.uint64)


POWERS = _powers()
EXACT = np.array([10.0**k for k in range(23)])


@exact_kernel
def high_product(a: Any, b: Any) -> Any:
    """Return the upper and the lower half of the product of two words."""
    mask = U(0xFFFFFFFF)
    a1, a0, b1, b0 = a >> U(32), a & mask, b >> U(32), b & mask
    low, one, two, high = a0 * b0, a0 * b1, a1 * b0, a1 * b1
    middle = (low >> U(32)) + (one & mask) + (two & mask)
    return high + (one >> U(32)) + (two >> U(32)) + (middle >> U(32)), (middle << U(32)) | (low & mask)


@exact_kernel
def nearest(digits: Any, power: Any) -> Any:
    """Return the float next to ``digits`` x 10^``power``, and whether it is sure."""
    if digits <= U(1 << 53) and -22 <= power <= 22:
        # Both are floats themselves, so that the result is rounded once.
        return (float(digits) * EXACT[power] if power >= 0 else float(digits) / EXACT[-power]), True
    if digits == U(0) or power < LEAST or power > MOST:
        return 0.0, digits == U(0)
    zeros, scaled = I(0), digits
    for shift in (32, 16, 8, 4, 2, 1):
        if scaled >> U(64 - shift) == U(0):
            scaled = scaled << U(shift)
            zeros += shift
    high, low = high_product(scaled, POWERS[power - LEAST, 0])
    if high & U(0x1FF) == U(0x1FF):
        more, _ = high_product(scaled, POWERS[power - LEAST, 1])
        low = low + more
        if low < more:
            high = high + U(1)
    if low == U(0xFFFFFFFFFFFFFFFF) and (power < -27 or power > 55):
        return 0.0, False
    upper = high >> U(63)
    mantissa = high >> (upper + U(9))
    exponent = ((I(217706) * power) >> 16) + I(63) + I(upper) - zeros
    if exponent < -1000 or exponent > 1000:
        return 0.0, False
    halfway = low <= U(1) and -4 <= power <= 23 and mantissa & U(3) == U(1)
    if halfway and mantissa << (upper + U(9)) == high:
        mantissa = mantissa - U(1)
    mantissa = (mantissa + (mantissa & U(1))) >> U(1)
    return math.ldexp(float(mantissa), exponent - 52), True


@exact_kernel
def real(text: Any, start: Any, end: Any) -> Any:
    """Return the float between two places of a text, and whether it certainly is one."""
    at = start
    negative = at < end and text[at] == 45
    if at < end and (text[at] == 45 or text[at] == 43):
        at += 1
    digits, seen, used, power = U(0), False, 0, I(0)
    after = False
    while at < end:
        c = text[at]
        if 48 <= c <= 57:
            seen = True
            if used > 0 or c != 48:
                used += 1
            if used > 19:
                return 0.0, False
            digits = digits * U(10) + U(c - 48)
            if after:
                power -= 1
        elif c == 46 and not after:
            after = True
        else:
            break
        at += 1
    if not seen:
        return 0.0, False
    if at < end:
        if text[at] != 101 and text[at] != 69:
            return 0.0, False
        at += 1
        down = at < end and text[at] == 45
        if at < end and (text[at] == 45 or text[at] == 43):
            at += 1
        if at == end or end - at > 4:
            return 0.0, False
        more = I(0)
        while at < end:
            if text[at] < 48 or text[at] > 57:
                return 0.0, False
            more = more * 10 + I(text[at] - 48)
            at += 1
        power += -more if down else more
    value, sure = nearest(digits, power)
    return (-value if negative else value), sure
