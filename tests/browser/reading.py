"""
What a reader who cannot see well, or not at all, needs of a page: contrast, names, structure.

The rules are those of WCAG 2.2 that a program can judge. Written for these tests: they know what these pages use.
"""

from __future__ import annotations

from typing import Any

FAULTS = """
() => {
  const faults = [];
  const say = (what, element) => faults.push(`${what}: ${element.outerHTML.replace(/\\s+/g, " ").slice(0, 160)}`);
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility === "visible";
  };

  // -- contrast (1.4.3, 1.4.11)
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const rgba = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => front.slice(0, 3).map((c, i) => c * front[3] + back[i] * (1 - front[3]));
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, two) => {
    const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(element) || element.closest("title, script, option")) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const back = behind(element);
    const front = over(rgba(element.closest("svg") ? style.fill : style.color), back);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    const found = contrast(front, back);
    if (found < (large ? 3 : 4.5)) say(`contrast ${found.toFixed(2)}`, element);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!shown(field)) continue;
    const ground = behind(field.parentElement);
    const edge = over(rgba(getComputedStyle(field).borderTopColor), ground);
    if (field.type !== "checkbox" && contrast(edge, ground) < 3) say("a field without an edge", field);
  }

  // -- names (1.1.1, 2.4.4, 4.1.2)
  const named = (element) =>
    element.getAttribute("aria-label") || element.textContent.trim() || element.getAttribute("aria-labelledby");
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const label = field.labels && [...field.labels].find((each) => each.textContent.trim());
    if (!label && !field.getAttribute("aria-label")) say("a field without a label", field);
  }
  for (const control of document.querySelectorAll("a[href], button, summary")) {
    if (!named(control)) say("no name", control);
  }
  for (const picture of document.querySelectorAll("svg")) {
    if (picture.getAttribute("aria-hidden") !== "true" && !picture.getAttribute("aria-label")) say("no name", picture);
  }

  // -- structure (1.3.1, 2.4.1, 2.4.2, 3.1.1)
  if (!document.documentElement.lang) faults.push("no language");
  if (document.title.length < 16) faults.push(`no title: ${document.title}`);
  for (const role of ["main", "header", "footer"]) {
    if (document.querySelectorAll(`body > ${role}`).length !== 1) faults.push(`not one ${role}`);
  }
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1 || levels[0] !== 1) faults.push(`headings: ${levels}`);
  levels.forEach((level, n) => n && level > levels[n - 1] + 1 && faults.push(`a heading is left out: ${levels}`));
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) faults.push(`an id twice: ${ids}`);
  for (const attribute of ["aria-labelledby", "aria-describedby"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      if (!document.getElementById(element.getAttribute(attribute))) say("refers to nothing", element);
    }
  }
  for (const cell of document.querySelectorAll("th:not([scope])")) say("a heading of what?", cell);
  for (const item of document.querySelectorAll("li")) if (!item.closest("ul, ol")) say("of no list", item);
  for (const list of document.querySelectorAll("ul, ol")) {
    for (const child of list.children) if (child.tagName !== "LI") say("no item", child);
  }
  for (const part of document.querySelectorAll("dl")) {
    for (const child of part.children) if (!["DT", "DD", "DIV"].includes(child.tagName)) say("no term", child);
  }

  // -- reach (2.1.1, 2.5.8)
  const controls = "button, .button, input:not([type=hidden], [type=checkbox]), select";
  for (const control of document.querySelectorAll(controls)) {
    const box = control.getBoundingClientRect();
    if (shown(control) && (box.width < 24 || box.height < 24)) say("too small to be hit", control);
  }
  for (const element of document.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    const scrolls = ["auto", "scroll"].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
    const inside = element.querySelector("a[href], button, input");
    if (scrolls && element.tabIndex < 0 && !inside) say("cannot be scrolled with keys", element);
  }
  return { faults, texts };
}
"""


def faults(page: Any) -> list[str]:
    """Give what is wrong with what is shown; every text was looked at."""
    found = page.evaluate(FAULTS)
    assert found["texts"] > 10
    return list(found["faults"])
