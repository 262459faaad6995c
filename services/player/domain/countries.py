"""Countries, and from which age on their residents may gamble."""

_ASSIGNED = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW
    GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM
    ZW
"""
COUNTRIES = frozenset(_ASSIGNED.split())
"""The codes that ISO 3166-1 alpha-2 has assigned."""

_AGE_MIN = 18
# Where the age depends on the game or the region, the highest one stands here: an account is good
# for all games.
_AGE_MIN_ELSEWHERE = {
    "BE": 21,  # Act of 18 February 2024, in force since 1 September 2024: casino and betting.
    "CA": 19,  # Set by each province: 19 in most, 18 in Alberta, Manitoba and Quebec.
    "EE": 21,  # Gambling Act (Hasartmänguseadus): games of chance 21, totalisators 18.
    "GE": 25,  # Amendments of December 2021 to the law on lotteries and games of chance.
    "GR": 21,  # Law 4002/2011: all games of chance but lotteries.
    "LT": 21,  # Gambling Law (Azartinių lošimų įstatymas): casino games.
    "SG": 21,  # Gambling Control Act 2022: casinos, and remote gambling.
    "UA": 21,  # Law 768-IX of 14 July 2020 on state regulation of gambling.
    "US": 21,  # Set by each state: 21 for online casinos wherever these are licensed.
}


def age_min(country_code: str) -> int:
    """Returns the age from which residents of a country may gamble."""
    return _AGE_MIN_ELSEWHERE.get(country_code, _AGE_MIN)
