// What every section's script stands on: data, state in the address, scales, controls,
// and the two elements that all sections use: <lesson-question> and <lesson-steps>.
"use strict";

const lesson = {};
globalThis.lesson = lesson;

// The rows that a section was given: see `payload` in diffkit/lesson/sections/.
lesson.data = (name) => JSON.parse(document.getElementById(`${name}-data`).textContent);

// ---------------------------------------------------------------- numbers

const superscript = (n) => String(n).replace(/[-0-9]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

// Three figures, a power of ten where there are many: 0.25, 1,234, 2.10 × 10⁻⁷.
lesson.number = (x) => {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return x.toLocaleString("en-US").replace("-", "−");
  if (size >= 1e-3 && size < 1e6) {
    const text = Number(x.toPrecision(4));
    return text.toLocaleString("en-US", { maximumFractionDigits: 6 }).replace("-", "−");
  }
  const [head, tail] = x.toExponential(2).split("e");
  return `${head.replace("-", "−")} × 10${superscript(Number(tail))}`;
};

lesson.seconds = (x) => {
  for (const [unit, name] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]]) {
    if (Math.abs(x) >= unit) return `${Number((x / unit).toPrecision(3)).toLocaleString("en-US")} ${name}`;
  }
  return `${lesson.number(x)} s`;
};

// ---------------------------------------------------------------- state

// The address after '#' is SECTION?KEY=VALUE&…: a link to a moment of the lesson.
const stateOf = (hash) => {
  const [section, query] = hash.replace(/^#/, "").split("?");
  return { section, values: new URLSearchParams(query || "") };
};

// The section that an element stands in.
lesson.section = (element) => element.closest("main > section").id;

lesson.read = (element, key) => {
  const { section, values } = stateOf(location.hash);
  return section === lesson.section(element) ? values.get(key) : null;
};

lesson.write = (element, key, value) => {
  const own = lesson.section(element);
  const { section, values } = stateOf(location.hash);
  const kept = section === own ? values : new URLSearchParams();
  kept.set(key, value);
  try {
    history.replaceState(null, "", `${location.search}#${own}?${kept}`);
  } catch { /* Some browsers refuse it for files; the page goes on without. */ }
};

// ---------------------------------------------------------------- drawings

lesson.svg = (tag, attributes = {}, text = null) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
};

const scale = (text) => {
  const [kind, ...numbers] = text.split(",");
  const [low, high, first, last] = numbers.map(Number);
  const of = kind === "log" ? Math.log10 : (v) => v;
  return (value) => {
    const share = (of(value) - of(low)) / (of(high) - of(low));
    // What lies outside (or at minus infinity) is drawn at the end.
    return first + Math.min(Math.max(Number.isNaN(share) ? 0 : share, 0), 1) * (last - first);
  };
};

// A chart made by diffkit/lesson/chart.py: where its values lie, and its lines by name.
lesson.plot = (id) => {
  const svg = document.getElementById(id);
  const x = scale(svg.dataset.x);
  const y = scale(svg.dataset.y);
  const path = (points) => points
    .filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b))
    .map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  return {
    svg, x, y, path,
    line: (name) => svg.querySelector(`[data-line="${CSS.escape(name)}"]`),
  };
};

// ---------------------------------------------------------------- controls

// The place below `count` that the address asks for, or null: nonsense is not asked.
lesson.place = (element, key, count) => {
  const asked = lesson.read(element, key);
  return /^\d{1,9}$/.test(asked ?? "") && Number(asked) < count ? Number(asked) : null;
};

// A slider over a list of values: the input named `name` inside `host`.
// `said(value)` is its read-out, `then(value, place)` is called now and at each change.
lesson.slider = (host, name, values, { said = lesson.number, then }) => {
  const input = host.querySelector(`input[name="${name}"]`);
  const output = host.querySelector(`output[for="${input.id}"]`);
  input.min = 0;
  input.max = values.length - 1;
  input.value = lesson.place(host, name, values.length) ?? input.value;
  const show = (store) => {
    const place = Number(input.value);
    const text = said(values[place], place);
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
    if (store) lesson.write(host, name, place);
    then(values[place], place);
  };
  input.addEventListener("input", () => show(true));
  show(false);
  return { set: (place) => { input.value = place; show(true); }, get: () => Number(input.value), input };
};

// A <select> named `name` inside `host`; what the address asks for, if it is there.
lesson.choice = (host, name, then) => {
  const select = host.querySelector(`select[name="${name}"]`);
  const asked = lesson.read(host, name);
  if ([...select.options].some((option) => option.value === asked)) select.value = asked;
  select.addEventListener("change", () => { lesson.write(host, name, select.value); then(select.value); });
  then(select.value);
  return select;
};

lesson.still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// A custom element that starts when all of the page is there. If a section's script
// fails, its figures and tables stay as they were.
lesson.Element = class extends HTMLElement {
  connectedCallback() { if (!this.started) { this.started = true; this.start(); } }
};
lesson.define = (name, type) => customElements.define(name, type);

// ---------------------------------------------------------------- questions

class Question extends lesson.Element {
  start() {
    const right = this.dataset.right;
    const answer = this.querySelector(".answer");
    const verdict = this.querySelector(".verdict");
    this.addEventListener("change", (event) => {
      if (event.target.type !== "radio") return;
      const hit = event.target.value === right;
      verdict.textContent = hit ? "Yes." : "Not so.";
      verdict.dataset.hit = hit;
      answer.open = true;
    });
  }
}
lesson.define("lesson-question", Question);

// ---------------------------------------------------------------- steps

// Plays the items of its list one at a time. Previous, next, play and pause by buttons,
// by arrow keys and by Space anywhere in the element; says "step k of n" and sends
// the event "step" with the place. Where motion is not wanted, Play goes one step on.
class Steps extends lesson.Element {
  start() {
    this.items = [...this.querySelectorAll(":scope > .steps > li")];
    const bar = document.createElement("div");
    bar.className = "bar";
    const button = (text, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", act);
      bar.append(made);
      return made;
    };
    button("Previous", () => { this.pause(); this.go(this.place - 1); });
    this.button = button("Play", () => this.toggle());
    button("Next", () => { this.pause(); this.go(this.place + 1); });
    this.count = document.createElement("span");
    this.count.className = "count";
    this.count.setAttribute("role", "status");
    bar.append(this.count);
    this.addEventListener("keydown", (event) => this.key(event));
    this.go((lesson.place(this, this.key_, this.items.length + 1) || 1) - 1, false);
    // Last, so that all steps stay in sight where something above fails.
    this.prepend(bar);
    this.tabIndex = 0;
    this.classList.add("live");
  }

  // Two players in one section are told apart by their ids.
  get key_() { return this.id.replace(/^.*-/, "") || "step"; }

  go(place, store = true) {
    const last = this.items.length - 1;
    this.place = Math.min(Math.max(place, 0), last);
    this.items.forEach((item, i) => item.classList.toggle("now", i === this.place));
    this.count.textContent = `step ${this.place + 1} of ${this.items.length}`;
    if (store) lesson.write(this, this.key_, this.place + 1);
    if (this.place === last) this.pause();
    this.dispatchEvent(new CustomEvent("step", { detail: this.place, bubbles: true }));
  }

  toggle() {
    if (this.timer) { this.pause(); return; }
    if (lesson.still()) { this.go(this.place + 1); return; }
    if (this.place === this.items.length - 1) this.go(0);
    this.timer = setInterval(() => this.go(this.place + 1), 1600);
    this.button.textContent = "Pause";
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    if (this.button) this.button.textContent = "Play";
  }

  key(event) {
    if (event.target.matches("input, select, textarea, summary, a, .wide")) return;
    if (event.key === " " && !event.target.matches("button")) this.toggle();
    else if (event.key === "ArrowRight") { this.pause(); this.go(this.place + 1); }
    else if (event.key === "ArrowLeft") { this.pause(); this.go(this.place - 1); }
    else return;
    event.preventDefault();
  }
}
lesson.define("lesson-steps", Steps);

// ---------------------------------------------------------------- the tour

// Goes through all sections: previous, next, play and pause by buttons, and by Space and
// the arrow keys where it has the focus. "k of n" follows the reader too.
class Tour extends lesson.Element {
  start() {
    this.sections = [...document.querySelectorAll("main > section")];
    this.links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
    const button = (text, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", act);
      this.append(made);
      return made;
    };
    button("Back", () => { this.pause(); this.go(this.place - 1); });
    this.button = button("Play", () => this.toggle());
    button("On", () => { this.pause(); this.go(this.place + 1); });
    this.count = document.createElement("span");
    this.count.className = "count";
    this.append(this.count);
    this.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") this.go(this.place + 1);
      else if (event.key === "ArrowLeft") this.go(this.place - 1);
      else return;
      this.pause();
      event.preventDefault();
    });
    this.show(-1);
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.follow(); });
    }, { passive: true });
    addEventListener("load", () => this.follow());
  }

  // The last section that begins in the upper half of the window.
  follow() {
    const middle = innerHeight / 2;
    const begun = this.sections.filter((section) => section.getBoundingClientRect().top < middle);
    this.show(begun.length - 1);
  }

  show(place) {
    if (place === this.place) return;
    this.place = place;
    const id = place < 0 ? "" : this.sections[place].id;
    const name = place < 0 ? "" : this.links.get(id).lastChild.textContent.trim();
    const n = this.sections.length;
    this.count.textContent = place < 0 ? `${n} sections` : `${place + 1} of ${n}: ${name}`;
    for (const [key, link] of this.links) {
      if (key === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  go(place) {
    const last = this.sections.length - 1;
    const to = Math.min(Math.max(place, 0), last);
    this.sections[to].scrollIntoView();
    this.show(to);
    if (to === last) this.pause();
    try {
      history.replaceState(null, "", `${location.search}#${this.sections[to].id}`);
    } catch { /* Some browsers refuse it for files; the page goes on without. */ }
  }

  toggle() {
    if (this.timer) { this.pause(); return; }
    if (lesson.still()) { this.go(this.place + 1); return; }
    this.timer = setInterval(() => this.go(this.place + 1), 8000);
    this.go(this.place);
    this.button.textContent = "Pause";
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.button.textContent = "Play";
  }
}
lesson.define("lesson-tour", Tour);

// ---------------------------------------------------------------- the page

document.documentElement.classList.add("scripted");

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

const present = document.getElementById("present");
const showLarge = (on) => {
  root.classList.toggle("present", on);
  present.setAttribute("aria-pressed", on);
};
present.addEventListener("click", () => showLarge(!root.classList.contains("present")));
showLarge(new URLSearchParams(location.search).has("present"));

// Drawings and code that are wider than their box can be scrolled by keys as well. (What
// the page itself makes a stop stays one: it would lose the focus it was just given.)
const boxes = new ResizeObserver((changed) => changed.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth + 1) {
    target.tabIndex = 0;
    target.setAttribute("role", "group");
    target.setAttribute("aria-label", "Scrolls sideways");
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
  }
}));
document.querySelectorAll(".drawing, pre:not(.wide)").forEach((box) => boxes.observe(box));

// A link with settings leads to its section; the part after '?' is not an anchor.
const follow = () => {
  const { section } = stateOf(location.hash);
  const target = /^[\w-]+$/.test(section) ? document.getElementById(section) : null;
  if (target && location.hash.includes("?")) target.scrollIntoView();
};
addEventListener("load", follow);
addEventListener("hashchange", () => { if (location.hash.includes("?")) location.reload(); });
