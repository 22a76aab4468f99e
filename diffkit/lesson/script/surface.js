// The recorded loss and the recorded gradients of all ways at the sliders' point.
class Surface extends lesson.Element {
  start() {
    const { w, b, loss, ways } = lesson.data("surface");
    const plot = lesson.plot("surface-chart");
    const ball = document.getElementById("surface-ball");
    const said = this.querySelector("p.readout");
    const cells = [...this.querySelectorAll(".needs-script tbody tr")].map((row) => row.querySelectorAll("td"));
    document.getElementById("surface-still").classList.add("faint");
    const length = 0.17; // As in diffkit/lesson/sections/surface.py.
    const at = { w: 0, b: 0 };
    const show = () => {
      const place = at.w * b.length + at.b;
      const [x, y] = [w[at.w], b[at.b]];
      ball.setAttribute("cx", plot.x(x));
      ball.setAttribute("cy", plot.y(y));
      ball.setAttribute("r", 6);
      ways.forEach(([alongW, alongB, apart], way) => {
        const tip = [plot.x(x - length * alongW[place]), plot.y(y - length * alongB[place])];
        document.getElementById(`surface-arrow${way + 1}`).setAttribute("d", arrow([plot.x(x), plot.y(y)], tip));
        cells[way][0].textContent = lesson.number(alongW[place]);
        cells[way][1].textContent = lesson.number(alongB[place]);
        cells[way][2].textContent = lesson.number(apart[place]);
      });
      said.textContent = `At w = ${lesson.number(x)}, b = ${lesson.number(y)} the loss is ${lesson.number(loss[place])}. Reverse mode has the gradient (${lesson.number(ways[0][0][place])}, ${lesson.number(ways[0][1][place])}); descent goes the opposite way.`;
    };
    for (const [name, values] of [["w", w], ["b", b]]) {
      lesson.slider(this, name, values, { then: (_, place) => { at[name] = place; show(); } });
    }
  }
}

const arrow = ([a, b], [c, d]) => {
  const length = Math.hypot(c - a, d - b);
  if (length < 1) return "";
  const size = Math.min(9, length / 2);
  const [u, v] = [size * (c - a) / length, size * (d - b) / length];
  const head = [[c - u - 0.6 * v, d - v + 0.6 * u], [c, d], [c - u + 0.6 * v, d - v - 0.6 * u]];
  const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return `M${point([a, b])}L${point([c, d])}M${head.map(point).join("L")}`;
};

lesson.define("lesson-surface", Surface);
