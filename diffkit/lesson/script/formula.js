// The formula of the network that is chosen, where it is short enough to be printed,
// and its place on the curves.
class Formula extends lesson.Element {
  start() {
    const { start, counts } = lesson.data("formula");
    this.counts = counts;
    this.plot = lesson.plot("formula-growth");
    this.here = document.getElementById("formula-here");
    this.said = this.querySelector(".readout");
    this.share = document.getElementById("formula-share");
    this.share.checked = lesson.read(this, "share") === "yes";
    const picked = {};
    const show = () => { if (picked.depth && picked.width) this.show(picked.depth, picked.width); };
    this.share.addEventListener("change", () => {
      lesson.write(this, "share", this.share.checked ? "yes" : "no");
      show();
    });
    for (const name of ["depth", "width"]) {
      this.querySelector(`select[name="${name}"]`).value = start[name];
      lesson.choice(this, name, (value) => { picked[name] = value; show(); });
    }
  }

  show(depth, width) {
    const [tree, shared] = this.counts[`${depth} ${width}`];
    const form = this.share.checked ? "shared" : "written";
    let printed = false;
    for (const wall of this.querySelectorAll(".wall")) {
      const own = wall.dataset.network === `${depth} ${width}`;
      wall.classList.toggle("away", !own);
      printed ||= own;
    }
    for (const text of this.querySelectorAll(".form")) text.classList.toggle("away", text.dataset.form !== form);
    const metric = this.share.checked ? "shared_operations" : "nested_tree_operations";
    for (const line of this.plot.svg.querySelectorAll("[data-line]")) {
      line.classList.toggle("faint", line.dataset.line !== `${metric} ${width}`);
    }
    const count = this.share.checked ? shared : tree;
    this.here.setAttribute("cx", this.plot.x(Number(depth)));
    this.here.setAttribute("cy", this.plot.y(count));
    this.here.setAttribute("r", 6);
    const layers = Number(depth) === 1 ? "layer" : "layers";
    const units = Number(width) === 1 ? "unit" : "units";
    this.said.textContent = `${depth} hidden ${layers} of ${width} ${units}: ${lesson.number(tree)} operations written out, ${lesson.number(shared)} with every value named once.${printed ? "" : " Too long to be printed in this page."}`;
  }
}
lesson.define("lesson-formula", Formula);
