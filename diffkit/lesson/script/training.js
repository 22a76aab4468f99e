// One recorded training on the axis that is chosen, and what it had cost at an epoch.
class Training extends lesson.Element {
  start() {
    const { epochs, ways } = lesson.data("training");
    const last = epochs[epochs.length - 1];
    const charts = [...this.querySelectorAll("[data-axis]")];
    const said = this.querySelector("p.readout");
    // Every gradient costs the same, so an epoch is an equal part of the whole.
    const cost = {
      epochs: (way, epoch) => epoch,
      evaluations: (way, epoch) => (way.evaluations * epoch) / last,
      seconds: (way, epoch) => (way.seconds * epoch) / last,
    };
    const words = {
      epochs: () => "",
      evaluations: (spent) => ` after ${Math.round(spent).toLocaleString("en-US")} evaluations`,
      seconds: (spent) => ` after ${lesson.seconds(spent)}`,
    };
    let axis = "epochs";
    let epoch = last;
    let place = epochs.length - 1;
    const show = () => {
      for (const one of charts) one.hidden = one.dataset.axis !== axis;
      const plot = lesson.plot(`training-${axis}`);
      ways.forEach((way, at) => {
        const ball = document.getElementById(`training-${axis}-ball${at}`);
        ball.setAttribute("cx", plot.x(cost[axis](way, epoch)));
        ball.setAttribute("cy", plot.y(way.loss[place]));
        ball.setAttribute("r", 5);
      });
      const each = ways.map((way) => `${way.name} ${lesson.number(way.loss[place])}${words[axis](cost[axis](way, epoch))}`);
      said.textContent = `Loss of epoch ${epoch}: ${each.join("; ")}.`;
    };
    lesson.choice(this, "axis", (value) => { axis = value; show(); });
    lesson.slider(this, "epoch", epochs, {
      said: (value) => `epoch ${value}`,
      then: (value, at) => { epoch = value; place = at; show(); },
    });
  }
}
lesson.define("lesson-training", Training);
