// Replaces what is live every few seconds. The server escapes every value; nothing is built from text here.
"use strict";
const EVERY_MS = 5000;
const contact = document.getElementById("contact");
let seen = Date.now();

async function refresh() {
  try {
    const answer = await fetch("/status/live" + location.search, { cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    document.getElementById("live").replaceWith(fresh);
    seen = Date.now();
    contact.textContent = "";
  } catch (error) {
    contact.textContent = "No answer for " + Math.round((Date.now() - seen) / 1000) + " s; what you see is old.";
  }
}

document.querySelector("select")?.addEventListener("change", (event) => event.target.form.submit());
document.querySelector("form button")?.remove();
setInterval(refresh, EVERY_MS);
