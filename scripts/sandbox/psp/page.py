"""The payer's page."""

from html import escape
from urllib.parse import parse_qs

from scripts.sandbox.psp.checkouts import Checkout

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox checkout</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 10vh auto }}
input, button {{ font: inherit; padding: .5rem; width: 100%; box-sizing: border-box }}
button {{ margin-top: .75rem }}
small {{ color: #666 }}
</style>
</head>
<body>
<h1>Sandbox checkout</h1>
<p>{amount} minor units of {currency}<br><small>Reference {reference}</small></p>
{content}
</body>
</html>
"""
_FORM = """<form method="post" action="/checkouts/{id}:pay">
<label>Card number <input name="card_number" inputmode="numeric" autocomplete="off"
 value="4242 4242 4242 4242" required></label>
<button>Pay</button>
</form>
<p><small>4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined,
4000 0000 0000 9995 has no funds. No money moves.</small></p>"""


def render(checkout: Checkout) -> str:
    """Renders the page: a form while the checkout is open, then how it ended."""
    if checkout.state == "open":
        content = _FORM.format(id=escape(checkout.id))
    elif checkout.state == "succeeded":
        content = f"<p>Paid. Authorization {escape(checkout.authorization_number)}.</p>"
    else:
        content = f"<p>Not paid: {escape(checkout.failure)}.</p>"
    if checkout.state != "open" and checkout.order.return_url:
        link = escape(checkout.order.return_url, quote=True)
        content += f'<p><a href="{link}" rel="noreferrer">Back to the merchant</a></p>'
    return _PAGE.format(
        amount=checkout.order.amount_minor_units,
        currency=escape(checkout.order.currency),
        reference=escape(checkout.order.reference),
        content=content,
    )


def card_number(form: bytes) -> str:
    """Reads the card number out of the posted form; empty if there is none."""
    return parse_qs(form.decode("latin-1")).get("card_number", [""])[0]
