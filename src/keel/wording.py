"""Numbers, units, lists and outcomes as readers see them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

SYMBOLS = {"passed": "✓", "failed": "✗", "noted": "○", "skipped": "–"}
"""Shown beside the word, so that no outcome is conveyed by colour alone."""
OUTCOMES = {"passed": "passed", "failed": "failed", "noted": "for information", "skipped": "not tested"}
"""Outcomes of probes in words."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, in powers of ten if it is very large or small."""
    if value is None or math.isnan(value):
        return "not found"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return text.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−") if "." in mantissa else mantissa.replace("-", "−")
    return {"1": power, "−1": f"−{power}"}.get(mantissa, f"{mantissa} × {power}")


def typeset(text: str) -> str:
    """Return a text with angstrom and powers as they are printed: ``angstrom^3`` becomes ``Å³``."""
    text = re.sub(r"\bangstroms?\b", "Å", text)
    return re.sub(r"(?<=\w)\^(-?\d+)", lambda found: found.group(1).translate(SUPERSCRIPTS), text)


def capitalised(text: str) -> str:
    """Return a text with a capital in front, unless it begins with a symbol such as g(r)."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]{2}|a ", text) else text


def a(noun: str) -> str:
    """Return ``an int``, ``a dict``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def listed(words: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shortened(words: Sequence[str], most: int) -> list[str]:
    """Return the words, or if there are more than ``most`` the first ones and the number of the others."""
    return list(words) if len(words) <= most else [*words[: most - 1], f"{len(words) - most + 1} more"]


def counted(counts: Iterable[tuple[str, int]], noun: str, most: int = 6) -> str:
    """Return names with their numbers: ``edi (200 frames), sod (1) and 10 more``."""
    words = [f"{name} ({n:,}{f' {noun}' + 's' * (n != 1) if k == 0 else ''})" for k, (name, n) in enumerate(counts)]
    return listed(shortened(words, most))


def duration(seconds: float) -> str:
    """Return a time for readers: ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``12 days``."""
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(whole, 60)
    if minutes >= 72 * 60:
        return f"{round(minutes / 1440):,} days"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def bytes_text(size: float) -> str:
    """Return a number of bytes for readers: ``"2.2 GB"``, ``"430 MB"``."""
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
