// Two sliders move a frame over the maps and say the risks there; a threshold moves a
// ball along the curve of the chosen model.
const share = (x) => `${(100 * x).toFixed(0)} %`;
const signed = (x) => `${x > 0 ? "+" : ""}${lesson.number(x)}`;

class StudentMap extends lesson.Element {
  start() {
    const { mapped, absence, change, maps } = lesson.data("student");
    const svg = document.getElementById("student-maps");
    const [cell, left, top, apart] = ["cell", "left", "top", "apart"].map((key) => Number(svg.dataset[key]));
    const frames = mapped.map((_, place) => {
      const frame = lesson.svg("rect", { class: "chosen", width: cell, height: cell });
      svg.append(frame);
      return { frame, from: left + place * apart };
    });
    const said = this.querySelector(".readout");
    const at = { absence: 0, change: 0 };
    const show = () => {
      for (const { frame, from } of frames) {
        frame.setAttribute("x", from + at.change * cell);
        frame.setAttribute("y", top + (absence.length - 1 - at.absence) * cell);
      }
      const place = at.absence * change.length + at.change;
      said.textContent = `Risk: ${mapped.map((name, i) => `${name} ${share(maps[i][place])}`).join(", ")}.`;
    };
    lesson.slider(this, "absence", absence, { said: share, then: (_, place) => { at.absence = place; show(); } });
    lesson.slider(this, "change", change, { said: (x) => `${signed(x)} points`, then: (_, place) => { at.change = place; show(); } });
  }
}
lesson.define("lesson-student-map", StudentMap);

class StudentThreshold extends lesson.Element {
  start() {
    const { models, thresholds, reached, alarms } = lesson.data("student");
    const plot = lesson.plot("student-trade");
    const ball = document.getElementById("student-ball");
    const said = this.querySelector(".readout");
    let model = 0;
    let place = 0;
    const show = () => {
      const a = alarms[model][place];
      const r = reached[model][place];
      ball.setAttribute("cx", plot.x(a));
      ball.setAttribute("cy", plot.y(r));
      ball.setAttribute("r", 6);
      for (const line of plot.svg.querySelectorAll("[data-line]")) {
        line.classList.toggle("faint", line.dataset.line !== models[model]);
      }
      said.textContent = `Calling for help from a risk of ${share(thresholds[place])} on reaches ${share(r)} of those who would leave and alarms ${share(a)} of those who would stay.`;
    };
    lesson.choice(this, "model", (name) => { model = Math.max(models.indexOf(name), 0); show(); });
    lesson.slider(this, "threshold", thresholds, { said: share, then: (_, at) => { place = at; show(); } });
  }
}
lesson.define("lesson-student-threshold", StudentThreshold);
