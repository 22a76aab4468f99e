// Recorded runs over recorded surfaces: a ball on the map, and the same in perspective.
class Downhill extends lesson.Element {
  start() {
    const { rates, optimizers, fits, terrains } = lesson.data("downhill");
    this.terrains = terrains;
    this.names = Object.keys(terrains);
    const readout = this.querySelector("p.readout");
    const maps = [...this.querySelectorAll("[data-surface]")];
    const control = (name) => this.querySelector(`[name="${name}"]`).closest(".control");
    const state = { surface: this.names[0], rate: 0, optimizer: 0, step: 0, turn: 0, tilt: 0 };
    this.perspective = new Perspective(document.getElementById("downhill-view"));
    for (const walks of this.querySelectorAll(".walks")) walks.classList.add("faint");
    let ready = false;

    const walkOf = () => {
      const isFit = this.names.indexOf(state.surface) < fits;
      return terrains[state.surface].walks[isFit ? state.rate : state.optimizer];
    };
    const show = () => {
      if (!ready) return;
      const terrain = terrains[state.surface];
      const isFit = this.names.indexOf(state.surface) < fits;
      const [u, v, height] = walkOf();
      const last = u.length - 1;
      const at = Math.min(state.step, last);
      const inside = (k) => within(terrain.x, u[k]) && within(terrain.y, v[k]);
      let end = 0;
      while (end < at && inside(end + 1)) end += 1;
      const out = end < at;
      const point = (k) => [u[k], v[k], height[k]];
      const walk = u.slice(0, end + 1).map((_, k) => point(k));
      if (out) walk.push(edge(terrain, point(end), point(end + 1)));

      for (const map of maps) map.hidden = map.dataset.surface !== state.surface;
      control("rate").hidden = !isFit;
      control("optimizer").hidden = isFit;
      const plot = lesson.plot(`downhill-${state.surface}`);
      document.getElementById(`downhill-${state.surface}-path`).setAttribute("d", plot.path(walk));
      const ball = document.getElementById(`downhill-${state.surface}-ball`);
      ball.setAttribute("cx", plot.x(u[end])); // Hidden where the run is outside.
      ball.setAttribute("cy", plot.y(v[end]));
      ball.setAttribute("r", out ? 0 : 6);
      this.perspective.draw(terrain, walk, !out, 3.6 * state.turn, state.tilt);

      const who = isFit ? `${terrain.title}, α = ${rates[state.rate]}` : `${terrain.title}, ${optimizers[state.optimizer]}`;
      const [a, b] = isFit ? ["w", "b"] : ["u", "v"];
      const lost = isFit && last < 60 && at === last ? " Here the run was stopped: it had left every bound." : "";
      const gone = out ? " That is outside of the drawing." : "";
      readout.textContent = `${who}, step ${at * terrain.every}: ${a} = ${lesson.number(u[at])}, ${b} = ${lesson.number(v[at])}, ${isFit ? "loss" : "height"} ${lesson.number(height[at])}.${gone}${lost}`;
      this.perspective.say(`${who}, in perspective, turned by ${lesson.number(state.turn)} % of a full turn and tilted by ${state.tilt}°. The ball is ${out ? "outside of the drawing" : `at ${a} = ${lesson.number(u[at])}, ${b} = ${lesson.number(v[at])}`}.`);
      this.at = at;
      this.last = last;
    };

    const settings = (text) => {
      const [low, high, step] = text.split(",").map(Number);
      return Array.from({ length: (high - low) / step + 1 }, (_, k) => low + k * step);
    };
    const turns = settings(this.dataset.turns);
    const tilts = settings(this.dataset.tilts);
    const set = (key, value) => { state[key] = value; show(); };
    // Another run has other steps; who stood at the end of one stands at its end.
    const change = (key, value) => {
      const isEnd = this.at >= this.last;
      state[key] = value;
      if (!ready) return;
      this.pause();
      const last = walkOf()[0].length - 1;
      this.step.input.max = last;
      this.step.set(isEnd ? last : Math.min(state.step, last));
    };
    lesson.choice(this, "surface", (value) => change("surface", value));
    lesson.choice(this, "optimizer", (value) => change("optimizer", Number(value)));
    lesson.slider(this, "rate", rates, { said: (rate) => `α = ${rate}`, then: (_, place) => change("rate", place) });
    const most = Math.max(...Object.values(terrains).flatMap((one) => one.walks.map((walk) => walk[0].length)));
    this.step = lesson.slider(this, "step", Array.from({ length: most }, (_, k) => k), {
      said: (place) => `step ${place * terrains[state.surface].every}`,
      then: (place) => set("step", place),
    });
    this.turn = lesson.slider(this, "turn", turns, {
      said: (turn) => `${lesson.number(turn)} % of a full turn`, then: (turn) => set("turn", turn),
    });
    this.tilt = lesson.slider(this, "tilt", tilts, { said: (tilt) => `${tilt}°`, then: (tilt) => set("tilt", tilt) });
    ready = true;
    const last = walkOf()[0].length - 1;
    this.step.input.max = last;
    if (state.step > last) this.step.set(last);
    show();

    const acts = { back: () => this.go(this.at - 1), on: () => this.go(this.at + 1), play: () => this.toggle() };
    for (const button of this.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => { if (button.dataset.act !== "play") this.pause(); acts[button.dataset.act](); });
    }
    this.drag(turns, tilts);
  }

  // After the last step comes the first again, and before the first the last.
  go(place) { this.step.set((place + this.last + 1) % (this.last + 1)); }

  // As the steps of the page do: where motion is not wanted, Play goes one step on.
  toggle() {
    if (this.timer) { this.pause(); return; }
    const from = this.at >= this.last ? 0 : this.at + 1;
    this.go(from);
    if (lesson.still()) return;
    this.timer = setInterval(() => {
      if (this.at >= this.last) this.pause();
      else this.go(this.at + 1);
    }, 150);
    this.querySelector('[data-act="play"]').textContent = "Pause";
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.querySelector('[data-act="play"]').textContent = "Play";
  }

  // Dragging moves the sliders, by one place for some pixels.
  drag(turns, tilts) {
    const view = document.getElementById("downhill-view");
    let from = null;
    view.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, turn: this.turn.get(), tilt: this.tilt.get() };
      view.setPointerCapture(event.pointerId);
    });
    view.addEventListener("pointermove", (event) => {
      if (!from) return;
      const turn = from.turn + Math.round((event.clientX - from.x) / 11);
      const round = turns.length - 1; // The first and the last are one direction.
      const tilt = Math.min(Math.max(from.tilt + Math.round((event.clientY - from.y) / 12), 0), tilts.length - 1);
      const wrapped = ((turn % round) + round) % round;
      if (wrapped !== this.turn.get()) this.turn.set(wrapped);
      if (tilt !== this.tilt.get()) this.tilt.set(tilt);
    });
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, () => { from = null; });
  }
}

const within = (axis, value) => value >= axis[0] && value <= axis[axis.length - 1];

// Where the straight line to a point outside is cut by the edge of the drawing.
const edge = ({ x, y }, from, to) => {
  const parts = [x, y].map((axis, k) => {
    const end = to[k] > from[k] ? axis[axis.length - 1] : axis[0];
    return to[k] === from[k] ? 1 : (end - from[k]) / (to[k] - from[k]);
  });
  const part = Math.min(...parts);
  return from.map((value, k) => value + part * (to[k] - value));
};

// A surface in perspective without vanishing points: faces from the far ones to the near
// ones, then the walk, so that it is never hidden.
class Perspective {
  constructor(svg) {
    this.svg = svg;
    this.group = svg.querySelector("g");
    const add = (tag, attributes) => {
      const made = lesson.svg(tag, attributes);
      svg.append(made);
      return made;
    };
    this.base = lesson.svg("path", { class: "base" });
    svg.prepend(this.base);
    this.least = add("path", { class: "least" });
    this.path = add("path", { class: "line chosen" });
    this.ball = add("circle", { class: "here", r: 0 });
    this.labels = [add("text", { class: "name" }), add("text", { class: "name" })];
    this.faces = [];
  }

  say(text) { this.svg.setAttribute("aria-label", text); }

  draw(terrain, walk, isHere, turn, tilt) {
    const { x, y, z } = terrain;
    const [columns, rows] = [x.length, y.length];
    if (this.terrain !== terrain) {
      this.terrain = terrain;
      this.low = Math.min(...z);
      this.high = Math.max(...z);
      this.bands = z.map((value) => this.band(value));
      const count = (columns - 1) * (rows - 1);
      while (this.faces.length < count) this.faces.push(this.group.appendChild(lesson.svg("path")));
      this.faces.slice(count).forEach((face) => face.removeAttribute("d"));
    }
    const unit = (axis, value) => (2 * (value - axis[0])) / (axis[axis.length - 1] - axis[0]) - 1;
    const [sin, cos] = [Math.sin((turn * Math.PI) / 180), Math.cos((turn * Math.PI) / 180)];
    const [up, flat] = [Math.cos((tilt * Math.PI) / 180), Math.sin((tilt * Math.PI) / 180)];
    const to = (u, v, height) => {
      const [a, b] = [unit(x, u), unit(y, v)];
      const part = (height - this.low) / (this.high - this.low || 1);
      return [270 + 155 * (a * cos - b * sin), 228 - 155 * ((a * sin + b * cos) * flat + (1.1 * part - 0.45) * up)];
    };
    const said = ([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`;
    const points = z.map((height, k) => said(to(x[Math.floor(k / rows)], y[k % rows], height)));
    // Far ones first: along each axis from the end that lies behind.
    const order = (count, back) => Array.from({ length: count }, (_, k) => (back ? count - 1 - k : k));
    const along = order(columns - 1, sin > 0);
    const across = order(rows - 1, cos > 0);
    let place = 0;
    const paint = (i, j) => {
      const corners = [i * rows + j, (i + 1) * rows + j, (i + 1) * rows + j + 1, i * rows + j + 1];
      const face = this.faces[place];
      place += 1;
      face.setAttribute("d", `M${corners.map((k) => points[k]).join("L")}Z`);
      const band = Math.round(corners.reduce((sum, k) => sum + this.bands[k], 0) / 4);
      face.setAttribute("class", `side heat${band}`);
    };
    // The axis that points more towards the reader is the outer one.
    if (Math.abs(cos) > Math.abs(sin)) for (const j of across) for (const i of along) paint(i, j);
    else for (const i of along) for (const j of across) paint(i, j);

    const corner = (i, j) => to(x[i ? columns - 1 : 0], y[j ? rows - 1 : 0], this.low);
    this.base.setAttribute("d", `M${[[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => said(corner(i, j))).join("L")}Z`);
    // Names stand at the edges of the base that are nearer to the reader.
    const name = (label, text, [one, other]) => {
      label.textContent = text;
      const [a, b] = [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
      const [c, d] = to((x[0] + x[columns - 1]) / 2, (y[0] + y[rows - 1]) / 2, this.low);
      const length = Math.hypot(a - c, b - d) || 1;
      label.setAttribute("x", a + (26 * (a - c)) / length);
      label.setAttribute("y", b + (20 * (b - d)) / length + 5);
      label.setAttribute("text-anchor", "middle");
    };
    const near = cos > 0 ? 0 : 1;
    const side = sin > 0 ? 0 : 1;
    name(this.labels[0], terrain.axes[0], [corner(0, near), corner(1, near)]);
    name(this.labels[1], terrain.axes[1], [corner(side, 0), corner(side, 1)]);
    const [a, b] = to(...terrain.least);
    this.least.setAttribute("d", `M${a - 5} ${b - 5}l10 10m0 -10l-10 10`);
    this.path.setAttribute("d", `M${walk.map((point) => said(to(...point))).join("L")}`);
    const [c, d] = to(...walk[walk.length - 1]);
    this.ball.setAttribute("cx", c);
    this.ball.setAttribute("cy", d);
    this.ball.setAttribute("r", isHere ? 6 : 0);
  }

  // As in diffkit/lesson/heat.py.
  band(value) {
    const part = (value - this.low) / (this.high - this.low || 1);
    return Math.min(Math.floor((10 * Math.log1p(300 * part)) / Math.log1p(300)), 9);
  }
}

lesson.define("lesson-downhill", Downhill);
