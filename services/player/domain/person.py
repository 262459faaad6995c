"""Who somebody is: names, birth dates and addresses, and when two of them are the same person."""

import hashlib
import unicodedata
from datetime import date

# Nobody was ever older. A birth date before that is a mistake of the pen, not a player.
_AGE_MAX = 125
_SEPARATOR = "\n"


def age_on(day: date, date_of_birth: date) -> int:
    """Counts the full years of life on a day.

    Who was born on 29 February completes a year on 1 March where the year has no such day.
    """
    had_birthday = (day.month, day.day) >= (date_of_birth.month, date_of_birth.day)
    return day.year - date_of_birth.year - (not had_birthday)


def is_credible_birth(date_of_birth: date, *, today: date) -> bool:
    """Tells whether somebody who was born then can be alive today."""
    return date_of_birth <= today and age_on(today, date_of_birth) <= _AGE_MAX


def is_one_line(text: str) -> bool:
    """Tells whether a text holds no control characters, which no name or address has."""
    return not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)


def normalized_name(name: str) -> str:
    """Reduces a name to what stays the same however a person types it.

    Case, accents, spaces, hyphens and apostrophes go; letters of all scripts stay, with the vowel
    signs that some scripts write as marks. Empty if the name has no letter.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(
        character
        for character in decomposed
        if unicodedata.category(character)[0] in "LMN" and not unicodedata.combining(character)
    )


def person_digest(
    *, given_name: str, family_name: str, date_of_birth: date, country_code: str
) -> bytes:
    """Returns what two registrations of one person have in common.

    A digest, so that a database that reports a duplicate does not report a name.
    """
    parts = (
        normalized_name(given_name),
        normalized_name(family_name),
        date_of_birth.isoformat(),
        country_code,
    )
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()


def email_digest(email: str) -> bytes:
    """Returns what two spellings of one address have in common: case does not matter."""
    return hashlib.sha256(email.lower().encode()).digest()
