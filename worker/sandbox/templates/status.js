// Looks for news every ten seconds while the page is visible, and changes only what has changed.
"use strict";
const PAUSE = 10000;

let seen = document.querySelector("main").innerHTML;

async function refresh() {
  if (document.hidden) return;
  const reply = await fetch(location.pathname, { cache: "no-store" });
  if (!reply.ok) return;
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  const next = fresh.querySelector("main");
  if (!next || next.innerHTML === seen) return;
  seen = next.innerHTML;
  replace(document.querySelector("main"), next, fresh.title);
}

function replace(now, next, title) {
  const open = [...now.querySelectorAll("details[open]")].map((details) => details.id);
  const said = now.querySelector("#banner").textContent;
  const focused = document.activeElement && document.activeElement.getAttribute("href");
  now.replaceChildren(...next.childNodes);
  for (const details of now.querySelectorAll("details")) details.open = open.includes(details.id);
  const links = [...now.querySelectorAll("a")];
  const link = focused && links.find((candidate) => candidate.getAttribute("href") === focused);
  if (link) link.focus();
  document.title = title;
  const says = now.querySelector("#banner").textContent;
  if (says !== said) document.querySelector("#news").textContent = says;
}

setInterval(() => refresh().catch(() => {}), PAUSE);
