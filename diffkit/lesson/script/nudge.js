// How often: the counts that were recorded, and a count-up to the one that is chosen.
class Nudge extends lesson.Element {
  start() {
    const { sizes } = lesson.data("nudge");
    this.plot = lesson.plot("nudge-evaluations");
    this.here = document.getElementById("nudge-here");
    this.said = this.querySelector(".readout");
    this.bar = document.getElementById("nudge-progress");
    this.runs = document.getElementById("nudge-runs");
    this.button = document.getElementById("nudge-count");
    this.button.addEventListener("click", () => this.count());
    lesson.slider(this, "parameters", sizes, {
      said: (size) => `${lesson.number(size.parameters)} weights`,
      then: (size) => this.show(size),
    });
  }

  show(size) {
    cancelAnimationFrame(this.frame);
    this.size = size;
    const ran = size.evaluations !== null;
    this.button.disabled = !ran;
    this.set(ran ? size.evaluations : 0);
    const reverse = `Reverse mode: ${lesson.number(size.reverse_evaluations)} run, ${lesson.seconds(size.reverse_seconds)}.`;
    this.said.textContent = ran
      ? `Central differences ran the network ${lesson.number(size.evaluations)} times: ${lesson.seconds(size.seconds)}, ${lesson.number(size.ratio)}× one forward pass. ${reverse}`
      : `Differences were not run with ${lesson.number(size.parameters)} weights. By the law they need two runs for each. ${reverse}`;
    this.here.setAttribute("cx", this.plot.x(size.parameters));
    this.here.setAttribute("cy", this.plot.y(ran ? size.evaluations : size.reverse_evaluations));
    this.here.setAttribute("r", 6);
  }

  set(runs) {
    const ran = this.size.evaluations !== null;
    this.bar.max = this.size.evaluations ?? 1;
    this.bar.value = runs;
    this.runs.textContent = ran ? `run ${lesson.number(runs)} of ${lesson.number(this.size.evaluations)}` : "not run";
  }

  // The same end with and without motion.
  count() {
    const last = this.size.evaluations;
    cancelAnimationFrame(this.frame);
    if (lesson.still()) { this.set(last); return; }
    const begun = performance.now();
    const step = (now) => {
      const share = Math.min(Math.max((now - begun) / 2000, 0), 1);
      this.set(Math.round(share * last));
      if (share < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }
}
lesson.define("lesson-nudge", Nudge);

// How far: the recorded error at the step that is chosen.
class NudgeStep extends lesson.Element {
  start() {
    const { steps, errors, best } = lesson.data("nudge");
    const plot = lesson.plot("nudge-steps");
    const here = document.getElementById("nudge-step-here");
    const said = this.querySelector(".readout");
    let formula = null;
    let place = null;
    const show = () => {
      if (formula === null || place === null) return;
      for (const line of plot.svg.querySelectorAll("[data-line]")) {
        line.classList.toggle("faint", line.dataset.line !== formula);
      }
      const error = errors[formula][place];
      here.setAttribute("cx", plot.x(steps[place]));
      here.setAttribute("cy", plot.y(error));
      here.setAttribute("r", 6);
      const side = steps[place] < best[formula] ? "smaller than the best step: rounding"
        : steps[place] > best[formula] ? "larger than the best step: truncation" : "the best step";
      said.textContent = `Step ${lesson.number(steps[place])}, ${side}. Error ${lesson.number(error)} of the slope.`;
    };
    const select = this.querySelector('select[name="formula"]');
    select.value = "central";
    lesson.choice(this, "formula", (value) => { formula = value; show(); });
    lesson.slider(this, "h", steps, {
      said: (h) => `h = ${lesson.number(h)}`,
      then: (_, at) => { place = at; show(); },
    });
  }
}
lesson.define("lesson-nudge-step", NudgeStep);
