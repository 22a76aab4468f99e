// The recorded path of the weight at the chosen rate, on the chart of the others.
class OneWeight extends lesson.Element {
  start() {
    const { rates, paths } = lesson.data("one_weight");
    const plot = lesson.plot("one_weight-chart");
    const path = document.getElementById("one_weight-path");
    const ball = document.getElementById("one_weight-ball");
    const said = this.querySelector(".readout");
    for (const line of plot.svg.querySelectorAll("[data-line]")) line.classList.add("faint");
    lesson.slider(this, "rate", rates, {
      said: (rate) => `α = ${rate}`,
      then: (rate, place) => {
        const shown = paths[place].slice(0, 31);
        path.setAttribute("d", plot.path(shown.map((w, k) => [k, w])));
        const last = shown.length - 1;
        ball.setAttribute("cx", plot.x(last));
        ball.setAttribute("cy", plot.y(shown[last]));
        ball.setAttribute("r", 5);
        said.textContent = `After ${last} steps at α = ${rate} the weight is ${lesson.number(shown[last])}.`;
      },
    });
  }
}
lesson.define("lesson-one-weight", OneWeight);
