// Keeps what is shown up to date: whenever the worker says that something has changed, the page is asked for anew, and
// its parts are put in place of the old ones. Without this script everything works, and a reload shows what is new.
"use strict";

(() => {
  const pulse = document.getElementById("pulse");
  const announcement = document.getElementById("announce");
  let waiting = false; // something changed while the page was being asked for
  let asking = false;

  function show(live) {
    if (!pulse) return;
    pulse.hidden = false;
    pulse.classList.toggle("lost", !live);
    pulse.querySelector(".word").textContent = live ? "live" : "not live";
  }

  // What somebody reads, has opened or is about to press stays as it is.
  function busy(part) {
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && selection.containsNode(part, true);
    const opened = part.querySelector("details[open][data-opened]");
    const written = [...part.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
    return selects || opened || written || part.contains(document.activeElement);
  }

  function replace(old, fresh) {
    const copy = document.importNode(fresh, true);
    old.replaceWith(copy);
    copy.classList.add("fresh");
    copy.dataset.at = String(performance.now());
  }

  function same(one, other) {
    // Times move on with every look; what they stand beside counts.
    const plain = (element) => {
      const copy = element.cloneNode(true);
      copy.classList.remove("fresh");
      if (!copy.getAttribute("class")) copy.removeAttribute("class");
      delete copy.dataset.at;
      return copy.outerHTML;
    };
    return plain(one) === plain(other);
  }

  function take(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.getElementById(part.id);
      if (other && !same(part, other) && !busy(part)) replace(part, other);
    }
    const stamp = fresh.getElementById("shown-at");
    if (stamp) document.getElementById("shown-at").replaceChildren(...stamp.childNodes);
    const count = fresh.getElementById("waiting-count");
    const before = document.getElementById("waiting-count");
    const told = count ? count.textContent : "";
    if (told !== (before ? before.textContent : "")) {
      announcement.textContent = told || "nothing waits for a person";
      const link = document.querySelector("nav a[href='/']");
      if (before) before.remove();
      if (count && link) link.append(" ", document.importNode(count, true));
    }
    const banner = fresh.getElementById("pause-banner");
    const shown = document.getElementById("pause-banner");
    if (shown && !banner) shown.remove();
    if (shown && banner && shown.textContent !== banner.textContent) shown.replaceWith(document.importNode(banner, true));
    if (!shown && banner) document.querySelector("header.top").after(document.importNode(banner, true));
  }

  async function refresh() {
    if (document.hidden || asking) {
      waiting = true;
      return;
    }
    asking = true;
    waiting = false;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      if (answer.ok) take(await answer.text());
    } catch {
      show(false); // signed out, or the worker is away; the stream tells when it is back
    }
    asking = false;
    if (waiting) refresh();
  }

  // On a phone the views are a strip; the one that is shown is to be seen in it.
  const here = document.querySelector("nav [aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });

  const address = document.body.dataset.live;
  const parts = document.querySelector("[data-part]");
  if (address && parts && "EventSource" in window) {
    const stream = new EventSource(address);
    let first = true;
    stream.addEventListener("open", () => show(true));
    stream.addEventListener("error", () => show(false));
    stream.addEventListener("changed", () => {
      // The page is new when the stream begins.
      if (!first) refresh();
      first = false;
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && waiting) refresh();
    });
    window.addEventListener("pagehide", () => stream.close());
    window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  document.addEventListener("toggle", (event) => { event.target.dataset.opened = ""; }, true);

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });

  // A filter that is chosen applies at once.
  for (const choice of document.querySelectorAll(".filters select")) {
    choice.addEventListener("change", () => choice.form.requestSubmit());
  }
})();
