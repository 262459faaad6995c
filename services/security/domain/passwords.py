"""Which passwords are refused because attackers try them first (NIST SP 800-63B 5.1.1.2).

The rules describe families, not a list of strings: `Passw0rd2027!`, `qwertyuiop12` and
`aaaaaaaaaaaa` are caught because of what they are made of.
"""

import re
import string

from services.security.domain.credentials import normalised_email, normalised_password

LENGTH_MIN = 10

# What lists of leaked passwords begin with, by theme; digits and signs around a word do not count,
# nor do look-alikes inside it, nor that two or three words stand together.
_WORD_LIST = """
    access account admin administrator changeme default demo guest hello hidden login
    logmein manager master mypassword mypass nopassword pass passphrase passwd password passwort
    private root secret secure security superuser sysadmin system temp temporary test tester testing
    user username welcome wachtwoord contrasena motdepasse parola senha letmein letmeinnow
    openup trustno trustnoone whatever iloveyou loveyou iloveu love lover lovely baby babygirl
    babyboy honey sweetheart darling princess prince queen king angel sunshine sunflower flower
    rainbow butterfly chocolate cookie candy cheese banana orange apple pepper ginger
    football baseball basketball soccer hockey tennis golf volleyball cricket rugby liverpool
    chelsea arsenal barcelona realmadrid juventus manchester yankees lakers eagles cowboys steelers
    monkey dragon tiger lion eagle falcon phoenix panther wolf bear shark dolphin turtle horse kitty
    doggy puppy chicken
    superman batman spiderman ironman hulk starwars startrek pokemon pikachu naruto minecraft
    fortnite matrix ninja samurai warrior hunter ranger killer shadow ghost wizard legend
    michael jennifer jessica ashley daniel thomas joshua matthew andrew robert charlie jordan
    michelle nicole george samantha amanda hannah maggie buster bailey harley
    summer winter spring autumn monday tuesday wednesday thursday friday saturday sunday january
    february march april june july august september october november december
    computer internet google facebook instagram youtube twitter microsoft windows samsung android
    iphone linux ubuntu
    money dollar euro bitcoin crypto million millionaire rich lucky luck winner jackpot casino
    croupier poker roulette blackjack slots betting gambling bonus dealer
    freedom peace heaven jesus blessed fuckyou fuckoff asshole bitch biteme mustang corvette ferrari
    porsche mercedes
"""
_WORDS = frozenset(_WORD_LIST.split())

_RUNS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "qazwsxedcrfvtgbyhnujmik",
)
_BOTH_WAYS = (*_RUNS, *(run[::-1] for run in _RUNS))
_RUN_LENGTH_MIN = 3
_RUN_LENGTH_MAX = max(len(run) for run in _RUNS)
_REPEATED_UNIT_MAX = 6
_DISTINCT_MIN = 4
_LEFT_OVER_MIN = 4
_WORDS_MAX = 3
_AROUND = string.digits + string.punctuation + string.whitespace
# The longest word is an address's own.
_WORD_LENGTH_MAX = 254
_CONTEXT_LENGTH_MIN = 3
# A one stands for two letters.
_LOOKALIKES = (
    str.maketrans("013457@$!|", "oleastasil"),
    str.maketrans("013457@$!|", "oieastasil"),
)


def is_common(password: str, *, email: str) -> bool:
    """Tells whether a password is one that attackers try first, for this address or for anybody."""
    plain = normalised_password(password).casefold()
    return (
        len(set(plain)) < _DISTINCT_MIN
        or _is_repetition(plain)
        or _is_made_of_runs(plain)
        or _is_made_of_words(plain, _WORDS | _context(email))
    )


def _is_repetition(plain: str) -> bool:
    return any(
        plain == (plain[:unit] * len(plain))[: len(plain)]
        for unit in range(1, min(_REPEATED_UNIT_MAX, len(plain) // 2) + 1)
    )


def _is_made_of_runs(plain: str) -> bool:
    """Tells whether little is left without the stretches that follow an alphabet or a keyboard."""
    left_over = 0
    at = 0
    while at < len(plain):
        ahead = plain[at : at + _RUN_LENGTH_MAX]
        length = max(_run_length(ahead, run) for run in _BOTH_WAYS)
        if length >= _RUN_LENGTH_MIN:
            at += length
        else:
            left_over += 1
            at += 1
    return left_over < _LEFT_OVER_MIN


def _run_length(text: str, run: str) -> int:
    """Returns how many characters of `text`, from its start, stand side by side in `run`."""
    start = run.find(text[0])
    longest = 0
    while start >= 0:
        length = 0
        for given, expected in zip(text, run[start:], strict=False):
            if given != expected:
                break
            length += 1
        longest = max(longest, length)
        start = run.find(text[0], start + 1)
    return longest


def _is_made_of_words(plain: str, words: frozenset[str]) -> bool:
    """Tells whether the letters are one to three of the words, whatever digits surround them."""
    return any(
        _splits(re.sub(r"[\W\d_]", "", form), words, left=_WORDS_MAX)
        for form in (plain, *_undisguised(plain))
    )


def _undisguised(plain: str) -> list[str]:
    """Reads look-alikes inside the word as letters, and takes away what surrounds it."""
    inner = plain.strip(_AROUND)
    # A word may also begin with a look-alike: `$ecret`, `1loveyou`.
    before = plain[: plain.find(inner)][-1:]
    return [form.translate(table) for form in (inner, before + inner) for table in _LOOKALIKES]


def _splits(letters: str, words: frozenset[str], *, left: int) -> bool:
    if not letters:
        return left < _WORDS_MAX
    return left > 0 and any(
        letters[:length] in words and _splits(letters[length:], words, left=left - 1)
        for length in range(1, min(len(letters), _WORD_LENGTH_MAX) + 1)
    )


def _context(email: str) -> frozenset[str]:
    """Returns the words that the address itself gives away, also backwards."""
    local, _, domain = normalised_email(email).partition("@")
    parts = [local, *re.split(r"[\W\d_]+", local), *domain.split(".")[:-1]]
    letters = (re.sub(r"[\W\d_]", "", part) for part in parts)
    known = [part for part in letters if len(part) >= _CONTEXT_LENGTH_MIN]
    return frozenset((*known, *(part[::-1] for part in known)))
