// What is left of a gradient after the chosen number of layers, by chain.
class Chains extends lesson.Element {
  start() {
    const { chains } = lesson.data("fading");
    const plot = lesson.plot("fading-chains");
    const mark = document.getElementById("fading-depth-mark");
    const said = this.querySelector(".readout");
    lesson.slider(this, "layers", chains[0].factors.map((_, i) => i + 1), {
      said: (layers) => (layers === 1 ? "1 layer" : `${layers} layers`),
      then: (layers, place) => {
        mark.setAttribute("d", plot.path([[layers, 0], [layers, Number.MAX_VALUE]]));
        const left = chains.map(({ name, factors }) => `${name}: ${lesson.number(factors[place])}`);
        said.textContent = `Left of the gradient: ${left.join("; ")}.`;
      },
    });
  }
}
lesson.define("lesson-chains", Chains);

// One depth of the map at a time; a chosen network is framed, and its layers are drawn.
class GradientMap extends lesson.Element {
  start() {
    const { layers } = lesson.data("fading");
    const plot = lesson.plot("fading-norms");
    const path = document.getElementById("fading-path");
    const said = this.querySelector(".readout");
    const maps = [...this.querySelectorAll(".map")];
    const ready = {};
    for (const line of plot.svg.querySelectorAll("[data-line]")) line.classList.add("faint");
    const show = () => {
      const { depth, activation, init } = ready;
      if (!depth || !activation || !init) return;
      const name = `${activation}, ${init}`;
      for (const map of maps) map.hidden = map.dataset.depth !== depth;
      for (const cell of this.querySelectorAll("[data-cell]")) {
        cell.classList.toggle("framed", cell.dataset.cell === name);
      }
      const norms = layers[depth][name];
      path.setAttribute("d", plot.path(norms.map((norm, i) => [i + 1, norm])));
      said.textContent = `${name}, depth ${depth}: the gradient's norm is ${lesson.number(norms[0])} at the first layer and ${lesson.number(norms.at(-1))} at the last.`;
    };
    for (const key of ["depth", "activation", "init"]) {
      lesson.choice(this, key, (value) => { ready[key] = value; show(); });
    }
  }
}
lesson.define("lesson-map", GradientMap);

class GradientBuffer extends lesson.Element {
  start() {
    const { buffer } = lesson.data("fading");
    const said = this.querySelector(".readout");
    lesson.slider(this, "calls", buffer.map((_, i) => i + 1), {
      said: (calls) => (calls === 1 ? "1 call" : `${calls} calls`),
      then: (calls, place) => {
        said.textContent = `The buffer holds ${lesson.number(buffer[place])} × the gradient.`;
      },
    });
  }
}
lesson.define("lesson-buffer", GradientBuffer);

// A note that is pointed at, focused or chosen lights its lines. The chosen one stays.
class Notes extends lesson.Element {
  start() {
    this.lines = [...this.querySelectorAll(".line")];
    this.notes = [...this.querySelectorAll("[data-first]")];
    this.notes.forEach((note, place) => {
      note.addEventListener("pointerenter", () => this.light(note));
      note.addEventListener("pointerleave", () => this.light(this.chosen));
      note.addEventListener("focusin", () => this.light(note));
      note.addEventListener("focusout", () => this.light(this.chosen));
      note.addEventListener("click", (event) => {
        event.preventDefault();
        this.chosen = note;
        this.light(note);
        lesson.write(this, "note", place + 1);
      });
    });
    const asked = Number(lesson.read(this, "note"));
    this.chosen = this.notes[asked - 1];
    this.light(this.chosen);
  }

  light(note) {
    const [first, last] = note ? [note.dataset.first, note.dataset.last].map(Number) : [0, -1];
    this.lines.forEach((line, i) => line.classList.toggle("lit", i + 1 >= first && i + 1 <= last));
    for (const one of this.notes) one.classList.toggle("lit", one === note);
  }
}
lesson.define("lesson-notes", Notes);
