"""Decimal numbers in text, read to the nearest float as machine code.

Source: D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exp. 51, 1700 (2021), after Eisel: the product
of up to 19 digits with a power of five in 128 bits decides the nearest float, or says that it cannot.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from keel.jit import exact_kernel

U = nb.uint64
I = nb.int64  # noqa: E741
LEAST, MOST = -300, 280
"""Powers of ten; numbers beyond are left to others."""


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
    """Return the bits of the float next to ``digits`` x 10^``power`` (without sign), and whether they are sure."""
    if digits == U(0):
        return U(0), True
    if power < LEAST or power > MOST:
        return U(0), False
    zeros, scaled = I(0), digits
    while scaled < U(0x8000000000000000):
        scaled = scaled << U(1)
        zeros += 1
    high, low = high_product(scaled, POWERS[power - LEAST, 0])
    if high & U(0x1FF) == U(0x1FF):
        more, _ = high_product(scaled, POWERS[power - LEAST, 1])
        low = low + more
        if low < more:
            high = high + U(1)
    if low == U(0xFFFFFFFFFFFFFFFF) and (power < -27 or power > 55):
        return U(0), False
    upper = high >> U(63)
    mantissa = high >> (upper + U(9))
    exponent = ((I(217706) * power) >> 16) + I(63) + I(upper) - zeros + I(1023)
    if exponent <= 0:
        return U(0), False
    halfway = low <= U(1) and -4 <= power <= 23 and mantissa & U(3) == U(1)
    if halfway and mantissa << (upper + U(9)) == high:
        mantissa = mantissa - U(1)
    mantissa = (mantissa + (mantissa & U(1))) >> U(1)
    if mantissa >= U(1) << U(53):
        mantissa = U(1) << U(52)
        exponent += 1
    if exponent >= 2047:
        return U(0), False
    return (mantissa & U(0xFFFFFFFFFFFFF)) | (U(exponent) << U(52)), True


@exact_kernel
def real(text: Any, start: Any, end: Any) -> Any:
    """Return the bits of the float that stands between two places of a text, and whether one does for sure."""
    at, sign = start, U(0)
    if at < end and (text[at] == 45 or text[at] == 43):
        sign = U(0x8000000000000000) if text[at] == 45 else U(0)
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
                return U(0), False
            digits = digits * U(10) + U(c - 48)
            if after:
                power -= 1
        elif c == 46 and not after:
            after = True
        else:
            break
        at += 1
    if not seen:
        return U(0), False
    if at < end:
        if text[at] != 101 and text[at] != 69:
            return U(0), False
        at += 1
        down = at < end and text[at] == 45
        if at < end and (text[at] == 45 or text[at] == 43):
            at += 1
        if at == end or end - at > 4:
            return U(0), False
        more = I(0)
        while at < end:
            if text[at] < 48 or text[at] > 57:
                return U(0), False
            more = more * 10 + I(text[at] - 48)
            at += 1
        power += -more if down else more
    bits, sure = nearest(digits, power)
    return bits | sign, sure
