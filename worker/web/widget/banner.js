/*
 * A banner that tells visitors of any web page what its status page says now.
 *
 *   <script src="https://bridge.example.com/widget/main/banner.js" data-component="Login" defer></script>
 *
 * It needs nothing but this file: script-src and connect-src of your Content-Security-Policy must allow the address it
 * comes from, and nothing more. All that it shows is text, never markup. It sets no cookie; what a visitor has dismissed
 * is kept in the visitor's own browser.
 */
(() => {
  "use strict";

  const script = document.currentScript || document.querySelector('script[src*="/widget/"][src*="/banner.js"]');
  if (!script || script.dataset.statusbridge) return;
  script.dataset.statusbridge = "on";

  const asked = script.dataset;
  const source = new URL(script.src);
  const page = source.pathname.replace(/\/banner\.js$/, "");
  const place = new URL(page, source);
  for (const name of (asked.component || "").split(",").map((each) => each.trim()).filter(Boolean)) {
    place.searchParams.append("component", name);
  }

  const LEAST_S = 15;
  const OLD_S = 300;
  const every = Math.max(LEAST_S, Number(asked.every) || 60) * 1000;
  const shows = { none: 0, "in-progress": 1, scheduled: 2 }[asked.maintenance || "in-progress"] ?? 1;
  const memory = `statusbridge:${source.origin}${page}`;

  const words = Object.assign(
    {
      region: "Service status",
      dismiss: "Dismiss",
      old: "last heard {minutes} min ago",
      full_outage: "Outage",
      partial_outage: "Partial outage",
      degraded_performance: "Degraded performance",
      investigating: "investigating",
      identified: "identified",
      monitoring: "monitoring",
      maintenance_in_progress: "Maintenance",
      maintenance_scheduled: "Planned maintenance",
    },
    given(asked.words),
  );

  function given(text) {
    try {
      const parsed = JSON.parse(text || "{}");
      return parsed && typeof parsed === "object" ? parsed : {};
    } catch {
      return {};
    }
  }

  // -- what a visitor has dismissed: until the page says something else of it

  let dismissed = {};
  try {
    dismissed = given(localStorage.getItem(memory));
  } catch {
    // storage is denied: then it is remembered for as long as the page stays open
  }

  function remember(known) {
    dismissed = known;
    try {
      localStorage.setItem(memory, JSON.stringify(known));
    } catch {
      // the same
    }
  }

  // -- what is shown

  const STYLE = `
    :host { all: initial; display: block; }
    :host([data-position="top"]), :host([data-position="bottom"]) {
      position: fixed; left: 0; right: 0; z-index: var(--statusbridge-layer, 2147483000);
    }
    :host([data-position="top"]) { top: 0; }
    :host([data-position="bottom"]) { bottom: 0; }
    ul { list-style: none; margin: 0; padding: 0; max-height: 40vh; overflow: auto; }
    :host([data-position="inline"]) ul { max-height: none; }
    li {
      display: flex; align-items: flex-start; gap: .75em; padding: .65em 1em;
      font: var(--statusbridge-font, 15px/1.4 system-ui, sans-serif);
      color: var(--statusbridge-text, var(--text)); background: var(--statusbridge-ground, var(--ground));
      border-left: .4em solid var(--mark);
    }
    li + li { border-top: 1px solid var(--line); }
    div { flex: 1; min-width: 0; overflow-wrap: anywhere; }
    p { margin: 0; }
    a { color: inherit; }
    .more { opacity: .85; font-size: .9em; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
    button {
      font: inherit; line-height: 1; color: inherit; background: none; cursor: pointer;
      border: 1px solid transparent; border-radius: 4px; min-width: 2em; min-height: 2em;
    }
    button:hover { border-color: currentColor; }
    a:focus-visible, button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    :host { --text: #1b1f24; --ground: #fff8e6; --line: #d9cfb4; }
    .full_outage { --mark: #c4170c; } .partial_outage { --mark: #d9480f; }
    .degraded_performance { --mark: #b08800; } .maintenance { --mark: #1864ab; }
    :host([data-theme="dark"]) { --text: #f4f1e8; --ground: #26221a; --line: #4a4433; }
    @media (prefers-color-scheme: dark) {
      :host([data-theme="auto"]) { --text: #f4f1e8; --ground: #26221a; --line: #4a4433; }
    }
    @media print { :host { display: none; } }
  `;

  const host = document.createElement("div");
  host.dataset.theme = ["light", "dark"].includes(asked.theme) ? asked.theme : "auto";
  host.dataset.position = ["bottom", "inline"].includes(asked.position) ? asked.position : "top";
  const root = host.attachShadow({ mode: "open" });
  const list = document.createElement("ul");
  list.setAttribute("role", "list");
  // A region that is there before its content is read out when that changes.
  const region = document.createElement("section");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  region.setAttribute("aria-label", String(words.region));
  region.append(list);
  root.append(region);
  // A sheet made by script needs no `style-src` of a Content-Security-Policy.
  if ("adoptedStyleSheets" in root && "replaceSync" in CSSStyleSheet.prototype) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
  }

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function link(address, text) {
    let url = null;
    try {
      url = new URL(address);
    } catch {
      // no address: the text stands alone
    }
    if (!url || !/^https?:$/.test(url.protocol)) return element("strong", text);
    const made = element("a", text);
    made.href = url.href;
    made.target = "_blank";
    made.rel = "noopener noreferrer";
    return made;
  }

  const text = (value) => (typeof value === "string" ? value : "");
  const records = (value) => (Array.isArray(value) ? value.filter((each) => each && typeof each === "object") : []);

  function events(summary) {
    const incidents = records(summary.ongoing_incidents).map((each) => {
      const impact = ["full_outage", "partial_outage"].find((one) => one === each.current_worst_impact);
      return { ...each, kind: impact || "degraded_performance", said: impact || "degraded_performance" };
    });
    const windows = [
      ...(shows > 0 ? records(summary.in_progress_maintenances) : []).map((each) => [each, "maintenance_in_progress"]),
      ...(shows > 1 ? records(summary.scheduled_maintenances) : []).map((each) => [each, "maintenance_scheduled"]),
    ].map(([each, said]) => ({ ...each, kind: "maintenance", said }));
    return [...incidents, ...windows].map((each) => ({
      ...each,
      key: text(each.id) || text(each.name),
      stand: [each.said, text(each.status)].join(" "),
    }));
  }

  function item(event, age, close) {
    const shown = element("li", "", event.kind);
    const box = element("div");
    const line = element("p");
    const components = records(event.affected_components)
      .filter((each) => event.kind === "maintenance" || each.current_status !== "operational")
      .map((each) => text(each.name))
      .filter(Boolean);
    line.append(
      element("strong", String(words[event.said] || event.said) + (components.length ? ` · ${components.join(", ")}` : "")),
      ": ",
      link(text(event.url), text(event.name)),
    );
    box.append(line);
    const more = [text(event.last_update_message)];
    if (event.kind === "maintenance") more.unshift(when(event));
    if (age > OLD_S) more.push(`(${String(words.old).replace("{minutes}", String(Math.round(age / 60)))})`);
    if (more.some(Boolean)) box.append(element("p", more.filter(Boolean).join(" · "), "more"));
    const button = element("button", "×");
    button.type = "button";
    button.setAttribute("aria-label", `${words.dismiss}: ${text(event.name)}`);
    button.addEventListener("click", close);
    shown.append(box, button);
    return shown;
  }

  function when(event) {
    const times = [event.started_at || event.starts_at, event.scheduled_end_at || event.ends_at]
      .map((each) => new Date(each))
      .filter((each) => !Number.isNaN(each.getTime()));
    const form = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
      dateStyle: "medium",
      timeStyle: "short",
    });
    return times.map((each) => form.format(each)).join(" – ");
  }

  let last = "";

  function show(summary, age) {
    const known = events(summary);
    const open = known.filter((each) => dismissed[each.key] !== each.stand);
    const now = JSON.stringify([open, age > OLD_S ? Math.round(age / 60) : 0]);
    if (now !== last) {
      last = now;
      list.replaceChildren(
        ...open.map((each) =>
          item(each, age, () => {
            const kept = known.filter((one) => dismissed[one.key] === one.stand || one.key === each.key);
            remember(Object.fromEntries(kept.map((one) => [one.key, one.stand])));
            show(summary, age);
            list.querySelector("button")?.focus();
          }),
        ),
      );
    }
  }

  // -- what is asked

  async function look() {
    if (document.visibilityState === "hidden") return;
    const given_up = new AbortController();
    const timer = setTimeout(() => given_up.abort(), 10000);
    try {
      const answer = await fetch(place, {
        credentials: "omit",
        referrerPolicy: "no-referrer",
        signal: given_up.signal,
      });
      if (!answer.ok) return;
      const summary = await answer.json();
      if (!summary || typeof summary !== "object") return;
      show(summary, Number(answer.headers.get("age")) || 0);
      document.dispatchEvent(new CustomEvent("statusbridge", { detail: summary }));
    } catch {
      // A page must not suffer because its banner cannot be filled; what was shown stays.
    } finally {
      clearTimeout(timer);
    }
  }

  function begin() {
    const target = asked.target ? document.querySelector(asked.target) : null;
    if (target) target.append(host);
    else if (host.dataset.position === "inline" && script.parentNode !== document.head) script.after(host);
    else document.body.prepend(host);
    look();
    setInterval(look, every);
    document.addEventListener("visibilitychange", look);
  }

  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
