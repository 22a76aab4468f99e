// A marker and a sentence for the recorded value that is chosen.
const mark = (id, x, y) => {
  const here = document.getElementById(id);
  here.setAttribute("cx", x);
  here.setAttribute("cy", y);
  here.setAttribute("r", 6);
};

class Paths extends lesson.Element {
  start() {
    const { depths, paths } = lesson.data("remember");
    const plot = lesson.plot("remember-paths");
    const said = this.querySelector(".readout");
    let width = null;
    let place = null;
    const show = () => {
      if (width === null || place === null) return;
      const [count, nodes] = paths[width][place];
      for (const line of plot.svg.querySelectorAll('[data-line^="paths"]')) {
        line.classList.toggle("faint", line.dataset.line !== `paths ${width}`);
      }
      mark("remember-path-here", plot.x(depths[place]), plot.y(count));
      const layers = depths[place] === 1 ? "layer" : "layers";
      const units = width === "1" ? "unit" : "units";
      const all = count === 1 ? "one path" : `${lesson.number(count)} paths`;
      said.textContent = `${depths[place]} hidden ${layers} of ${width} ${units}: ${all}, through ${lesson.number(nodes)} nodes.`;
    };
    const select = this.querySelector("select");
    select.value = select.options[select.options.length - 1].value;
    lesson.choice(this, "width", (value) => { width = value; show(); });
    lesson.slider(this, "depth", depths, {
      said: (depth) => `${depth}`,
      then: (_, at) => { place = at; show(); },
    });
  }
}
lesson.define("lesson-remember-paths", Paths);

class Ratio extends lesson.Element {
  start() {
    const { layers, ratios } = lesson.data("remember");
    const plot = lesson.plot("remember-ratio");
    const said = this.querySelector(".readout");
    lesson.slider(this, "layers", layers, {
      said: (depth) => `${depth}`,
      then: (depth, place) => {
        const [time, operations] = ratios[place];
        mark("remember-ratio-here", plot.x(depth), plot.y(time));
        said.textContent = `Hidden layers: ${depth}. Time ${lesson.number(time)}×, operations ${lesson.number(operations)}× those of the value alone.`;
      },
    });
  }
}
lesson.define("lesson-remember-ratio", Ratio);

class Trade extends lesson.Element {
  start() {
    const { trade, trade_depth: depth } = lesson.data("remember");
    const plot = lesson.plot("remember-memory");
    const said = this.querySelector(".readout");
    const words = (name) => ({ none: "every value", sqrt: "every √n-th value" })[name] ?? `every ${name}-th value`;
    lesson.slider(this, "interval", trade, {
      said: ([name]) => words(name),
      then: ([name, bytes, operations]) => {
        mark("remember-trade-here", plot.x(depth), plot.y(bytes / 2 ** 20));
        said.textContent = `${depth} hidden layers. Kept: ${words(name)}. ${lesson.number(bytes)} bytes of intermediates, ${lesson.number(operations)} operations for one gradient.`;
      },
    });
  }
}
lesson.define("lesson-remember-trade", Trade);
