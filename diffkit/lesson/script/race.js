// The recorded lanes of the network that is chosen, on both axes.
class Race extends lesson.Element {
  start() {
    this.data = lesson.data("race");
    this.said = this.querySelector(".readout");
    this.list = this.querySelector(".lanes-said");
    this.plots = [
      ["race-seconds", 0, lesson.seconds],
      ["race-operations", 2, lesson.number],
    ].map(([id, place, words]) => ({ plot: lesson.plot(id), place, words }));
    const picked = {};
    for (const [name, value] of Object.entries(this.data.start)) this.querySelector(`select[name="${name}"]`).value = value;
    const pick = (name) => lesson.choice(this, name, (value) => {
      picked[name] = value;
      if (picked.depth && picked.width) this.show(picked.depth, picked.width);
    });
    pick("depth");
    pick("width");
  }

  show(depth, width) {
    const cell = this.data.cells[`${depth} ${width}`];
    if (!cell) {
      this.said.textContent = "This network was not measured.";
      return;
    }
    for (const { plot, place, words } of this.plots) {
      for (const lane of plot.svg.querySelectorAll("[data-way]")) this.place(lane, cell, plot, place, words);
    }
    const ran = Object.entries(cell).filter(([, lane]) => !lane.stop).sort((a, b) => a[1][0] - b[1][0]);
    this.said.textContent = `${depth} hidden layers of ${width} units. First: ${this.data.lanes[ran[0][0]]}, ${lesson.seconds(ran[0][1][0])}.`;
    this.list.replaceChildren(...Object.entries(cell).map(([way, lane]) => {
      const item = document.createElement("li");
      item.textContent = `${this.data.lanes[way]}. ${this.sentence(lane)}`;
      return item;
    }));
  }

  place(lane, cell, plot, place, words) {
    const way = lane.dataset.way;
    const found = cell[way];
    const value = found.stop ? null : found[place];
    const stopped = value === null;
    const x = plot.x(stopped ? Infinity : value);
    const line = lane.querySelector(".line");
    lane.classList.toggle("stopped", stopped);
    line.setAttribute("d", line.getAttribute("d").replace(/H.*/, `H${x.toFixed(1)}`));
    const runner = lane.querySelector(".runner");
    const y = /,?\s([\d.]+)\)/.exec(runner.getAttribute("transform"))[1];
    runner.setAttribute("transform", `translate(${x.toFixed(1)} ${y})`);
    lane.querySelector(".label").textContent = stopped ? `stopped: ${found.stop[0]}` : words(value);
  }

  sentence(lane) {
    if (lane.stop) return `Stopped, ${lane.stop[0]}: ${lane.stop[1]}.`;
    const [seconds, prepare, operations, evaluations] = lane;
    const runs = evaluations === 1 ? "one evaluation of the network" : `${lesson.number(evaluations)} evaluations of the network`;
    return `${lesson.seconds(seconds)}, ${lesson.number(operations)} operations, ${runs}; prepared once in ${lesson.seconds(prepare)}.`;
  }
}
lesson.define("lesson-race", Race);
