// The token stands in the fragment, which no server sees. It goes only to the game's own server.
"use strict";

const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
const shown = (id) => document.getElementById(id);
let currencyCode = "";

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, ...body }),
  });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function show(balance, message) {
  if (balance !== null) shown("balance").textContent = `Balance ${balance} ${currencyCode}`;
  shown("message").textContent = message;
}

async function open() {
  const answer = await post("/sessions", {});
  if (answer.code !== "OK") return show(null, answer.reason || answer.code);
  currencyCode = answer.response.gameSession.currencyCode;
  show(answer.response.balance.minorUnits || "0", "");
  shown("spin").disabled = false;
}

async function spin(event) {
  event.preventDefault();
  shown("spin").disabled = true;
  try {
    const stake = Number(shown("stake").value);
    const round = await post("/spins", { currency_code: currencyCode, stake_minor_units: stake });
    if (round.symbols.length > 0) shown("reels").textContent = round.symbols.join(" ");
    const failed = round.code === "OK" ? "" : round.reason || round.code;
    show(round.symbols.length > 0 ? round.balance_minor_units : null, failed);
  } catch (error) {
    show(null, String(error));
  } finally {
    shown("spin").disabled = false;
  }
}

shown("form").addEventListener("submit", spin);
open().catch((error) => show(null, String(error)));
